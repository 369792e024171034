//! The settings of a session, and the state that it reports. Does nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Protocol, Qos};
use crate::message::Message;
use crate::mqtt::link::Link;
use crate::topic::TopicFilter;

/// The settings of a session.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The mapping it belongs to, for the log.
    pub mapping: String,
    /// How it connects. Its client id names the session at the broker, and is the same after every restart.
    pub link: Link,
    /// The filters, at least one, with `$share/…` where they have that.
    pub topic_filters: Vec<TopicFilter>,
    /// Filters that this session was subscribed to before, by an earlier configuration: given up once those above are
    /// confirmed, so that nothing between them is missed.
    pub former_filters: Vec<String>,
    /// For which of the filters this process has seen a SUBACK with this quality of service, so that a session which
    /// the broker kept holds them. Of those that it does not name, for none.
    pub subscribed: Vec<bool>,
    /// Whether the session is not needed any more: it subscribes to nothing, and leaves for good once the broker has
    /// nothing more for it.
    pub leaves: bool,
    /// The QoS to subscribe with.
    pub qos: Qos,
    /// How many un-acknowledged messages the broker may send.
    pub receive_maximum: u16,
    /// How many bytes of messages may be held before reading stops.
    pub max_outstanding_bytes: u64,
    /// How long the broker keeps the session without a connection.
    pub session_expiry: Duration,
    /// For how long after CONNACK a broker that keeps to a timer alone may send again what an earlier connection left
    /// un-acknowledged; of MQTT 3.1.1 alone.
    pub redelivery_timer: Duration,
    /// Whether a message carries an id of its publisher's.
    pub identifies: Identifies,
}

/// Tells whether a message carries an id of its publisher's, so that equal content under one packet identifier means
/// the same message, DUP or not. By default none does.
#[derive(Clone, Default)]
pub struct Identifies(Option<Arc<HasId>>);

type HasId = dyn Fn(&Message) -> bool + Send + Sync;

impl Identifies {
    /// As this function says.
    #[must_use]
    pub fn by(has_id: impl Fn(&Message) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(has_id)))
    }

    pub(in crate::mqtt) fn has_id(&self, message: &Message) -> bool {
        self.0.as_ref().is_some_and(|has_id| has_id(message))
    }
}

impl fmt::Debug for Identifies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Identifies(..)" } else { "Identifies(none)" })
    }
}

impl Settings {
    /// How many messages may be held, whatever the broker does. Under MQTT 5 a right broker stays within Receive
    /// Maximum; the room above it keeps the session reading, and so able to tell a dead broker from a busy function.
    #[must_use]
    pub fn max_outstanding(&self) -> usize {
        let receive_maximum = usize::from(self.receive_maximum);
        match self.link.protocol {
            Protocol::V311 => receive_maximum,
            Protocol::V5 => (2 * receive_maximum).min(usize::from(u16::MAX) - 1),
        }
    }

    /// How many deliveries may be without their outcome at once: beside those of this connection as many that run on
    /// from earlier ones. What settles them has room for all.
    #[must_use]
    pub fn max_running(&self) -> usize {
        2 * self.max_outstanding()
    }

    /// How many bytes of messages may be in memory: beside those of this connection as many of earlier ones.
    #[must_use]
    pub fn max_held_bytes(&self) -> u64 {
        self.max_outstanding_bytes.saturating_mul(2)
    }
}

impl Status {
    /// Whether it is ready, with or without a note.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }
}

/// How a session, or the publisher, stands, as readiness tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Not connected yet, or not subscribed.
    Connecting,
    /// Subscribed with the requested QoS; for the publisher, connected. With notes for operators.
    Ready(Option<String>),
    /// The last attempt failed, or the connection broke; the reason.
    Failing(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_ready_is_ready() {
        let note = || "a note".to_owned();
        assert!(Status::Ready(None).is_ready() && Status::Ready(Some(note())).is_ready());
        assert!(!Status::Connecting.is_ready() && !Status::Failing(note()).is_ready());
    }
}
