//! MQTT 3.1.1 on the wire: the only file that names the MQTT 3.1.1 crate. Translates packets; decides nothing.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use rumqttc_v4::QoS;
use rumqttc_v4::mqttbytes::Error;
use rumqttc_v4::mqttbytes::v4::{
    ConnAck as V4ConnAck, Connect, ConnectAuth, ConnectReturnCode, Disconnect, LastWill, Packet, PingReq, PubAck,
    PubComp, PubRec, Publish, Subscribe, SubscribeFilter, SubscribeReasonCode, Unsubscribe,
};

use super::buffer::own_both;
use super::packet::{Auth, ConnAck, Hello, Incoming, Reason, Subscription, WireError};
use crate::config::Qos;
use crate::message::Message;
use crate::outgoing::Outgoing;

pub(super) fn decode(input: &mut BytesMut, max_packet_size: u32) -> Result<Option<Incoming>, WireError> {
    let before = input.len();
    let packet = match Packet::read(input, max_packet_size as usize) {
        Ok(packet) => packet,
        // Once the crate has taken the bytes of a packet, what it misses is missing inside it: it is malformed.
        Err(Error::InsufficientBytes(_)) if input.len() == before => return Ok(None),
        Err(error) => return Err(wire_error(&error)),
    };
    Ok(Some(match packet {
        Packet::Publish(publish) => incoming_publish(publish)?,
        Packet::PubRel(release) => Incoming::PubRel(release.pkid),
        Packet::PingResp => Incoming::PingResp,
        Packet::ConnAck(ack) => Incoming::ConnAck(incoming_connack(&ack)),
        Packet::SubAck(ack) => Incoming::SubAck {
            packet_id: ack.pkid,
            codes: ack.return_codes.iter().map(|code| subscribe_code(*code)).collect(),
            said: None,
        },
        Packet::UnsubAck(ack) => Incoming::UnsubAck { packet_id: ack.pkid, codes: Vec::new(), said: None },
        // There is no refusal: a broker that will not have a message closes the connection, or says nothing (3.3.5).
        Packet::PubAck(ack) => Incoming::PubAck { packet_id: ack.pkid, refused: None, unheard: false },
        // Only clients may send it (3.14), but there are brokers that do when another client takes the session over.
        Packet::Disconnect => Incoming::Disconnect(Reason { code: 0x80, text: "without a reason".into() }),
        other => Incoming::Unexpected(name(&other)),
    }))
}

pub(super) fn connect(hello: &Hello, auth: &Auth<'_>, out: &mut BytesMut) -> Result<(), WireError> {
    let mut connect = Connect::new(hello.client_id.as_str());
    connect.keep_alive = u16::try_from(hello.keep_alive.as_secs()).unwrap_or(u16::MAX);
    connect.clean_session = hello.clean_start;
    connect.last_will = hello.will.as_ref().map(|will| LastWill {
        topic: will.topic.clone(),
        message: will.payload.clone(),
        qos: QoS::AtLeastOnce,
        retain: true,
    });
    let username = || auth.username.unwrap_or_default().to_owned();
    connect.auth = match (auth.username, auth.password) {
        (None, None) => ConnectAuth::None,
        (Some(_), None) => ConnectAuth::Username { username: username() },
        // Wiped when the packet is dropped.
        (Some(_), Some(secret)) => {
            ConnectAuth::UsernamePassword { username: username(), password: Bytes::from_owner(secret.clone()) }
        }
        // 3.1.2-22. The configuration refuses it before.
        (None, Some(_)) => {
            return Err(WireError::new(0x82, "CONNECT: a password without a user name"));
        }
    };
    write(&Packet::Connect(connect), out)
}

pub(super) fn subscribe(subscription: &Subscription<'_>, out: &mut BytesMut) -> Result<(), WireError> {
    let filter = |filter: &&str| SubscribeFilter::new((*filter).to_owned(), qos_out(subscription.qos));
    let mut subscribe = Subscribe::new_many(subscription.topic_filters.iter().map(filter));
    subscribe.pkid = subscription.packet_id;
    write(&Packet::Subscribe(subscribe), out)
}

pub(super) fn unsubscribe(packet_id: u16, filters: Vec<String>, out: &mut BytesMut) -> Result<(), WireError> {
    write(&Packet::Unsubscribe(Unsubscribe { pkid: packet_id, topics: filters }), out)
}

pub(super) fn publish(packet_id: u16, outgoing: &Outgoing, out: &mut BytesMut) -> Result<(), WireError> {
    let publish = Publish {
        dup: false,
        qos: qos_out(outgoing.qos),
        retain: outgoing.retain,
        topic: outgoing.topic.as_bytes().clone(),
        pkid: packet_id,
        payload: outgoing.payload.clone(),
    };
    publish.write(out).map(drop).map_err(|error| WireError::new(0x81, error.to_string()))
}

pub(super) fn puback(packet_id: u16, out: &mut BytesMut) -> Result<(), WireError> {
    write(&Packet::PubAck(PubAck::new(packet_id)), out)
}

pub(super) fn pubrec(packet_id: u16, out: &mut BytesMut) -> Result<(), WireError> {
    write(&Packet::PubRec(PubRec::new(packet_id)), out)
}

pub(super) fn pubcomp(packet_id: u16, out: &mut BytesMut) -> Result<(), WireError> {
    write(&Packet::PubComp(PubComp::new(packet_id)), out)
}

pub(super) fn pingreq(out: &mut BytesMut) -> Result<(), WireError> {
    PingReq.write(out).map(drop).map_err(|error| wire_error(&error))
}

pub(super) fn disconnect(out: &mut BytesMut) -> Result<(), WireError> {
    Disconnect.write(out).map(drop).map_err(|error| wire_error(&error))
}

fn write(packet: &Packet, out: &mut BytesMut) -> Result<(), WireError> {
    packet.write(out, usize::MAX).map(drop).map_err(|error| wire_error(&error))
}

fn incoming_publish(publish: Publish) -> Result<Incoming, WireError> {
    let (topic, payload) = own_both(publish.topic, publish.payload);
    let topic = ByteString::try_from(topic).map_err(|_| WireError::new(0x81, "topic name: not UTF-8"))?;
    if topic.is_empty() {
        return Err(WireError::new(0x82, "topic name: empty"));
    }
    let message = Message {
        topic,
        payload,
        qos: qos_in(publish.qos),
        retain: publish.retain,
        dup: publish.dup,
        properties: None,
    };
    Ok(Incoming::Publish { packet_id: publish.pkid, message, subscriptions: Vec::new() })
}

/// MQTT 3.1.1, 3.2.2.3, as the reason codes of MQTT 5 that mean the same.
fn incoming_connack(ack: &V4ConnAck) -> ConnAck {
    let refused = match ack.code {
        ConnectReturnCode::Success => None,
        ConnectReturnCode::RefusedProtocolVersion => Some((0x84, "unacceptable protocol version")),
        ConnectReturnCode::BadClientId => Some((0x85, "client identifier not accepted")),
        ConnectReturnCode::ServiceUnavailable => Some((0x88, "server unavailable")),
        ConnectReturnCode::BadUserNamePassword => Some((0x86, "bad user name or password")),
        ConnectReturnCode::NotAuthorized => Some((0x87, "not authorized")),
    };
    ConnAck {
        refused: refused.map(|(code, text)| Reason { code, text: text.into() }),
        session_present: ack.session_present,
        ..ConnAck::default()
    }
}

fn subscribe_code(code: SubscribeReasonCode) -> u8 {
    match code {
        SubscribeReasonCode::Success(qos) => qos as u8,
        SubscribeReasonCode::Failure => 0x80,
    }
}

fn wire_error(error: &Error) -> WireError {
    let code = if matches!(error, Error::PayloadSizeLimitExceeded(_)) { 0x95 } else { 0x81 };
    WireError::new(code, format!("packet from the broker: {error}"))
}

fn name(packet: &Packet) -> &'static str {
    match packet {
        Packet::PubRec(_) => "PUBREC",
        Packet::PubComp(_) => "PUBCOMP",
        _ => "a packet that only clients send",
    }
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
    use std::time::Duration;

    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_password_goes_with_a_user_name_or_not_at_all() {
        let hello = Hello {
            client_id: "c".into(),
            clean_start: false,
            keep_alive: Duration::from_secs(30),
            session_expiry: Duration::ZERO,
            receive_maximum: 1,
            will: None,
        };
        let secret = Secret::password(b"xyz".to_vec()).unwrap();
        let connected_as = |username, password| {
            let mut out = BytesMut::new();
            connect(&hello, &Auth { username, password }, &mut out).map(|()| out)
        };
        for (username, password, flags, end) in [
            (None, None, 0x00, &b"\0\x01c"[..]),
            (Some("ab"), None, 0x80, b"\0\x01c\0\x02ab"),
            (Some("ab"), Some(&secret), 0xc0, b"\0\x01c\0\x02ab\0\x03xyz"),
        ] {
            let out = connected_as(username, password).unwrap();
            assert_eq!(out[9], flags, "{username:?}");
            assert!(out.ends_with(end), "{username:?}: {out:02x?}");
        }
        assert_eq!(connected_as(None, Some(&secret)).unwrap_err().code, 0x82, "3.1.2-22");
    }
}
