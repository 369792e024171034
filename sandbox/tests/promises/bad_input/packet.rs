//! Packets that no broker may send: each ends the connection, with its reason code under MQTT 5 and without a word under
//! MQTT 3.1.1, which has none. The bridge comes back, and nothing that was under way is invoked twice.
//!
//! No PUBLISH can be too large (0x95): the bridge takes any that MQTT can frame, since what exceeds a limit of ours the
//! broker would drop without a word. One with too many properties goes by, and its dead letter tells what it was. Nor does
//! text that MQTT forbids end the connection: there are brokers that forward what a device has put there.

use bridge::config::Protocol;
use sandbox::scripted::{ConnAck, Message, frame, string};

use crate::common::willing;
use crate::stage::{Played, Stage, both, gated};

type Row = (&'static str, Vec<u8>, u8);

const MALFORMED: u8 = 0x81;
const PROTOCOL_ERROR: u8 = 0x82;
const TOPIC_ALIAS_INVALID: u8 = 0x94;
const TOO_LARGE: u8 = 0x95;

/// PUBLISH at QoS 1 with the packet id 7 and a payload of one letter.
fn publish(protocol: Protocol, topic: &[u8], properties: &[u8]) -> Vec<u8> {
    let mut body = string(topic);
    body.extend([0, 7]);
    if protocol == Protocol::V5 {
        body.push(u8::try_from(properties.len()).unwrap());
        body.extend(properties);
    }
    body.push(b'x');
    frame(0x32, &body)
}

/// What both versions forbid.
fn common(protocol: Protocol) -> Vec<Row> {
    let publish = |topic: &[u8]| publish(protocol, topic, &[]);
    let v5 = protocol == Protocol::V5;
    let none: &[u8] = if v5 { &[0] } else { &[] };
    let body = |parts: &[&[u8]]| parts.concat();
    vec![
        ("a topic that is longer than its packet", frame(0x32, &[0, 32, b'a', b'b']), MALFORMED),
        ("PUBLISH without a packet id", frame(0x32, &string(b"a")), MALFORMED),
        ("PUBLISH with packet id 0", frame(0x32, &body(&[&string(b"a"), &[0, 0], none])), PROTOCOL_ERROR),
        ("PUBLISH at QoS 3", frame(0x36, &body(&[&string(b"a"), &[0, 7], none])), MALFORMED),
        ("PUBLISH at QoS 0, sent again", frame(0x38, &body(&[&string(b"a"), none])), MALFORMED),
        ("an empty PUBLISH", vec![0x32, 0], MALFORMED),
        ("a remaining length of five bytes", vec![0x30, 0xff, 0xff, 0xff, 0xff, 1], MALFORMED),
        ("packet type 0", vec![0, 0], MALFORMED),
        ("PINGRESP with reserved bits", vec![0xd1, 0], MALFORMED),
        ("PUBREL with reserved bits", frame(0x60, &[0, 1]), MALFORMED),
        ("PUBREL of packet id 0", frame(0x62, &[0, 0]), PROTOCOL_ERROR),
        ("SUBACK with reserved bits", frame(0x91, &body(&[&[0, 1], none, &[1]])), MALFORMED),
        ("SUBACK for another SUBSCRIBE", frame(0x90, &body(&[&[0, 9], none, &[1]])), PROTOCOL_ERROR),
        ("SUBACK that nobody waits for", frame(0x90, &body(&[&[0, 1], none, &[1]])), PROTOCOL_ERROR),
        ("SUBACK with a code that there is not", frame(0x90, &body(&[&[0, 1], none, &[0x42]])), MALFORMED),
        ("SUBACK without a code", frame(0x90, &body(&[&[0, 1], none])), MALFORMED),
        ("a second CONNACK", ConnAck::fresh().bytes(protocol), PROTOCOL_ERROR),
        ("CONNACK with reserved flags", frame(0x20, &body(&[&[2, 0], none])), MALFORMED),
        ("PUBACK for no PUBLISH of ours", frame(0x40, &[0, 1]), PROTOCOL_ERROR),
        ("PUBREC", frame(0x50, &[0, 1]), PROTOCOL_ERROR),
        ("PUBCOMP", frame(0x70, &[0, 1]), PROTOCOL_ERROR),
        ("PINGREQ, which only clients send", vec![0xc0, 0], PROTOCOL_ERROR),
        (
            "SUBSCRIBE, which only clients send",
            frame(0x82, &body(&[&[0, 1], none, &string(b"a"), &[1]])),
            PROTOCOL_ERROR,
        ),
        ("an empty topic", publish(b""), PROTOCOL_ERROR),
    ]
}

/// What only MQTT 5 knows.
fn of_v5() -> Vec<Row> {
    let publish = |properties: &[u8]| publish(Protocol::V5, b"a", properties);
    vec![
        ("topic alias 0", publish(&[35, 0, 0]), TOPIC_ALIAS_INVALID),
        ("a topic alias, though none is allowed", publish(&[35, 0, 1]), TOPIC_ALIAS_INVALID),
        ("a topic alias in place of a topic", self::publish(Protocol::V5, b"", &[35, 0, 1]), TOPIC_ALIAS_INVALID),
        ("a property that there is not", publish(&[0x7f, 0]), MALFORMED),
        ("a property of another packet", publish(&[33, 0, 1]), MALFORMED),
        ("properties that are longer than their packet", frame(0x32, b"\0\x01a\0\x07\x7f\x26"), MALFORMED),
        ("PUBLISH that ends before its properties", frame(0x32, b"\0\x01a\0\x07"), MALFORMED),
        ("PUBLISH that ends within their length", frame(0x32, b"\0\x01a\0\x07\x80"), MALFORMED),
        ("SUBACK with two codes", frame(0x90, &[0, 1, 0, 1, 1]), PROTOCOL_ERROR),
        ("a property that stands twice", publish(&[3, 0, 1, b'a', 3, 0, 1, b'a']), PROTOCOL_ERROR),
        ("a SUBACK of 300 kB", frame(0x90, &vec![0; 300_000]), TOO_LARGE),
        ("AUTH", frame(0xf0, &[0x18, 0]), PROTOCOL_ERROR),
        ("DISCONNECT with a reason that there is not", frame(0xe0, &[0x42, 0]), MALFORMED),
    ]
}

fn rows(protocol: Protocol) -> Vec<Row> {
    let mut rows = common(protocol);
    if protocol == Protocol::V5 {
        rows.extend(of_v5());
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_packet_ends_the_connection_with_its_reason_and_costs_no_invocation() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let stage = Stage::start(protocol, |b| b.function(function)).await;
        let witness = Message::new(100, "witness");
        let mut peer = stage.fresh().await?;
        peer.publish(&witness).await?;
        stage.invoked(1).await;
        for (name, bytes, code) in rows(protocol) {
            peer.bytes(&bytes).await?;
            let expected = (protocol == Protocol::V5).then_some(code);
            assert_eq!(peer.end().await?, expected, "{name}");
            peer = stage.resumed().await?;
            peer.publish(&witness.clone().again()).await?;
        }
        gate.open("witness");
        assert_eq!(peer.ack().await?.packet_id, 100);
        assert_eq!(stage.payloads(), [b"witness"], "invoked once, and nothing else");
        assert_eq!(stage.broker.connections(), rows(protocol).len() + 1);
        Ok(())
    })
    .await;
}

/// The same before the bridge is connected at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_answer_to_connect_ends_the_attempt_with_its_reason() {
    both(|protocol| async move {
        let v5 = protocol == Protocol::V5;
        let none: &[u8] = if v5 { &[0] } else { &[] };
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        let mut rows: Vec<Row> = vec![
            ("PUBLISH first", publish(protocol, b"a", &[]), PROTOCOL_ERROR),
            ("SUBACK first", frame(0x90, &[&[0, 1], none, &[1]].concat()), PROTOCOL_ERROR),
            ("PINGRESP first", vec![0xd0, 0], PROTOCOL_ERROR),
            ("CONNACK with reserved flags", frame(0x20, &[&[0x82, 0], none].concat()), MALFORMED),
            ("CONNACK with reserved bits", frame(0x21, &[&[0, 0], none].concat()), MALFORMED),
            ("CONNACK with a code that there is not", frame(0x20, &[&[0, 0x42], none].concat()), MALFORMED),
            ("an empty CONNACK", vec![0x20, 0], MALFORMED),
            ("packet type 0", vec![0, 0], MALFORMED),
            ("a remaining length of five bytes", vec![0x20, 0xff, 0xff, 0xff, 0xff, 1], MALFORMED),
        ];
        if v5 {
            rows.push(("AUTH first", frame(0xf0, &[0x18, 0]), PROTOCOL_ERROR));
            rows.push(("CONNACK of MQTT 3.1.1", frame(0x20, &[0, 0]), MALFORMED));
            rows.push(("CONNACK with a property of another packet", frame(0x20, &[0, 0, 3, 35, 0, 1]), MALFORMED));
        }
        for (name, bytes, code) in &rows {
            let mut peer = stage.broker.accept().await?;
            peer.connect().await?;
            peer.bytes(bytes).await?;
            assert_eq!(peer.end().await?, v5.then_some(*code), "{name}");
        }
        let mut peer = stage.fresh().await?;
        peer.publish(&Message::new(1, "a")).await?;
        assert_eq!(peer.ack().await?.packet_id, 1);
        assert_eq!((stage.broker.connections(), stage.payloads()), (rows.len() + 1, vec![b"a".to_vec()]));
        Ok(())
    })
    .await;
}

/// An incomplete packet is never handled, however large it claims to be.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_packet_brings_nothing() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        let whole = Message::new(1, "a".repeat(1000)).bytes(protocol).unwrap();
        let largest = [0x32, 0xff, 0xff, 0xff, 0x7f, 0, 1, b'a'];
        stage.fresh().await?.reset();
        for half in [&whole[..1], &whole[..2], &whole[..20], &whole[..whole.len() - 1], &largest] {
            let mut peer = stage.resumed().await?;
            peer.bytes(half).await?;
            peer.close().await?;
            let mut peer = stage.resumed().await?;
            peer.bytes(half).await?;
            peer.reset();
        }
        let mut peer = stage.resumed().await?;
        peer.drip(&whole[..30], std::time::Duration::from_millis(1)).await?;
        peer.bytes(&whole[30..]).await?;
        assert_eq!(peer.ack().await?.packet_id, 1);
        assert_eq!(stage.payloads().len(), 1);
        Ok(())
    })
    .await;
}

/// A message before the broken packet, in the same write, is still handled: once, and acknowledged on the connection on
/// which it comes again.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_before_a_broken_packet_is_not_lost() -> Played {
    let stage = Stage::start(Protocol::V5, |b| b.function(willing())).await;
    let mut peer = stage.fresh().await?;
    let message = Message::new(1, "a");
    let both = [&message.bytes(Protocol::V5).unwrap()[..], &[0, 0]].concat();
    peer.bytes(&both).await?;
    assert_eq!(peer.end().await?, Some(MALFORMED));
    let mut peer = stage.resumed().await?;
    peer.publish(&message.again()).await?;
    assert_eq!(peer.ack().await?.packet_id, 1);
    assert_eq!(stage.payloads(), [b"a"]);
    Ok(())
}

/// Closing the connection would repeat it for ever, and decoding it would take many times its length.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_full_of_properties_is_dead_lettered_by_its_digest_and_acknowledged() -> Played {
    let stage = Stage::start(Protocol::V5, |b| b.function(willing())).await;
    let mut peer = stage.fresh().await?;
    // 1,500,000 bytes of empty user properties.
    let section = [&[0xe0, 0xc6, 0x5b][..], &[38, 0, 0, 0, 0].repeat(300_000)].concat();
    let bomb = [&string(b"sensor/data")[..], &[0, 7], &section, b"payload"].concat();
    peer.bytes(&frame(0x32, &bomb)).await?;
    peer.publish(&Message::new(8, "small")).await?;
    assert_eq!((peer.ack().await?.packet_id, peer.ack().await?.packet_id), (7, 8));
    assert_eq!(stage.payloads(), [b"small"], "only what was decoded is invoked");
    let letters = stage.world.dead_letters().unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    let skipped = letter.skipped.as_ref().unwrap();
    assert_eq!((letter.topic.as_str(), skipped.length), ("sensor/data", 1_500_010));
    assert_eq!((skipped.sha256.len(), letter.payload.as_str(), letter.attempts), (64, "", 0));
    Ok(())
}

/// A topic, properties, the topic and the property's value as the dead letter shows them, and why.
type IllFormed = (&'static [u8], Vec<u8>, &'static str, Option<&'static str>, &'static str);

fn ill_formed(protocol: Protocol) -> Vec<IllFormed> {
    let user = |value: &[u8]| [&[38][..], &string(b"k"), &string(value)].concat();
    let mut rows: Vec<IllFormed> = vec![
        (b"sensor/caf\xe9", vec![], "sensor/caf?", None, "topic: not UTF-8"),
        (b"sensor/\xed\xa0\x80", vec![], "sensor/???", None, "topic: not UTF-8"),
        (b"sensor/\0", vec![], "sensor/?", None, "topic: a NUL in it"),
        (b"sensor/+", vec![], "sensor/?", None, "topic: a wildcard in it"),
        (b"sensor/#", vec![], "sensor/?", None, "topic: a wildcard in it"),
    ];
    if protocol == Protocol::V5 {
        rows.extend([
            (&b"a"[..], user(b"caf\xe9"), "a", Some("caf?"), "user property: not UTF-8"),
            (b"a", user(b"caf\0"), "a", Some("caf?"), "user property: a NUL in it"),
            (b"a", [&[3][..], &string(b"\xff")].concat(), "a", None, "content type: not UTF-8"),
            (b"a", [&[8][..], &string(b"\xff")].concat(), "a", None, "response topic: not UTF-8"),
        ]);
    }
    rows
}

/// Closing the connection would repeat it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_text_that_mqtt_forbids_is_dead_lettered_with_its_payload_and_stops_nothing() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        let mut peer = stage.fresh().await?;
        for (topic, properties, ..) in ill_formed(protocol) {
            peer.bytes(&publish(protocol, topic, &properties)).await?;
            assert_eq!(peer.ack().await?.packet_id, 7, "{topic:?}");
        }
        peer.publish(&Message::new(8, "behind")).await?;
        assert_eq!(peer.ack().await?.packet_id, 8);
        assert_eq!(stage.payloads(), [b"behind"], "only what MQTT allows is invoked");
        let letters = stage.world.dead_letters().unwrap();
        assert_eq!(letters.len(), ill_formed(protocol).len());
        for (letter, (_, _, topic, value, why)) in letters.iter().zip(ill_formed(protocol)) {
            let shown = letter.user_properties.first().map(|(_, value)| value.as_str());
            assert_eq!((letter.topic.as_str(), shown, letter.payload.as_str()), (topic, value, "x"), "{why}");
            assert_eq!((letter.error_type.as_str(), letter.attempts), ("IllFormed", 0), "{why}");
            assert!(letter.error_message.starts_with(why), "{}", letter.error_message);
        }
        Ok(())
    })
    .await;
}
