//! Translates the packets of a broker from bytes into the bridge's own types.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use bytestring::ByteString;
use rumqttc::QoS;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v5::{
    ConnAck as V5ConnAck, ConnAckProperties, ConnectReturnCode, DisconnectReasonCode, Packet, PubAck, Publish,
    PublishProperties,
};

use super::reason::{connect_code, subscribe_code, wire_error, words};
use crate::config::Qos;
use crate::foreign::Foreign;
use crate::message::{Message, Properties};
use crate::mqtt::buffer::{own, own_both};
use crate::mqtt::packet::{ConnAck, Incoming, Limits, Reason, SPEAK_V311, WireError};

/// MQTT 5, 3.4.2.1.
const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;

pub(in crate::mqtt) fn decode(input: &mut BytesMut, max_packet_size: u32) -> Result<Option<Incoming>, WireError> {
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
            said: said(ack.properties.and_then(|p| p.reason_string)),
        },
        Packet::UnsubAck(ack) => Incoming::UnsubAck {
            packet_id: ack.pkid,
            codes: ack.reasons.iter().map(|reason| *reason as u8).collect(),
            said: said(ack.properties.and_then(|p| p.reason_string)),
        },
        Packet::PubAck(ack) => Incoming::PubAck {
            packet_id: ack.pkid,
            unheard: ack.reason as u8 == NO_MATCHING_SUBSCRIBERS,
            refused: refusal(ack),
        },
        Packet::Disconnect(bye) => Incoming::Disconnect(Reason {
            code: bye.reason_code as u8,
            text: words(&bye.reason_code, bye.properties.and_then(|p| p.reason_string)),
        }),
        other => Incoming::Unexpected(name(&other)),
    }))
}

/// DISCONNECT with a reason and no properties, not even their length (MQTT 5, 3.14.2.2.1), which the codec cannot read.
fn short_disconnect(input: &mut BytesMut) -> Option<Result<Reason, WireError>> {
    let [0xe0, 1, code, ..] = input[..] else { return None };
    input.advance(3);
    let name = DisconnectReasonCode::try_from(code).map_err(|error| wire_error(&error));
    Some(name.map(|name| Reason { code, text: words(&name, None) }))
}

/// CONNACK in the form of MQTT 3.1.1 (3.2.2.3 there), by which a broker refuses a protocol version that it does not
/// know. Under MQTT 5 it would have a length of properties.
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

pub(super) fn incoming_publish(publish: Publish) -> Result<Incoming, WireError> {
    let alias = publish.properties.as_ref().and_then(|p| p.topic_alias);
    if alias.is_some() {
        // We never allow aliases (Topic Alias Maximum absent, MQTT 5, 3.1.2.11.5).
        return Err(WireError::new(0x94, "topic alias: used by the broker though none was allowed"));
    }
    if publish.topic.is_empty() {
        return Err(WireError::new(0x82, "topic name: empty, without a topic alias"));
    }
    let (topic, payload) = own_both(publish.topic, publish.payload);
    let topic = ByteString::try_from(topic).map_err(|_| WireError::new(0x81, "topic name: not UTF-8"))?;
    let said = publish.properties.iter().flat_map(|p| &p.subscription_identifiers);
    let subscriptions = said.filter_map(|id| u32::try_from(*id).ok()).collect();
    let message = Message {
        topic,
        payload,
        qos: qos_in(publish.qos),
        retain: publish.retain,
        dup: publish.dup,
        properties: publish.properties.and_then(properties),
    };
    Ok(Incoming::Publish { packet_id: publish.pkid, message, subscriptions })
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
        ..Properties::default()
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

fn said(reason_string: Option<String>) -> Option<Foreign> {
    reason_string.map(|text| Foreign::of(&text))
}

fn name(packet: &Packet) -> &'static str {
    match packet {
        Packet::Auth(_) => "AUTH",
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
