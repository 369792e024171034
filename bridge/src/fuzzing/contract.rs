//! Runs what devices publish and what functions answer through all JSON code of the bridge.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;
use event::{Encoding, Event};
use serde_json::Value;

use super::source::{Source, delivery};
use crate::config::{Format, Protocol, Qos, ResponseTopics};
use crate::dead_letter::{Circumstances, DeadLetter};
use crate::delivery::Delivery;
use crate::lambda::{Answers, Reading, Request, encode, interpret, measure};
use crate::mqtt::Wire;
use crate::outgoing::Outgoing;

/// Encodes a message as an event and reads it back as a function does.
///
/// # Panics
/// When some function could not read the event, or would not see the message that was published, or when the event is longer
/// than it was measured.
pub fn event(bytes: &[u8]) {
    let message = Source(bytes).message();
    let mut deliveries = [delivery(1, message.clone()), delivery(2, message.clone())];
    let measured: usize = deliveries.iter_mut().map(measure).sum();
    assert_raw(&deliveries[0]);
    let written = encode("m", deliveries.iter());
    assert!(written.len() <= encode("m", [].iter()).len() + measured, "longer than it was measured");
    assert!(Request::least_bytes(&deliveries) <= written.len(), "shorter than it can be");
    let Ok(event) = serde_json::from_slice::<Event>(&written) else { panic!("no event: {}", written.escape_ascii()) };
    assert_eq!(event.records.len(), 2);
    assert!(serde_json::from_slice::<Value>(&written).is_ok(), "a function that keeps it as a tree cannot read it");
    assert!(depth(&written) <= 63, "deeper than .NET reads");
    for record in &event.records {
        assert_eq!((record.topic.as_ref(), record.retain, record.dup), (&*message.topic, message.retain, message.dup));
        let Ok(payload) = record.payload() else { panic!("no payload: {}", record.payload.get().escape_debug()) };
        // White space around a JSON payload is not part of its value in the event.
        let exact = record.encoding != Encoding::Json;
        let published = if exact { &*message.payload } else { message.payload.trim_ascii() };
        assert_eq!(&*payload.into_bytes(), published);
    }
}

/// Encodes a message as it is sent alone, and reads it back as a function does that knows nothing of the bridge.
fn assert_raw(delivery: &Delivery) {
    let request = Request::new(Format::Raw, "m", std::slice::from_ref(delivery));
    let Ok(event) = serde_json::from_slice::<Value>(&request.event) else {
        panic!("no JSON: {}", request.event.escape_ascii())
    };
    let payload = &*delivery.message.payload;
    assert!(payload.len() <= request.event.len(), "shorter than it can be");
    match (delivery.encoding, &event) {
        (Some(Encoding::Text), Value::String(text)) => assert_eq!(text.as_bytes(), payload),
        (Some(Encoding::Base64), Value::String(text)) => {
            assert_eq!(BASE64_STANDARD.decode(text).ok().as_deref(), Some(payload));
        }
        (encoding, _) => assert!(encoding == Some(Encoding::Json) && request.event == payload, "{event}"),
    }
    let context =
        request.context.filter(|context| context.len() <= 3583).and_then(|text| BASE64_STANDARD.decode(text).ok());
    let context = context.and_then(|json| serde_json::from_slice::<Value>(&json).ok()).unwrap_or_default();
    assert_eq!(context["custom"]["id"], delivery.id.to_string());
}

/// How many lists and objects are within one another.
fn depth(json: &[u8]) -> usize {
    let (mut open, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            b'"' if !escaped => in_string = !in_string,
            b'[' | b'{' if !in_string => open += 1,
            b']' | b'}' if !in_string => open -= 1,
            _ => {}
        }
        escaped = in_string && *byte == b'\\' && !escaped;
        deepest = deepest.max(open);
    }
    deepest
}

/// Interprets the answer of a function to an event of as many records as the first byte says.
///
/// # Panics
/// When a failure is about no record, or something would be published that the mapping does not allow or MQTT cannot
/// carry.
pub fn response(bytes: &[u8]) {
    let mut source = Source(bytes);
    // A message with a Response Topic, Correlation Data and nothing else.
    let asking = *b"\x31\x0fdevices/a/reply\x01c";
    let shape = source.byte();
    let (records, wants_answers) = (u64::from(shape % 8), shape & 8 == 0);
    let deliveries: Vec<_> = (1..=records).map(|sequence| delivery(sequence, Source(&asking).message())).collect();
    let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id.clone()).collect();
    let Ok(Reading { failures, response, .. }) = interpret(source.0, &ids, wants_answers) else { return };
    assert!(failures.keys().all(|index| *index < ids.len()), "a failure of no record: {failures:?}");
    let allow: Vec<_> = ["devices/+/command", "devices/#"].iter().filter_map(|filter| filter.parse().ok()).collect();
    let topics = ResponseTopics { allow, qos: Qos::AtLeastOnce };
    let answers = Answers::of(&response, &deliveries, &failures, &topics, Some(&["devices/a/reply".to_owned()]));
    for outgoing in answers.all.iter().filter(|answer| answer.refusal.is_none()).map(|answer| &answer.outgoing) {
        assert!(topics.allow.iter().any(|filter| filter.matches(&outgoing.topic)), "{:?}", outgoing.topic);
        for protocol in [Protocol::V5, Protocol::V311] {
            assert_can_be_carried(Wire(protocol), outgoing);
        }
    }
}

/// Reads a line as a dead letter, and the delivery that a redrive makes of it, which is given up once more.
///
/// # Panics
/// When anything of the message changes on the way.
pub fn dead_letter(bytes: &[u8]) {
    let Ok(letter) = serde_json::from_slice::<DeadLetter>(bytes) else { return };
    let Ok(line) = serde_json::to_string(&letter) else { panic!("a letter that cannot be written: {letter:?}") };
    assert!(!line.contains('\n'), "one letter, one line");
    assert_eq!(serde_json::from_str::<DeadLetter>(&line).ok().as_ref(), Some(&letter));
    let Some(delivery) = crate::redrive::delivery(&letter) else { return };
    assert_eq!(letter.payload_bytes().as_deref(), Some(&*delivery.message.payload));
    let again = given_up(&letter, &delivery);
    assert_eq!((&again.id, &again.topic, again.qos), (&letter.id, &letter.topic, letter.qos));
    assert_eq!(again.payload_bytes(), letter.payload_bytes());
    assert_eq!(again.user_properties, letter.user_properties);
    assert_eq!(
        (&again.content_type, &again.response_topic, again.retain),
        (&letter.content_type, &letter.response_topic, letter.retain)
    );
}

fn given_up(letter: &DeadLetter, delivery: &Delivery) -> DeadLetter {
    let reason = Circumstances {
        mapping: &letter.mapping,
        function: &letter.function,
        attempts: letter.attempts,
        first_attempt_at: SystemTime::UNIX_EPOCH,
        last_attempt_at: SystemTime::UNIX_EPOCH,
        error_type: &letter.error_type,
        error_message: &letter.error_message,
    };
    DeadLetter::new(delivery, &reason)
}

/// A broker closes the connection over what it cannot read, and everybody's answers with it.
fn assert_can_be_carried(wire: Wire, outgoing: &Outgoing) {
    let mut bytes = BytesMut::new();
    if let Err(error) = wire.publish(1, outgoing, &mut bytes) {
        panic!("{:?} cannot be written: {error}", outgoing.topic);
    }
    let read = wire.decode(&mut bytes, u32::MAX);
    assert!(matches!(read, Ok(Some(_))) && bytes.is_empty(), "{:?} cannot be read: {read:?}", outgoing.topic);
}
