use rumqttc::mqttbytes::v5::ConnectReturnCode;

use super::reason::words;
use super::received::incoming_publish;
use super::*;
use crate::mqtt::packet::{ConnAck, Incoming, Reason};

#[test]
fn names_become_words() {
    assert_eq!(words(&DisconnectReasonCode::SessionTakenOver, None), "session taken over");
    assert_eq!(words(&ConnectReturnCode::NotAuthorized, Some("no\n".into())), "not authorized: no\\n");
}

#[test]
fn a_topic_alias_is_refused_with_its_own_code() {
    let properties = PublishProperties { topic_alias: Some(1), ..PublishProperties::default() };
    let publish = Publish { pkid: 1, qos: QoS::AtLeastOnce, properties: Some(properties), ..Publish::default() };
    assert_eq!(incoming_publish(publish).unwrap_err().code, 0x94);
}

fn connected_as(username: Option<&str>, password: Option<&[u8]>) -> BytesMut {
    let hello = Hello {
        client_id: "c".into(),
        clean_start: false,
        keep_alive: Duration::from_secs(30),
        session_expiry: Duration::ZERO,
        receive_maximum: 1,
        will: None,
    };
    let secret = password.map(|password| Secret::password(password.to_vec()).unwrap());
    let mut out = BytesMut::new();
    connect(&hello, &Auth { username, password: secret.as_ref() }, &mut out).unwrap();
    out
}

#[test]
fn user_name_and_password_go_out_in_the_order_of_the_standard_and_each_without_the_other() {
    for (username, password, flags, end) in [
        (None, None, 0x00, &b"\0\x01c"[..]),
        (Some("ab"), None, 0x80, b"\0\x01c\0\x02ab"),
        (None, Some(&b"xyz"[..]), 0x40, b"\0\x01c\0\x03xyz"),
        (Some("ab"), Some(b"xyz"), 0xc0, b"\0\x01c\0\x02ab\0\x03xyz"),
    ] {
        let out = connected_as(username, password);
        assert_eq!((&out[2..6], out[9]), (&b"\0\x04MQ"[..], flags), "{username:?}");
        assert!(out.ends_with(end), "{username:?}: {out:02x?}");
    }
}

#[test]
fn a_token_as_long_as_mqtt_carries_is_sent_whole() {
    let token = vec![b'x'; 65_535];
    let out = connected_as(None, Some(&token));
    assert!(out.ends_with(&[&[0xff, 0xff], &token[..]].concat()));
}

#[test]
fn a_takeover_is_understood_with_properties_and_without() {
    for bytes in [&[0xe0, 0x01, 0x8e][..], &[0xe0, 0x02, 0x8e, 0x00]] {
        let packet = decode(&mut BytesMut::from(bytes), 1000).unwrap();
        assert!(
            matches!(&packet, Some(Incoming::Disconnect(reason)) if reason.code == Reason::SESSION_TAKEN_OVER),
            "{bytes:02x?} {packet:?}"
        );
    }
}

fn connack(properties: &[u8]) -> ConnAck {
    let length = u8::try_from(properties.len()).unwrap();
    let bytes = [&[0x20, length + 3, 0, 0, length], properties].concat();
    match decode(&mut BytesMut::from(&bytes[..]), 1000).unwrap() {
        Some(Incoming::ConnAck(connack)) => connack,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_connack_says_is_handed_on() {
    assert_eq!(connack(&[]), ConnAck::default(), "absent means available, and as asked");
    let zeros = connack(&[0x11, 0, 0, 0, 0, 0x13, 0, 0, 0x28, 0, 0x29, 0, 0x2a, 0]);
    assert_eq!(
        zeros,
        ConnAck {
            session_expiry: Some(Duration::ZERO),
            keep_alive: Some(Duration::ZERO),
            wildcard_available: false,
            subscription_ids_available: false,
            shared_available: false,
            ..ConnAck::default()
        }
    );
    let said = connack(b"\x11\0\0\x01\x2c\x12\0\x02ab\x13\0\x1e\x28\x01\x29\x01\x2a\x01");
    assert_eq!(
        said,
        ConnAck {
            session_expiry: Some(Duration::from_mins(5)),
            assigned_client_id: Some("ab".into()),
            keep_alive: Some(Duration::from_secs(30)),
            ..ConnAck::default()
        }
    );
}

#[test]
fn a_broker_that_only_knows_3_1_1_is_understood() {
    for (said, code, lasting) in [(1, 0x84, true), (3, 0x88, false), (5, 0x87, true)] {
        let mut input = BytesMut::from(&[0x20, 2, 0, said][..]);
        let Some(Incoming::ConnAck(ConnAck { refused: Some(reason), .. })) = decode(&mut input, 1000).unwrap() else {
            panic!("{said} is a refusal")
        };
        assert_eq!((reason.code, reason.is_lasting(), input.len()), (code, lasting, 0));
        assert!(reason.text.contains("set `mqtt.protocol = \"3.1.1\"`"), "{}", reason.text);
    }
    let accepted = decode(&mut BytesMut::from(&[0x20, 2, 0, 0][..]), 1000);
    assert_eq!(accepted.unwrap_err().code, 0x81, "accepted by whom, and as what?");
}

#[test]
fn acknowledgements_without_properties_are_understood() {
    for bytes in [&[0x62, 0x02, 0, 1][..], &[0x62, 0x03, 0, 1, 0]] {
        let packet = decode(&mut BytesMut::from(bytes), 1000).unwrap();
        assert!(matches!(packet, Some(Incoming::PubRel(1))), "{bytes:02x?} {packet:?}");
    }
    // MQTT 5, 3.4.2.1: 0x10 says that nobody has subscribed.
    for (bytes, is_unheard) in [(&[0x40, 0x02, 0, 1][..], false), (&[0x40, 0x03, 0, 1, 0x10], true)] {
        let packet = decode(&mut BytesMut::from(bytes), 1000).unwrap();
        let Some(Incoming::PubAck { packet_id: 1, refused: None, unheard }) = packet else { panic!("{packet:?}") };
        assert_eq!(unheard, is_unheard, "{bytes:02x?}");
    }
}

#[test]
fn a_whole_packet_that_is_malformed_is_refused_and_not_waited_for() {
    let rows: [(&str, &[u8], u8); 7] = [
        ("PUBLISH whose topic is longer than the packet", b"\x30\x03\0\x09a", 0x81),
        ("PUBLISH that ends before its properties", b"\x32\x05\0\x01a\0\x07", 0x81),
        ("PUBLISH that ends within their length", b"\x32\x06\0\x01a\0\x07\x80", 0x81),
        ("CONNACK without properties", b"\x20\x02\0\0", 0x81),
        ("SUBACK without properties", b"\x90\x02\0\x01", 0x81),
        ("PUBLISH with topic alias 0", b"\x32\x09\0\x01a\0\x07\x03\x23\0\0", 0x94),
        ("PUBLISH without topic and alias", b"\x32\x05\0\0\0\x07\0", 0x82),
    ];
    for (what, bytes, code) in rows {
        assert_eq!(decode(&mut BytesMut::from(bytes), 1000).unwrap_err().code, code, "{what}");
    }
}

#[test]
fn a_farewell_is_written_as_the_standard_has_it() {
    let mut out = BytesMut::new();
    unsubscribe(2, vec!["a/b".into(), "c".into()], &mut out).unwrap();
    assert_eq!(out[..], [0xa2, 11, 0, 2, 0, 0, 3, b'a', b'/', b'b', 0, 1, b'c']);
    out.clear();
    disconnect(Close::Forget, &mut out).unwrap();
    assert_eq!(out[..], [0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]);
    let packet = decode(&mut BytesMut::from(&[0xb0, 5, 0, 2, 0, 0x11, 0x87][..]), 1000).unwrap();
    assert!(matches!(packet, Some(Incoming::UnsubAck { packet_id: 2, codes, .. }) if codes == [0x11, 0x87]));
}

#[test]
fn half_a_packet_waits_for_the_rest_and_a_large_one_is_refused() {
    let mut publish = Publish::new("sensor/data", QoS::AtLeastOnce, "x".repeat(100), None);
    publish.pkid = 1;
    let mut whole = BytesMut::new();
    Packet::Publish(publish).write(&mut whole, None).unwrap();
    let mut half = BytesMut::from(&whole[..50]);
    assert!(decode(&mut half, 1000).unwrap().is_none());
    assert_eq!(half.len(), 50, "nothing is taken from half a packet");
    assert_eq!(decode(&mut half, 60).unwrap_err().code, 0x95);
    assert!(matches!(decode(&mut whole, 1000).unwrap(), Some(Incoming::Publish { packet_id: 1, .. })));
}
