//! The settings of one mapping: which messages, which function, and what happens when it fails.

use std::str::FromStr;
use std::time::Duration;

use super::{Format, Function, InvalidValue, Invocation, MessageId, OnFailure, OrderingKey, Qos, Range, Rate};
use crate::topic::TopicFilter;

/// `[[mapping]]`: a topic filter and the function that gets its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// What logs, metrics, events and the client ids call it: `[a-z0-9][a-z0-9-]{0,62}`; required in a file, `default`
    /// elsewhere.
    pub name: String,
    /// What to subscribe to; required.
    pub topic_filter: TopicFilter,
    /// Filters that the mapping had before, from which its sessions are unsubscribed; default none.
    pub former_topic_filters: Vec<TopicFilter>,
    /// The quality of service to ask for; default 1.
    pub qos: Qos,
    /// How many MQTT sessions share the subscription: 1 to 64, more than one only when it is a shared one; default 1.
    pub sessions: usize,
    /// What to invoke; required.
    pub function: Function,
    /// Whether the function's answer is waited for; default [`Invocation::RequestResponse`].
    pub invocation: Invocation,
    /// What one invocation carries; default [`Format::Records`].
    pub format: Format,
    /// How many invocations may run at once: 1 to 10,000; default 64.
    pub concurrency: usize,
    /// How many messages the broker may send ahead of our acknowledgements (MQTT 5, 3.1.2.11.3): at least 1; default
    /// 256.
    pub receive_maximum: u16,
    /// What messages have in common that are handed over in the order of their receipt; default none, which orders
    /// nothing.
    pub ordering_key: Option<OrderingKey>,
    /// How many messages may go to the function in how long a time; default none.
    pub rate_limit: Option<Rate>,
    /// How long one invocation may take: 1 s to 15 min; default 30 s.
    pub timeout: Duration,
    /// Where the publisher says which message it is; default none, which leaves the id to the bridge.
    pub message_id: Option<MessageId>,
    /// Patterns of which a message must match one, each a JSON object whose syntax is not checked here; default none,
    /// which every message passes.
    pub filter: Vec<serde_json::Value>,
    /// How messages share an event.
    pub batch: Batch,
    /// When to try again.
    pub retry: Retry,
    /// Where messages go that no attempt could deliver: the first destination that takes them; default none, which keeps
    /// trying.
    pub on_failure: Vec<OnFailure>,
    /// What the function may have published.
    pub response: ResponseTopics,
    /// What becomes of an answer that the broker refuses; default [`OnRefusedAnswer::DeadLetter`].
    pub on_refused_answer: OnRefusedAnswer,
    /// Whether a message with a Response Topic (MQTT 5, 3.3.2.3.5) is answered there; default `false`.
    pub reply: bool,
    /// Where replies may go: topic names in which `{topic[1]}` stands for that level of the record's own topic; default
    /// none.
    pub reply_topics: Vec<String>,
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
    /// Whether a batch that the function failed is tried again as two halves; default `true`.
    pub bisect_on_error: bool,
}

/// `mapping.retry`: when an attempt that failed is made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The most attempts of one delivery, the first included: at least 1; default 5. Throttles, service errors and broken
    /// connections are none.
    pub max_attempts: u32,
    /// The age, from its receipt, from which on a delivery gets no further attempt; default 10 min.
    pub max_age: Duration,
    /// The pause before the next attempt; default 200 ms to 30 s.
    pub backoff: Range,
}

/// What becomes of an answer of the function that cannot be published. The function has succeeded, so it is never invoked
/// again for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefusedAnswer {
    /// The record that it is about goes to the failure destination, or the answer itself when it is about none; without a
    /// destination it is dropped.
    DeadLetter,
    /// It is dropped and counted.
    Drop,
}

impl FromStr for OnRefusedAnswer {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "dead-letter" => Ok(Self::DeadLetter),
            "drop" => Ok(Self::Drop),
            _ => Err(InvalidValue::new("unknown way out; write `dead-letter` or `drop`")),
        }
    }
}

impl Mapping {
    /// Whether anything that the function answers is published.
    #[must_use]
    pub fn wants_answers(&self) -> bool {
        self.reply || !self.response.allow.is_empty()
    }
}

/// `mapping.response`: what a function's response may have published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseTopics {
    /// The filters of which a topic must match one; none of them is shared. Default none, which allows no topic.
    pub allow: Vec<TopicFilter>,
    /// The quality of service where the response names none: 0 or 1; default 1.
    pub qos: Qos,
}
