//! The packets that a client sends to a scripted broker, without protocol version.

use std::time::Instant;

use bridge::config::Protocol;
use bytes::{Bytes, BytesMut};

/// A packet from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// CONNECT.
    Connect(Connect),
    /// SUBSCRIBE.
    Subscribe(Subscribe),
    /// PUBACK or PUBREC.
    Ack(Ack),
    /// PUBCOMP, by its packet id.
    Complete(u16),
    /// PUBLISH.
    Publish {
        /// 0 at QoS 0.
        packet_id: u16,
        /// The topic.
        topic: Bytes,
        /// The message.
        payload: Bytes,
        /// MQTT 5.
        properties: Box<Properties>,
    },
    /// UNSUBSCRIBE.
    Unsubscribe {
        /// What UNSUBACK must name.
        packet_id: u16,
        /// The filters.
        filters: Vec<String>,
    },
    /// PINGREQ.
    PingReq,
    /// DISCONNECT, with its reason code, 0 under MQTT 3.1.1, and the Session Expiry Interval that replaces that of CONNECT.
    Disconnect(u8, Option<u32>),
    /// A packet by its name, or bytes that are none.
    Other(String),
}

/// The properties of PUBLISH that a subscriber's answers have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// Which request it answers.
    pub correlation_data: Option<Bytes>,
    /// User properties, in their order.
    pub user: Vec<(String, String)>,
}

/// CONNECT, as far as a subscriber's promises go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Who it is.
    pub client_id: String,
    /// Clean Start, or Clean Session.
    pub clean_start: bool,
    /// In seconds.
    pub keep_alive: u16,
    /// MQTT 5, in seconds.
    pub session_expiry: Option<u32>,
    /// MQTT 5.
    pub receive_maximum: Option<u16>,
    /// MQTT 5, in bytes.
    pub max_packet_size: Option<u32>,
    /// MQTT 5.
    pub topic_alias_maximum: Option<u16>,
}

/// SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// What SUBACK must name.
    pub packet_id: u16,
    /// The first filter.
    pub filter: String,
    /// The others; the rest of what is said here is said of the first.
    pub more: Vec<String>,
    /// MQTT 5.
    pub identifier: Option<usize>,
    /// The QoS asked for.
    pub qos: u8,
    /// MQTT 5; false under MQTT 3.1.1.
    pub no_local: bool,
    /// MQTT 5; 0 under MQTT 3.1.1.
    pub retain_handling: u8,
}

/// PUBACK or PUBREC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// What it acknowledges.
    pub packet_id: u16,
    /// Whether it is PUBREC.
    pub received: bool,
    /// MQTT 5; 0 under MQTT 3.1.1.
    pub reason: u8,
}

/// A packet, when it came, and on which connection, counted from 1.
#[derive(Debug, Clone)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// On which connection.
    pub connection: usize,
    /// What.
    pub packet: Packet,
}

/// The next whole packet; `None` when there is none yet.
pub(crate) fn decode(protocol: Protocol, bytes: &mut BytesMut) -> Option<Packet> {
    match protocol {
        Protocol::V5 => v5(bytes),
        Protocol::V311 => v311(bytes),
    }
}

fn v5(bytes: &mut BytesMut) -> Option<Packet> {
    use rumqttc::mqttbytes::Error;
    use rumqttc::mqttbytes::v5::{Packet as P, RetainForwardRule as R};
    let packet = match P::read(bytes, None) {
        Ok(packet) => packet,
        Err(Error::InsufficientBytes(_)) => return None,
        Err(error) => return Some(broken(bytes, &error)),
    };
    Some(match packet {
        P::Connect(connect, ..) => {
            let properties = connect.properties.unwrap_or_default();
            Packet::Connect(Connect {
                client_id: connect.client_id,
                clean_start: connect.clean_start,
                keep_alive: connect.keep_alive,
                session_expiry: properties.session_expiry_interval,
                receive_maximum: properties.receive_maximum,
                max_packet_size: properties.max_packet_size,
                topic_alias_maximum: properties.topic_alias_max,
            })
        }
        P::Subscribe(subscribe) if !subscribe.filters.is_empty() => {
            let filter = &subscribe.filters[0];
            Packet::Subscribe(Subscribe {
                packet_id: subscribe.pkid,
                filter: filter.path.clone(),
                more: subscribe.filters[1..].iter().map(|filter| filter.path.clone()).collect(),
                identifier: subscribe.properties.as_ref().and_then(|properties| properties.id),
                qos: filter.qos as u8,
                no_local: filter.nolocal,
                retain_handling: match filter.retain_forward_rule {
                    R::OnEverySubscribe => 0,
                    R::OnNewSubscribe => 1,
                    R::Never => 2,
                },
            })
        }
        P::PubAck(ack) => Packet::Ack(Ack { packet_id: ack.pkid, received: false, reason: ack.reason as u8 }),
        P::PubRec(ack) => Packet::Ack(Ack { packet_id: ack.pkid, received: true, reason: ack.reason as u8 }),
        P::PubComp(done) => Packet::Complete(done.pkid),
        P::Publish(p) => {
            let properties = p.properties.unwrap_or_default();
            Packet::Publish {
                packet_id: p.pkid,
                topic: p.topic,
                payload: p.payload,
                properties: Box::new(Properties {
                    correlation_data: properties.correlation_data,
                    user: properties.user_properties,
                }),
            }
        }
        P::Unsubscribe(unsubscribe) => {
            Packet::Unsubscribe { packet_id: unsubscribe.pkid, filters: unsubscribe.filters }
        }
        P::PingReq => Packet::PingReq,
        P::Disconnect(bye) => {
            let expiry = bye.properties.and_then(|properties| properties.session_expiry_interval);
            Packet::Disconnect(bye.reason_code as u8, expiry)
        }
        other => Packet::Other(format!("{:?}", other.packet_type())),
    })
}

fn v311(bytes: &mut BytesMut) -> Option<Packet> {
    use rumqttc_v4::mqttbytes::Error;
    use rumqttc_v4::mqttbytes::v4::Packet as P;
    let packet = match P::read(bytes, usize::MAX) {
        Ok(packet) => packet,
        Err(Error::InsufficientBytes(_)) => return None,
        Err(error) => return Some(broken(bytes, &error)),
    };
    Some(match packet {
        P::Connect(connect) => Packet::Connect(Connect {
            client_id: connect.client_id,
            clean_start: connect.clean_session,
            keep_alive: connect.keep_alive,
            session_expiry: None,
            receive_maximum: None,
            max_packet_size: None,
            topic_alias_maximum: None,
        }),
        P::Subscribe(subscribe) if !subscribe.filters.is_empty() => {
            let filter = &subscribe.filters[0];
            let (packet_id, qos) = (subscribe.pkid, filter.qos as u8);
            Packet::Subscribe(Subscribe {
                packet_id,
                filter: filter.path.clone(),
                more: subscribe.filters[1..].iter().map(|filter| filter.path.clone()).collect(),
                identifier: None,
                qos,
                no_local: false,
                retain_handling: 0,
            })
        }
        P::PubAck(ack) => Packet::Ack(Ack { packet_id: ack.pkid, received: false, reason: 0 }),
        P::PubRec(ack) => Packet::Ack(Ack { packet_id: ack.pkid, received: true, reason: 0 }),
        P::PubComp(done) => Packet::Complete(done.pkid),
        P::Publish(p) => {
            Packet::Publish { packet_id: p.pkid, topic: p.topic, payload: p.payload, properties: Box::default() }
        }
        P::Unsubscribe(unsubscribe) => Packet::Unsubscribe { packet_id: unsubscribe.pkid, filters: unsubscribe.topics },
        P::PingReq => Packet::PingReq,
        P::Disconnect => Packet::Disconnect(0, None),
        other => Packet::Other(format!("{:?}", other.packet_type())),
    })
}

/// Nothing that follows can be understood either.
fn broken(bytes: &mut BytesMut, error: &dyn std::fmt::Display) -> Packet {
    bytes.clear();
    Packet::Other(format!("bytes that are no packet: {error}"))
}
