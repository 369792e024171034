//! One protocol version's way of writing and reading: a choice between [`v4`](super::v4) and [`v5`](super::v5).

use bytes::BytesMut;

use super::ledger::Ack;
use super::packet::{Auth, Close, Hello, Incoming, Subscription, WireError};
use super::{v4, v5};
use crate::config::{Protocol, Qos};
use crate::outgoing::Outgoing;

/// The protocol version in use.
#[derive(Debug, Clone, Copy)]
pub struct Wire(pub Protocol);

impl Wire {
    /// Takes the next whole packet from `input`, `None` when there is none yet.
    ///
    /// # Errors
    /// When the bytes are no packet that a broker may send; the connection must then be closed.
    pub fn decode(self, input: &mut BytesMut, max_packet_size: u32) -> Result<Option<Incoming>, WireError> {
        match self.0 {
            Protocol::V311 => v4::decode(input, max_packet_size),
            Protocol::V5 => v5::decode(input, max_packet_size),
        }
    }

    /// Writes CONNECT.
    ///
    /// # Errors
    /// When a field is longer than the protocol can carry.
    pub fn connect(self, hello: &Hello, auth: &Auth<'_>, out: &mut BytesMut) -> Result<(), WireError> {
        match self.0 {
            Protocol::V311 => v4::connect(hello, auth, out),
            Protocol::V5 => v5::connect(hello, auth, out),
        }
    }

    /// Writes SUBSCRIBE.
    ///
    /// # Errors
    /// When a field is longer than the protocol can carry.
    pub fn subscribe(self, subscription: &Subscription<'_>, out: &mut BytesMut) -> Result<(), WireError> {
        match self.0 {
            Protocol::V311 => v4::subscribe(subscription, out),
            Protocol::V5 => v5::subscribe(subscription, out),
        }
    }

    /// Writes UNSUBSCRIBE for these filters, of which there must be one.
    ///
    /// # Errors
    /// When a field is longer than the protocol can carry.
    pub fn unsubscribe(self, packet_id: u16, filters: Vec<String>, out: &mut BytesMut) -> Result<(), WireError> {
        match self.0 {
            Protocol::V311 => v4::unsubscribe(packet_id, filters, out),
            Protocol::V5 => v5::unsubscribe(packet_id, filters, out),
        }
    }

    /// Writes PUBLISH. `packet_id` is 0 at QoS 0. After an error `out` may hold part of it.
    ///
    /// # Errors
    /// When the topic is no topic name, or a field is longer than the protocol can carry.
    pub fn publish(self, packet_id: u16, outgoing: &Outgoing, out: &mut BytesMut) -> Result<(), WireError> {
        match self.0 {
            Protocol::V311 => v4::publish(packet_id, outgoing, out),
            Protocol::V5 => v5::publish(packet_id, outgoing, out),
        }
    }

    /// Writes PUBACK or PUBREC.
    ///
    /// # Errors
    /// Never for an identifier that the broker gave.
    pub fn ack(self, ack: Ack, out: &mut BytesMut) -> Result<(), WireError> {
        match (self.0, ack.qos) {
            (_, Qos::AtMostOnce) => Ok(()),
            (Protocol::V311, Qos::AtLeastOnce) => v4::puback(ack.packet_id, out),
            (Protocol::V311, Qos::ExactlyOnce) => v4::pubrec(ack.packet_id, out),
            (Protocol::V5, Qos::AtLeastOnce) => v5::puback(ack.packet_id, out),
            (Protocol::V5, Qos::ExactlyOnce) => v5::pubrec(ack.packet_id, out),
        }
    }

    /// Writes PUBCOMP.
    ///
    /// # Errors
    /// Never for an identifier that the broker gave.
    pub fn pubcomp(self, packet_id: u16, out: &mut BytesMut) -> Result<(), WireError> {
        match self.0 {
            Protocol::V311 => v4::pubcomp(packet_id, out),
            Protocol::V5 => v5::pubcomp(packet_id, out),
        }
    }

    /// Writes PINGREQ.
    ///
    /// # Errors
    /// Never.
    pub fn pingreq(self, out: &mut BytesMut) -> Result<(), WireError> {
        match self.0 {
            Protocol::V311 => v4::pingreq(out),
            Protocol::V5 => v5::pingreq(out),
        }
    }

    /// Writes DISCONNECT. MQTT 3.1.1 cannot tell an error (3.14), so there nothing is written for one.
    ///
    /// # Errors
    /// Never.
    pub fn disconnect(self, close: Close, out: &mut BytesMut) -> Result<(), WireError> {
        match (self.0, close) {
            (Protocol::V311, Close::Normal | Close::Forget) => v4::disconnect(out),
            (Protocol::V311, Close::Error(_)) => Ok(()),
            (Protocol::V5, close) => v5::disconnect(close, out),
        }
    }
}
