//! The oracle of memory: at no event may a process of the bridge hold more than its configuration allows, by its own gauges.

use bridge::config::{Mapping, Mqtt, Protocol};
use bridge::metrics::MappingMetrics;

use super::Record;

/// More than the largest message of a world weighs, in bytes: the message that reaches the limit goes beyond it.
const LARGEST: u64 = 1024;

/// One mapping of a process, and what it may hold.
#[derive(Debug)]
pub(super) struct Window {
    metrics: MappingMetrics,
    /// Of one connection.
    messages: u64,
    /// Of this connection and of earlier ones.
    bytes: i64,
}

impl Window {
    /// What is too much. Beside this connection's window as many bytes, and twice as many messages, may run on from earlier
    /// ones. Messages that have their outcome are held without their payloads until the broker sends them again or has shown
    /// that it will not: a window of them for each connection.
    fn exceeded(&self) -> Option<String> {
        let (messages, bytes) = (self.metrics.outstanding.get(), self.metrics.outstanding_bytes.get());
        let most_messages = signed(self.messages * (3 + self.metrics.connects.get()));
        let over = messages > most_messages || bytes > self.bytes;
        over.then(|| format!("{messages} messages of {most_messages}, {bytes} bytes of {}", self.bytes))
    }
}

impl Record {
    /// Whether any process holds too much.
    pub(super) fn look_at_windows(&self) {
        let mut inner = self.inner();
        let exceeded = inner.windows.values().find_map(Window::exceeded).filter(|_| !inner.exceeded);
        let Some(what) = exceeded else { return };
        inner.exceeded = true;
        drop(inner);
        self.violated("memory", what);
    }

    /// From now on this mapping of a process may hold at no event more than its configuration says. It takes the place of the one that had
    /// its client identifier before.
    pub(in crate::sim) fn watch(&self, mqtt: &Mqtt, mapping: &Mapping, metrics: MappingMetrics) {
        let window = match mqtt.protocol {
            Protocol::V311 => u64::from(mapping.receive_maximum),
            Protocol::V5 => 2 * u64::from(mapping.receive_maximum),
        };
        let sessions = mapping.sessions as u64;
        let messages = window * sessions;
        let bytes = signed((2 * mapping.max_outstanding_bytes + LARGEST) * sessions);
        self.inner().windows.insert(mqtt.client_id_for(&mapping.name, 0), Window { metrics, messages, bytes });
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
