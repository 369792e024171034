//! The packets of a client, without protocol version: [`v4`](super::v4) and [`v5`](super::v5) decode into these types.

use std::time::Duration;

use bytes::Bytes;

use crate::config::Qos;
use crate::foreign::Foreign;
use crate::message::Message;
use crate::secret::Secret;

/// The largest packet that MQTT knows (MQTT 5, 2.1.4); a smaller limit would lose messages silently.
pub const MAX_PACKET_SIZE: u32 = 268_435_460;

/// The way out where a broker refuses MQTT 5 in the words of MQTT 3.1.1, or closes the connection upon CONNECT.
pub const SPEAK_V311: &str = "if the broker does not speak MQTT 5, set `mqtt.protocol = \"3.1.1\"`";

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
        /// The identifiers of the subscriptions that it belongs to, where the broker says so (MQTT 5, 3.3.2.3.8).
        subscriptions: Vec<u32>,
    },
    /// QoS 2: the packet identifier is free again, after PUBCOMP.
    PubRel(u16),
    /// The answer to SUBSCRIBE, a reason code for each filter.
    SubAck {
        /// The SUBSCRIBE it answers.
        packet_id: u16,
        /// As on the wire: the granted QoS, or 0x80 and above.
        codes: Vec<u8>,
        /// The broker's own words, if it has any (MQTT 5, 3.9.2.1.2).
        said: Option<Foreign>,
    },
    /// The answer to UNSUBSCRIBE.
    UnsubAck {
        /// The UNSUBSCRIBE it answers.
        packet_id: u16,
        /// A reason code for each filter; none under MQTT 3.1.1, where it cannot be refused.
        codes: Vec<u8>,
        /// The broker's own words, if it has any (MQTT 5, 3.11.2.1.2).
        said: Option<Foreign>,
    },
    /// The answer to a PUBLISH of ours at QoS 1.
    PubAck {
        /// The PUBLISH it answers.
        packet_id: u16,
        /// Why the broker refuses it, when it does. That nobody has subscribed is no refusal.
        refused: Option<Reason>,
        /// Nobody has subscribed, so the broker drops it (MQTT 5, 3.4.2.1). It may say so, and need not.
        unheard: bool,
    },
    /// The answer to PINGREQ.
    PingResp,
    /// The broker closes the connection.
    Disconnect(Reason),
    /// A packet that a broker must never send to this client, by name.
    Unexpected(&'static str),
}

/// The broker's answer to CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the packet, and none excludes another")]
pub struct ConnAck {
    /// Why it refuses, when it does.
    pub refused: Option<Reason>,
    /// Whether it kept the session: un-acknowledged messages come again, and the subscription stands.
    pub session_present: bool,
    /// The keep alive to use in place of the one asked for (MQTT 5, 3.2.2.3.14). Zero is an answer too: the broker does
    /// not watch the connection.
    pub keep_alive: Option<Duration>,
    /// How long it keeps the session without a connection; absent means as long as CONNECT asked for (MQTT 5,
    /// 3.2.2.3.2).
    pub session_expiry: Option<Duration>,
    /// The client id the broker chose, for a client that named none (MQTT 5, 3.2.2.3.7).
    pub assigned_client_id: Option<String>,
    /// Whether topic filters may hold wildcards (MQTT 5, 3.2.2.3.11).
    pub wildcard_available: bool,
    /// Whether there are shared subscriptions (MQTT 5, 3.2.2.3.13).
    pub shared_available: bool,
    /// Whether subscriptions may have identifiers (MQTT 5, 3.2.2.3.12).
    pub subscription_ids_available: bool,
    /// The limits for a publisher.
    pub limits: Limits,
}

impl Default for ConnAck {
    /// Accepted, a new session, everything available and nothing limited: what an absent property means (MQTT 5,
    /// 3.2.2.3).
    fn default() -> Self {
        Self {
            refused: None,
            session_present: false,
            keep_alive: None,
            session_expiry: None,
            assigned_client_id: None,
            wildcard_available: true,
            shared_available: true,
            subscription_ids_available: true,
            limits: Limits::default(),
        }
    }
}

/// A broker's limits for a publisher (MQTT 5, 3.2.2.3). The default, which is MQTT 3.1.1's too, takes everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many PUBLISH packets of QoS 1 may wait for their PUBACK.
    pub receive_maximum: u16,
    /// The size of the largest packet, in bytes.
    pub max_packet_size: u32,
    /// The highest quality of service.
    pub max_qos: Qos,
    /// Whether it keeps retained messages.
    pub retain: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { receive_maximum: u16::MAX, max_packet_size: MAX_PACKET_SIZE, max_qos: Qos::ExactlyOnce, retain: true }
    }
}

/// Why a broker refused something or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The reason code (MQTT 5, 2.4; under MQTT 3.1.1 the equal MQTT 5 code).
    pub code: u8,
    /// Its name, and the broker's own words where it gave some.
    pub text: Foreign,
}

impl Reason {
    /// MQTT 5, 3.14.2.1: another connection uses the same client id.
    pub const SESSION_TAKEN_OVER: u8 = 0x8e;

    /// Whether the broker does not know us or does not believe us: bad user name or password, not authorized, bad
    /// authentication method.
    #[must_use]
    pub fn is_authentication(&self) -> bool {
        matches!(self.code, 0x86 | 0x87 | 0x8c)
    }

    /// Whether a person or a clock has to change something before another try can succeed: bad credentials, a ban, an
    /// unacceptable client id, or another process with the same client id.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self.code, 0x84 | 0x85 | 0x86 | 0x87 | 0x8a | 0x8c | Self::SESSION_TAKEN_OVER | 0x9c | 0x9d)
    }
}

/// What CONNECT says.
#[derive(Debug)]
pub struct Hello {
    /// Names the session at the broker.
    pub client_id: String,
    /// Whether the broker should discard an existing session of this client. Not for a subscriber, whose session must
    /// outlive the connection, until it leaves for good.
    pub clean_start: bool,
    /// Whole seconds.
    pub keep_alive: Duration,
    /// How long the broker should keep the session without a connection (MQTT 5 only).
    pub session_expiry: Duration,
    /// How many unacknowledged messages the broker may have in flight (MQTT 5 only).
    pub receive_maximum: u16,
    /// The message that the broker should publish when this connection breaks.
    pub will: Option<Will>,
}

/// A Last Will, retained, at QoS 1 (MQTT 5, 3.1.3.2).
#[derive(Debug, Clone)]
pub struct Will {
    /// Where to; a topic name.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// How long the broker waits for a new connection of the session before it publishes it (MQTT 5 only).
    pub delay: Duration,
}

/// The login in CONNECT, for a broker that needs more than the certificate (MQTT 5, 3.1.3.5 and 3.1.3.6).
#[derive(Debug, Default)]
pub struct Auth<'a> {
    /// The user name.
    pub username: Option<&'a str>,
    /// The password; under MQTT 3.1.1 only beside a user name (3.1.2-22).
    pub password: Option<&'a Secret>,
}

impl Auth<'_> {
    /// About what it adds to a packet, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.username.map_or(0, |name| 2 + name.len()) + self.password.map_or(0, |secret| 2 + secret.bytes().len())
    }
}

/// What SUBSCRIBE asks for.
#[derive(Debug)]
pub struct Subscription<'a> {
    /// What SUBACK must name.
    pub packet_id: u16,
    /// The filters, with `$share/…` where they have that.
    pub topic_filters: &'a [&'a str],
    /// The Subscription Identifier (MQTT 5 only), one for all filters of the packet.
    pub identifier: Option<u32>,
    /// The highest QoS wanted.
    pub qos: Qos,
}

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The session stays at the broker.
    Normal,
    /// The broker forgets the session at once (MQTT 5, 3.14.2.2.2). MQTT 3.1.1 has no words for it: there the session
    /// stays until the same client connects with Clean Session (3.1.2.4).
    Forget,
    /// With this reason code (MQTT 5, 3.14.2.1); MQTT 3.1.1 has no words for it.
    Error(u8),
}

/// A broken packet, with the reason code to send to the broker (MQTT 5, 4.13).
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct WireError {
    /// 0x81 malformed, 0x82 protocol error, 0x94 topic alias invalid, 0x95 packet too large.
    pub code: u8,
    /// What is wrong.
    pub text: Foreign,
    /// Whether the broker will do it again until somebody changes something there.
    pub lasting: bool,
}

impl WireError {
    /// With this reason code; another try may bring something better.
    pub fn new(code: u8, text: impl Into<Foreign>) -> Self {
        Self { code, text: text.into(), lasting: false }
    }

    pub(super) fn malformed(text: &str) -> Self {
        Self::new(0x81, format!("packet from the broker: {text}"))
    }

    pub(super) fn protocol(text: impl std::fmt::Display) -> Self {
        Self::new(0x82, format!("packet from the broker: {text}"))
    }
}
