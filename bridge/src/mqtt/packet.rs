//! The packets a subscriber meets, free of protocol version: what [`v4`](super::v4) and [`v5`](super::v5) decode into.

use std::time::Duration;

use crate::message::Message;

/// A packet from the broker.
#[derive(Debug)]
pub enum Incoming {
    /// The answer to CONNECT.
    ConnAck(ConnAck),
    /// A message. `packet_id` is 0 at QoS 0.
    Publish {
        /// What PUBACK or PUBREC must name.
        packet_id: u16,
        /// The message itself.
        message: Message,
    },
    /// QoS 2: the packet identifier is free again, after PUBCOMP.
    PubRel(u16),
    /// The answer to SUBSCRIBE, a reason code for each filter.
    SubAck {
        /// The SUBSCRIBE it answers.
        packet_id: u16,
        /// As on the wire: the granted QoS, or 0x80 and above.
        codes: Vec<u8>,
    },
    /// The answer to PINGREQ.
    PingResp,
    /// The broker closes the connection (MQTT 5).
    Disconnect(Reason),
    /// A packet that a broker must never send to a subscriber, by name.
    Unexpected(&'static str),
}

/// What the broker says to CONNECT.
#[derive(Debug)]
pub struct ConnAck {
    /// Why it refuses, when it does.
    pub refused: Option<Reason>,
    /// Whether it kept the session: un-acknowledged messages come again, and the subscription stands.
    pub session_present: bool,
    /// The keep alive to use in place of the one asked for (MQTT 5, 3.2.2.3.14).
    pub keep_alive: Option<Duration>,
}

/// Why a broker refused or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The reason code (MQTT 5, 2.4; under MQTT 3.1.1 the equal MQTT 5 code).
    pub code: u8,
    /// Its name, and the broker's own words where it gave some.
    pub text: String,
}

impl Reason {
    /// MQTT 5, 3.14.2.1: another connection uses the same client id.
    pub const SESSION_TAKEN_OVER: u8 = 0x8e;

    /// Whether a person or a clock has to change something before another try can succeed: bad credentials, a ban, an
    /// unacceptable client id, or another process with the same client id.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self.code, 0x84 | 0x85 | 0x86 | 0x87 | 0x8a | 0x8c | Self::SESSION_TAKEN_OVER | 0x9c | 0x9d)
    }
}

/// A broken packet, with the reason code that the broker shall hear (MQTT 5, 4.13).
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct WireError {
    /// 0x81 malformed, 0x82 protocol error, 0x94 topic alias invalid, 0x95 packet too large.
    pub code: u8,
    /// What is wrong.
    pub text: String,
}
