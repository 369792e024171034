//! MQTT 5 on the wire: the only file that names the MQTT 5 crate. Translates packets; decides nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use rumqttc::QoS;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v5::{
    ConnAck as V5ConnAck, ConnAckProperties, Connect, ConnectAuth, ConnectProperties, ConnectReturnCode, Disconnect,
    DisconnectProperties, DisconnectReasonCode, Packet, PubAck, PubComp, PubRec, Publish, PublishProperties,
    RetainForwardRule, Subscribe, SubscribeFilter, SubscribeReasonCode, Unsubscribe,
};

use super::buffer::own;
use super::packet::SPEAK_V311;
use super::packet::{Auth, Close, ConnAck, Hello, Incoming, Limits, Reason, Subscription, WireError};
use crate::config::Qos;
use crate::foreign::Foreign;
use crate::message::{Message, Properties};
use crate::outgoing::Outgoing;
use crate::secret::Secret;

pub(super) fn decode(input: &mut BytesMut, max_packet_size: u32) -> Result<Option<Incoming>, WireError> {
    if let Some(disconnect) = short_disconnect(input) {
        return Ok(Some(Incoming::Disconnect(disconnect?)));
    }
    if let Some(refused) = refused_as_v311(input) {
        return Ok(Some(Incoming::ConnAck(refused)));
    }
    let before = input.len();
    let packet = match Packet::read(input, Some(max_packet_size)) {
        Ok(packet) => packet,
        // Once the crate has taken the bytes of a packet, what it misses is missing inside it: it is malformed.
        Err(Error::InsufficientBytes(_)) if input.len() == before => return Ok(None),
        Err(error) => return Err(wire_error(&error)),
    };
    Ok(Some(match packet {
        Packet::Publish(publish) => incoming_publish(publish)?,
        Packet::PubRel(release) => Incoming::PubRel(release.pkid),
        Packet::PingResp => Incoming::PingResp,
        Packet::ConnAck(ack) => Incoming::ConnAck(incoming_connack(ack)),
        Packet::SubAck(ack) => Incoming::SubAck {
            packet_id: ack.pkid,
            codes: ack.return_codes.iter().map(|code| subscribe_code(*code)).collect(),
        },
        Packet::UnsubAck(ack) => {
            Incoming::UnsubAck { packet_id: ack.pkid, codes: ack.reasons.iter().map(|reason| *reason as u8).collect() }
        }
        Packet::PubAck(ack) => Incoming::PubAck { packet_id: ack.pkid, refused: refusal(ack) },
        Packet::Disconnect(bye) => Incoming::Disconnect(Reason {
            code: bye.reason_code as u8,
            text: words(&bye.reason_code, bye.properties.and_then(|p| p.reason_string)),
        }),
        other => Incoming::Unexpected(name(&other)),
    }))
}

pub(super) fn connect(hello: &Hello, auth: &Auth<'_>, out: &mut BytesMut) -> Result<(), WireError> {
    let properties = ConnectProperties {
        session_expiry_interval: Some(seconds(hello.session_expiry)),
        receive_maximum: Some(hello.receive_maximum),
        // Absent means no limit of ours: a broker silently drops what is larger than a limit (MQTT 5, 3.1.2-25).
        max_packet_size: None,
        topic_alias_max: None,
        ..ConnectProperties::new()
    };
    let connect = Connect {
        keep_alive: u16::try_from(hello.keep_alive.as_secs()).unwrap_or(u16::MAX),
        client_id: hello.client_id.clone(),
        clean_start: hello.clean_start,
        properties: Some(properties),
    };
    write(&Packet::Connect(connect, None, connect_auth(auth)), out)
}

/// MQTT 5 knows each without the other (3.1.2.8 and 3.1.2.9). The copy of the password is wiped when the packet is dropped.
fn connect_auth(auth: &Auth<'_>) -> ConnectAuth {
    let password = |secret: &Secret| Bytes::from_owner(secret.clone());
    match (auth.username.map(str::to_owned), auth.password) {
        (None, None) => ConnectAuth::None,
        (Some(username), None) => ConnectAuth::Username { username },
        (None, Some(secret)) => ConnectAuth::Password { password: password(secret) },
        (Some(username), Some(secret)) => ConnectAuth::UsernamePassword { username, password: password(secret) },
    }
}

pub(super) fn subscribe(subscription: &Subscription<'_>, out: &mut BytesMut) -> Result<(), WireError> {
    let filter = SubscribeFilter {
        path: subscription.topic_filter.to_owned(),
        qos: qos_out(subscription.qos),
        nolocal: false,
        preserve_retain: false,
        // So that subscribing again does not repeat retained messages (MQTT 5, 3.3.1-10).
        retain_forward_rule: RetainForwardRule::OnNewSubscribe,
    };
    write(&Packet::Subscribe(Subscribe { pkid: subscription.packet_id, filters: vec![filter], properties: None }), out)
}

pub(super) fn unsubscribe(packet_id: u16, filters: Vec<String>, out: &mut BytesMut) -> Result<(), WireError> {
    write(&Packet::Unsubscribe(Unsubscribe { pkid: packet_id, filters, properties: None }), out)
}

pub(super) fn publish(packet_id: u16, outgoing: &Outgoing, out: &mut BytesMut) -> Result<(), WireError> {
    let properties = outgoing.properties.as_deref().map(|p| PublishProperties {
        message_expiry_interval: p.expiry.map(seconds),
        content_type: p.content_type.clone(),
        response_topic: p.response_topic.clone(),
        correlation_data: p.correlation_data.clone(),
        user_properties: p.user.clone(),
        ..PublishProperties::default()
    });
    let publish = Publish {
        dup: false,
        qos: qos_out(outgoing.qos),
        retain: outgoing.retain,
        topic: outgoing.topic.as_bytes().clone(),
        pkid: packet_id,
        payload: outgoing.payload.clone(),
        properties,
    };
    publish.write(out).map(drop).map_err(|error| WireError::new(0x81, error.to_string()))
}

pub(super) fn puback(packet_id: u16, out: &mut BytesMut) -> Result<(), WireError> {
    write(&Packet::PubAck(PubAck::new(packet_id, None)), out)
}

pub(super) fn pubrec(packet_id: u16, out: &mut BytesMut) -> Result<(), WireError> {
    write(&Packet::PubRec(PubRec::new(packet_id, None)), out)
}

pub(super) fn pubcomp(packet_id: u16, out: &mut BytesMut) -> Result<(), WireError> {
    write(&Packet::PubComp(PubComp::new(packet_id, None)), out)
}

pub(super) fn pingreq(out: &mut BytesMut) -> Result<(), WireError> {
    write(&Packet::PingReq, out)
}

pub(super) fn disconnect(close: Close, out: &mut BytesMut) -> Result<(), WireError> {
    let reason = match close {
        Close::Normal | Close::Forget => DisconnectReasonCode::NormalDisconnection,
        Close::Error(0x81) => DisconnectReasonCode::MalformedPacket,
        Close::Error(0x94) => DisconnectReasonCode::TopicAliasInvalid,
        Close::Error(0x95) => DisconnectReasonCode::PacketTooLarge,
        Close::Error(_) => DisconnectReasonCode::ProtocolError,
    };
    let properties = (close == Close::Forget).then_some(DisconnectProperties {
        session_expiry_interval: Some(0),
        reason_string: None,
        user_properties: Vec::new(),
        server_reference: None,
    });
    write(&Packet::Disconnect(Disconnect { reason_code: reason, properties }), out)
}

/// DISCONNECT with a reason and no properties, not even their length (MQTT 5, 3.14.2.2.1), which the codec cannot read.
fn short_disconnect(input: &mut BytesMut) -> Option<Result<Reason, WireError>> {
    let [0xe0, 1, code, ..] = input[..] else { return None };
    input.advance(3);
    let name = DisconnectReasonCode::try_from(code).map_err(|error| wire_error(&error));
    Some(name.map(|name| Reason { code, text: words(&name, None) }))
}

/// CONNACK in the form of MQTT 3.1.1 (3.2.2.3 there), by which a broker refuses a protocol version that it does not know.
/// Under MQTT 5 it would have a length of properties.
fn refused_as_v311(input: &mut BytesMut) -> Option<ConnAck> {
    let [0x20, 2, 0, code @ 1..=5, ..] = input[..] else { return None };
    input.advance(4);
    let (code, name) = match code {
        1 => (0x84, "unacceptable protocol version"),
        2 => (0x85, "client identifier not accepted"),
        3 => (0x88, "server unavailable"),
        4 => (0x86, "bad user name or password"),
        _ => (0x87, "not authorized"),
    };
    let text = format!("{name}, in the form of MQTT 3.1.1; {SPEAK_V311}");
    Some(ConnAck { refused: Some(Reason { code, text: text.into() }), ..ConnAck::default() })
}

fn write(packet: &Packet, out: &mut BytesMut) -> Result<(), WireError> {
    packet.write(out, None).map(drop).map_err(|error| wire_error(&error))
}

fn incoming_publish(publish: Publish) -> Result<Incoming, WireError> {
    let alias = publish.properties.as_ref().and_then(|p| p.topic_alias);
    if alias.is_some() {
        // We never allow aliases (Topic Alias Maximum absent, MQTT 5, 3.1.2.11.5).
        return Err(WireError::new(0x94, "topic alias: used by the broker though none was allowed"));
    }
    if publish.topic.is_empty() {
        return Err(WireError::new(0x82, "topic name: empty, without a topic alias"));
    }
    let topic = ByteString::try_from(own(publish.topic)).map_err(|_| WireError::new(0x81, "topic name: not UTF-8"))?;
    let message = Message {
        topic,
        payload: own(publish.payload),
        qos: qos_in(publish.qos),
        retain: publish.retain,
        dup: publish.dup,
        properties: publish.properties.and_then(properties),
    };
    Ok(Incoming::Publish { packet_id: publish.pkid, message })
}

/// Nothing at all when no property of interest is there, which is the usual case and then costs no memory.
fn properties(p: PublishProperties) -> Option<Arc<Properties>> {
    let bare = p.message_expiry_interval.is_none()
        && p.content_type.is_none()
        && p.response_topic.is_none()
        && p.correlation_data.is_none()
        && p.user_properties.is_empty();
    let kept = || Properties {
        expiry: p.message_expiry_interval.map(|seconds| Duration::from_secs(seconds.into())),
        content_type: p.content_type,
        response_topic: p.response_topic,
        correlation_data: p.correlation_data.map(own),
        user: p.user_properties,
        skipped: None,
    };
    (!bare).then(|| Arc::new(kept()))
}

/// MQTT 5, 3.4.2.1: below 0x80 the broker has taken the message, if only to find that nobody wants it.
fn refusal(ack: PubAck) -> Option<Reason> {
    let code = ack.reason as u8;
    (code >= 0x80).then(|| Reason { code, text: words(&ack.reason, ack.properties.and_then(|p| p.reason_string)) })
}

fn incoming_connack(mut ack: V5ConnAck) -> ConnAck {
    let said_why = ack.properties.as_mut().and_then(|p| p.reason_string.take());
    let refused = (ack.code != ConnectReturnCode::Success)
        .then(|| Reason { code: connect_code(ack.code), text: words(&ack.code, said_why) });
    let bare = ConnAck { refused, session_present: ack.session_present, ..ConnAck::default() };
    let Some(said) = ack.properties else { return bare };
    ConnAck {
        limits: limits(&said),
        keep_alive: said.server_keep_alive.map(|seconds| Duration::from_secs(seconds.into())),
        session_expiry: said.session_expiry_interval.map(|seconds| Duration::from_secs(seconds.into())),
        assigned_client_id: said.assigned_client_identifier,
        wildcard_available: said.wildcard_subscription_available != Some(0),
        shared_available: said.shared_subscription_available != Some(0),
        subscription_ids_available: said.subscription_identifiers_available != Some(0),
        ..bare
    }
}

fn limits(said: &ConnAckProperties) -> Limits {
    let all = Limits::default();
    Limits {
        receive_maximum: said.receive_max.unwrap_or(all.receive_maximum),
        max_packet_size: said.max_packet_size.unwrap_or(all.max_packet_size),
        max_qos: match said.max_qos {
            Some(0) => Qos::AtMostOnce,
            Some(1) => Qos::AtLeastOnce,
            _ => all.max_qos,
        },
        retain: said.retain_available != Some(0),
    }
}

/// MQTT 5, 3.2.2.2.
fn connect_code(code: ConnectReturnCode) -> u8 {
    use ConnectReturnCode as C;
    match code {
        C::Success => 0x00,
        C::MalformedPacket => 0x81,
        C::ProtocolError => 0x82,
        C::ImplementationSpecificError => 0x83,
        C::UnsupportedProtocolVersion | C::RefusedProtocolVersion => 0x84,
        C::ClientIdentifierNotValid | C::BadClientId => 0x85,
        C::BadUserNamePassword => 0x86,
        C::NotAuthorized => 0x87,
        C::ServerUnavailable | C::ServiceUnavailable => 0x88,
        C::ServerBusy => 0x89,
        C::Banned => 0x8a,
        C::BadAuthenticationMethod => 0x8c,
        C::TopicNameInvalid => 0x90,
        C::PacketTooLarge => 0x95,
        C::QuotaExceeded => 0x97,
        C::PayloadFormatInvalid => 0x99,
        C::RetainNotSupported => 0x9a,
        C::QoSNotSupported => 0x9b,
        C::UseAnotherServer => 0x9c,
        C::ServerMoved => 0x9d,
        C::ConnectionRateExceeded => 0x9f,
        C::UnspecifiedError => 0x80,
    }
}

/// MQTT 5, 3.9.3.
fn subscribe_code(code: SubscribeReasonCode) -> u8 {
    use SubscribeReasonCode as S;
    match code {
        S::Success(qos) => qos as u8,
        S::Failure | S::Unspecified => 0x80,
        S::ImplementationSpecific => 0x83,
        S::NotAuthorized => 0x87,
        S::TopicFilterInvalid => 0x8f,
        S::PkidInUse => 0x91,
        S::QuotaExceeded => 0x97,
        S::SharedSubscriptionsNotSupported => 0x9e,
        S::SubscriptionIdNotSupported => 0xa1,
        S::WildcardSubscriptionsNotSupported => 0xa2,
    }
}

/// The name of a reason, as in `not authorized: no such user`.
fn words(name: &dyn std::fmt::Debug, said: Option<String>) -> Foreign {
    let mut text = String::new();
    for (index, letter) in format!("{name:?}").chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    Foreign::behind(&text, said.as_deref().unwrap_or_default())
}

fn wire_error(error: &Error) -> WireError {
    let code = match error {
        Error::PayloadSizeLimitExceeded { .. } => 0x95,
        Error::ProtocolViolation(reason) => *reason as u8,
        Error::ProtocolError | Error::EmptySubscription | Error::PacketIdZero => 0x82,
        _ => 0x81,
    };
    WireError::new(code, format!("packet from the broker: {error}"))
}

fn name(packet: &Packet) -> &'static str {
    match packet {
        Packet::Auth(_) => "AUTH",
        Packet::PubRec(_) => "PUBREC",
        Packet::PubComp(_) => "PUBCOMP",
        _ => "a packet that only clients send",
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn qos_in(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn qos_out(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let Some(Incoming::ConnAck(ConnAck { refused: Some(reason), .. })) = decode(&mut input, 1000).unwrap()
            else {
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
        for bytes in [&[0x40, 0x02, 0, 1][..], &[0x40, 0x03, 0, 1, 0x10]] {
            let packet = decode(&mut BytesMut::from(bytes), 1000).unwrap();
            assert!(
                matches!(packet, Some(Incoming::PubAck { packet_id: 1, refused: None })),
                "{bytes:02x?} {packet:?}"
            );
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
        assert!(matches!(packet, Some(Incoming::UnsubAck { packet_id: 2, codes }) if codes == [0x11, 0x87]));
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
}
