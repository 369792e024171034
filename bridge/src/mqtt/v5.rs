//! MQTT 5 on the wire: only this file and its folder name the MQTT 5 crate. Translates packets; decides nothing.

mod reason;
mod received;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::QoS;
use rumqttc::mqttbytes::v5::{
    Connect, ConnectAuth, ConnectProperties, Disconnect, DisconnectProperties, DisconnectReasonCode, LastWill,
    LastWillProperties, Packet, PubAck, PubComp, PubRec, Publish, PublishProperties, RetainForwardRule, Subscribe,
    SubscribeFilter, SubscribeProperties, Unsubscribe,
};

use super::packet::{Auth, Close, Hello, Subscription, WireError};
use crate::config::Qos;
use crate::outgoing::Outgoing;
use crate::secret::Secret;
use reason::wire_error;

pub(super) use received::decode;

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
    let will = hello.will.as_ref().map(|will| LastWill {
        topic: will.topic.clone().into(),
        message: will.payload.clone(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: Some(LastWillProperties {
            delay_interval: Some(seconds(will.delay)),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        }),
    });
    write(&Packet::Connect(connect, will, connect_auth(auth)), out)
}

/// MQTT 5 knows each without the other (3.1.2.8 and 3.1.2.9). The copy of the password is wiped when the packet is
/// dropped.
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
    let filter = |filter: &&str| SubscribeFilter {
        path: (*filter).to_owned(),
        qos: qos_out(subscription.qos),
        nolocal: false,
        preserve_retain: false,
        // So that subscribing again does not repeat retained messages (MQTT 5, 3.3.1-10).
        retain_forward_rule: RetainForwardRule::OnNewSubscribe,
    };
    let filters = subscription.topic_filters.iter().map(filter).collect();
    let id = subscription.identifier.and_then(|id| usize::try_from(id).ok());
    let properties = id.map(|id| SubscribeProperties { id: Some(id), user_properties: Vec::new() });
    write(&Packet::Subscribe(Subscribe { pkid: subscription.packet_id, filters, properties }), out)
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

fn write(packet: &Packet, out: &mut BytesMut) -> Result<(), WireError> {
    packet.write(out, None).map(drop).map_err(|error| wire_error(&error))
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn qos_out(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests;
