//! The settings of one mapping: which messages, which function, and what happens when it fails.

use std::path::PathBuf;
use std::time::Duration;

use super::{Function, Qos, Range};
use crate::topic::TopicFilter;

/// `[[mapping]]`: a topic filter and the function that gets its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// What logs, metrics, events and the client id call it: `[a-z0-9][a-z0-9-]{0,62}`; required in a file, `default`
    /// elsewhere.
    pub name: String,
    /// What to subscribe to; required.
    pub topic_filter: TopicFilter,
    /// The quality of service to ask for; default 1.
    pub qos: Qos,
    /// What to invoke; required.
    pub function: Function,
    /// How many invocations may run at once: 1 to 10,000; default 64.
    pub concurrency: usize,
    /// How many messages the broker may send ahead of our acknowledgements (MQTT 5, 3.1.2.11.3): at least 1; default
    /// 256.
    pub receive_maximum: u16,
    /// How long one invocation may take: 1 s to 15 min; default 30 s.
    pub timeout: Duration,
    /// How messages share an event.
    pub batch: Batch,
    /// When to try again.
    pub retry: Retry,
    /// Where messages go that no attempt could deliver; default none, which keeps trying.
    pub on_failure: Option<OnFailure>,
    /// How many bytes of payload may wait for their outcome, a bound of our own beside `receive_maximum`; default
    /// 64 MiB.
    pub max_outstanding_bytes: u64,
}

/// `mapping.batch`: an event is sent when it is full or its window is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The most records of an event: 1 to 10,000; default 1.
    pub max_records: usize,
    /// How long the first record may wait for others: up to 300 s; default 0, which waits for none.
    pub max_window: Duration,
}

/// `mapping.retry`: when an attempt that failed is made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The most attempts of one delivery, the first included: at least 1; default 5.
    pub max_attempts: u32,
    /// The age, from its receipt, from which on a delivery gets no further attempt; default 10 min.
    pub max_age: Duration,
    /// The pause before the next attempt; default 200 ms to 30 s.
    pub backoff: Range,
}

/// `mapping.on_failure`: the failure destination; exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    /// A file that grows by one line of JSON a dead letter.
    File(PathBuf),
}
