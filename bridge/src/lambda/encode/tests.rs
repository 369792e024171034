//! The encoder against the contract's fixtures, and against payloads meant to break it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use event::{Event, Payload};
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::config::Qos;
use crate::delivery::{RecordId, Ticket};
use crate::message::Message;
#[cfg(feature = "otlp")]
use crate::{config::Format, lambda::Request};

const FIXTURE: &str = include_str!("../../../../event/fixtures/event.json");

fn delivery(sequence: u64, message: Message) -> Delivery {
    let (settler, _) = mpsc::channel(1);
    let id = RecordId::Numbered { run: 0x5b1f_0c7e_9a3d_2468, sequence };
    let mut delivery = Delivery::new(message, id, Ticket { epoch: 1, slot: sequence }, settler);
    // 2026-11-20T12:00:00.122Z and a millisecond a record, as in the fixture.
    delivery.received_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_176_000_122 + sequence);
    delivery
}

fn message(payload: &[u8], qos: Qos) -> Message {
    let payload = Bytes::copy_from_slice(payload);
    Message { topic: "sensor/data".into(), payload, qos, retain: false, dup: false, properties: None }
}

fn round_trip(payload: &[u8]) -> (Event, Vec<u8>) {
    let bytes = encode("m", [delivery(1, message(payload, Qos::AtLeastOnce))].iter());
    let event: Event = serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{e}: {}", bytes.escape_ascii()));
    let back = event.records[0].payload().unwrap().into_bytes().into_owned();
    (event, back)
}

#[test]
fn writes_the_fixture() {
    let first = message(br#"{"device_id": "C-Client-01", "temperature": 24.5, "status": "OK"}"#, Qos::AtLeastOnce);
    let mut second = message("21,5 °C\n".as_bytes(), Qos::AtLeastOnce);
    (second.retain, second.dup) = (true, true);
    second.properties = Some(Arc::new(Properties {
        content_type: Some("text/plain".into()),
        response_topic: Some("devices/C-Client-01/command".into()),
        correlation_data: Some(Bytes::from_static(&[0, 1, 2])),
        user: vec![("site".into(), "north".into()), ("site".into(), "hall-2".into())],
        ..Properties::default()
    }));
    let third = message(&[0x00, 0xff, 0x10, 0x80], Qos::ExactlyOnce);
    let deliveries = [delivery(1, first), delivery(2, second), delivery(3, third)];
    let written: serde_json::Value = serde_json::from_slice(&encode("sensor-data", deliveries.iter())).unwrap();
    let fixture: serde_json::Value = serde_json::from_str(FIXTURE).unwrap();
    assert_eq!(written, fixture);
}

#[test]
fn strange_payloads_survive_exactly() {
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let payloads: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        &deep,
        br#"{"a":1,"a":2}"#,
        b"1e999",
        br#""\ud800""#,
        b"null",
        b"{\"a\":",
        b"\"],\"records\":[",
        "\u{2028}\u{7f}\x1b[31m".as_bytes(),
    ];
    for payload in payloads {
        let (event, back) = round_trip(payload);
        assert_eq!(event.records.len(), 1);
        assert_eq!(back, payload, "{}", payload.escape_ascii());
    }
}

#[test]
fn a_given_id_is_escaped_like_any_text() {
    let mut delivery = delivery(1, message(b"{}", Qos::AtLeastOnce));
    delivery.id = RecordId::Given("a\"b\n".into());
    let event: Event = serde_json::from_slice(&encode("m", [delivery].iter())).unwrap();
    assert_eq!(event.records[0].id, "a\"b\n");
}

#[test]
fn json_is_embedded_as_it_came() {
    let payload = b" {\n \"temperature\" : 2.50 } ";
    let bytes = encode("m", [delivery(1, message(payload, Qos::AtLeastOnce))].iter());
    assert!(bytes.windows(payload.len()).any(|window| window == payload));
}

/// The record names the bridge's span, the user property stays the publisher's.
#[cfg(feature = "otlp")]
#[test]
fn a_record_says_where_it_stands_in_its_trace() {
    const PUBLISHER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut message = message(b"{}", Qos::AtLeastOnce);
    let user = vec![("traceparent".into(), PUBLISHER.into())];
    message.properties = Some(Arc::new(Properties { user, ..Properties::default() }));
    let mut delivery = delivery(1, message);
    let untraced = encode("m", [&delivery].into_iter());
    let measured = measure(&mut delivery);
    delivery.trace = crate::otlp::Tracer::for_tests().begin(delivery.message.properties.as_deref());
    let traced = encode("m", [&delivery].into_iter());
    let event: Event = serde_json::from_slice(&traced).unwrap();
    let traceparent = event.records[0].traceparent.clone().unwrap();
    assert!(traceparent.starts_with(&PUBLISHER[..36]) && traceparent != PUBLISHER, "{traceparent}");
    assert_eq!(event.records[0].user_properties, [("traceparent".to_owned(), PUBLISHER.to_owned())]);
    assert!(measure(&mut delivery) - measured >= traced.len() - untraced.len());
    let request = Request::new(Format::Records, "m", std::slice::from_ref(&delivery));
    let header = format!("Root=1-{}-{};", &traceparent[3..11], &traceparent[11..35]);
    assert!(request.trace.unwrap().starts_with(&header));
    let raw = Request::new(Format::Raw, "m", &[delivery]);
    let context: serde_json::Value =
        serde_json::from_slice(&BASE64_STANDARD.decode(raw.context.unwrap()).unwrap()).unwrap();
    assert_eq!(context["custom"]["traceparent"], traceparent);
}

proptest! {
    #[test]
    fn any_bytes_survive(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let (event, back) = round_trip(&payload);
        if matches!(event.records[0].payload(), Ok(Payload::Json(_))) {
            prop_assert_eq!(back, payload.trim_ascii());
        } else {
            prop_assert_eq!(back, payload);
        }
    }

    #[test]
    fn no_record_is_longer_than_it_was_measured(payload in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,60}") {
        for payload in [payload.as_slice(), text.as_bytes()] {
            let mut delivery = delivery(1, message(payload, Qos::AtLeastOnce));
            let measured = measure(&mut delivery);
            let empty = encode("m", [].iter()).len();
            prop_assert!(encode("m", [delivery].iter()).len() <= empty + measured);
        }
    }

    #[test]
    fn any_text_survives(payload in ".{0,60}") {
        let (_, back) = round_trip(payload.as_bytes());
        prop_assert_eq!(back.trim_ascii(), payload.as_bytes().trim_ascii());
    }
}
