//! The settings of one mapping: which messages, which function, and what happens when it fails. Each key is defined
//! once, with its values and their checks; `fit.rs` checks whether they fit together.

mod fit;

use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use super::field::{MessageId, OrderingKey};
use super::function::Function;
use super::key::Kind::{self, Json, List, Number, Period, Size, Switch, Text};
use super::mqtt::MAX_NAME;
use super::on_failure::{self, Destinations, OnFailure, topic};
use super::rate::Rate;
use super::reader::Reader;
use super::section::{Section, keys_of, section};
use super::values::{
    ContentEncoding, Format, InvalidValue, Invocation, MONTH, MS, OnRefusedAnswer, OnUnreadLetter, Qos, Range, SECOND,
};
use crate::topic::{TopicError, TopicFilter};
pub(super) use fit::whole;

section! {
    /// `[[mapping]]`: a topic filter and the function that gets its messages.
    pub struct Mapping in "mapping.", checked by fit::mapping {
        /// The name in logs, metrics, events and the client id: lower-case letters, digits and `-`.
        pub name: String = key { Text.required("sensor-data"), with(name) };
        /// What to subscribe to, one filter or a list; `$share/group/filter` shares the messages among several bridges.
        pub topic_filter: Vec<TopicFilter> =
            key { Kind::Texts.required("sensor/data").flag("topic-filter"), texts(TopicFilter::from_str) };
        /// Topic filters that this mapping had before: the session is unsubscribed from them and keeps everything else.
        pub former_topic_filters: Vec<TopicFilter> = key { List.absent(r#"["sensor/old"]"#), list(TopicFilter::from_str) };
        /// The quality of service to ask for; with 0 messages can be lost.
        pub qos: Qos = key { Number(0, 2).is("1").flag("qos"), numbered(str::parse) };
        /// How many MQTT sessions share the subscription; more than one needs a `$share/group/filter`.
        pub sessions: usize = key { Number(1, 64).is("1"), number };
        /// Patterns in the syntax of Lambda's `FilterCriteria`, of which a message must match one; in the variable,
        /// JSON.
        pub filter: Vec<Value> =
            key { Json.absent(r#"[{ payload = { temperature = [{ numeric = [">", 30] }] } }]"#), several(patterns) };
        /// The Lambda function: a name, `name:alias`, or an ARN.
        pub function: Function = key { Text.required("sensor-handler").flag("function"), with(str::parse) };
        /// `request-response` waits for the function's answer; `event` only for Lambda to queue the event.
        pub invocation: Invocation = key { Kind::of::<Invocation>().is("request-response"), choice };
        /// `records`: an event of records with payload, topic and properties of each message; `raw`: the payload of one
        /// message.
        pub format: Format = key { Kind::of::<Format>().is("records"), choice };
        /// How payloads are compressed: `gzip`, `zstd`, `none`, or `property`, which reads it from each message's user
        /// property `content-encoding`; the function gets them decompressed.
        pub content_encoding: ContentEncoding = key { Kind::of::<ContentEncoding>().is("none"), choice };
        /// How many invocations may run at once.
        pub concurrency: usize = key { Number(1, 10_000).is("64").flag("concurrency"), number };
        /// How many messages the broker may send before they are acknowledged.
        pub receive_maximum: u16 = key { Number(1, 65_535).is("256").flag("receive-maximum"), number };
        /// Messages with the same value here keep their order: `topic[1]`, `payload:/device_id` or `property:device`.
        pub ordering_key: Option<OrderingKey> = key { Text.absent("topic[1]").flag("ordering-key"), maybe(str::parse) };
        /// How many messages go to the function in a second or a minute: `500/s`, `100/m` or `0.5/s`.
        pub rate_limit: Option<Rate> = key { Text.absent("500/s").flag("rate-limit"), maybe(str::parse) };
        /// Where messages carry an id of their publisher: `payload:/message_id` or `property:message-id`.
        pub message_id: Option<MessageId> = key { Text.absent("payload:/message_id"), maybe(str::parse) };
        /// How many bytes of messages a connection may hold; those of earlier connections that still run may take as many again.
        pub max_outstanding_bytes: u64 = key { Size.is("64MiB"), number };
        /// How long one invocation may take; a little longer than the function's own timeout.
        pub timeout: Duration = key { Period(SECOND, SECOND * 900).is("30s").flag("timeout"), duration };
        /// How messages share an event.
        pub batch: Batch = subsection {};
        /// When to retry.
        pub retry: Retry = subsection {};
        /// Where messages go that no attempt could deliver: the first destination that takes them; without one the
        /// bridge retries for ever.
        pub on_failure: Vec<OnFailure> = other { keys_of::<Destinations>(), on_failure::on_failure, None };
        /// What becomes of a dead letter where an MQTT 5 broker says that nobody is subscribed to `on_failure.topic`:
        /// `refuse` counts it as not written; `accept` counts it as written, for a broker that takes it by a rule.
        pub on_unread_letter: OnUnreadLetter = key { Kind::of::<OnUnreadLetter>().is("refuse"), choice };
        /// What the function may publish.
        pub response: ResponseTopics = subsection {};
        /// What happens to an answer that the broker refuses: `dead-letter` or `drop`.
        pub on_refused_answer: OnRefusedAnswer = key { Kind::of::<OnRefusedAnswer>().is("dead-letter"), choice };
        /// Whether a message with a Response Topic is answered there; the topic must be one of those below.
        pub reply: bool = key { Switch.is("false"), switch };
        /// Where replies may go: topics without wildcards; `{topic[1]}` stands for that level of the record's own
        /// topic.
        pub reply_topics: Vec<String> = key { List.absent(r#"["devices/{topic[1]}/reply"]"#), list(reply_topic) };
    }
}

section! {
    /// `mapping.batch`: an event is sent when it is full or its window is over.
    pub struct Batch in "mapping.batch." {
        /// The most messages that one invocation carries.
        pub max_records: usize = key { Number(1, 10_000).is("1").flag("batch-max-records"), number };
        /// How long the first message of a batch waits for others.
        pub max_window: Duration = key { Period(Duration::ZERO, SECOND * 300).is("0ms").flag("batch-max-window"), duration };
        /// Whether a batch on which the function failed is retried as two halves, so that one bad message fails no
        /// others.
        pub bisect_on_error: bool = key { Switch.is("true"), switch };
    }
}

section! {
    /// `mapping.retry`: when a failed attempt is repeated.
    pub struct Retry in "mapping.retry." {
        /// The most attempts for one message, the first included; an invocation that did not reach the function does
        /// not count.
        pub max_attempts: u32 = key { Number(1, 1_000_000).is("5").flag("max-attempts"), number };
        /// The age after which a message gets no further attempt.
        pub max_age: Duration = key { Period(MS, MONTH).is("10m"), duration };
        /// The pause before the next attempt: the first, and the longest.
        pub backoff: Range = key { Kind::Range.is("200ms..30s"), with(str::parse) };
    }
}

section! {
    /// `mapping.response`: what a function's response may publish.
    pub struct ResponseTopics in "mapping.response." {
        /// The topics that the function's response may publish to; in the variable, commas part them.
        pub allow: Vec<TopicFilter> = key { List.absent(r#"["devices/+/command"]"#), list(allowed) };
        /// The quality of service of what the response publishes, where it names none.
        pub qos: Qos = key { Number(0, 1).is("1"), numbered(str::parse) };
    }
}

/// Reads all mappings.
pub(super) fn mappings(reader: &mut Reader<'_>) -> Option<Vec<Mapping>> {
    reader.mappings(Mapping::read)
}

impl Mapping {
    /// Whether anything that the function answers is published.
    #[must_use]
    pub fn wants_answers(&self) -> bool {
        self.reply || !self.response.allow.is_empty()
    }
}

fn name(text: &str) -> Result<String, InvalidValue> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > MAX_NAME || text.starts_with('-') || !text.bytes().all(allowed) {
        let reason = format!("write 1 to {MAX_NAME} lower-case letters, digits and `-`, with no `-` at the beginning");
        return Err(InvalidValue::new(reason));
    }
    Ok(text.to_owned())
}

/// Reads one pattern or a list of them, in JSON.
fn patterns(text: &str) -> Result<Vec<Value>, InvalidValue> {
    let value = serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        InvalidValue::new(format!("not JSON from {place} on; write for example `[{{\"topic\":[\"a/b\"]}}]`"))
    })?;
    let patterns = match value {
        Value::Array(patterns) => patterns,
        pattern => vec![pattern],
    };
    if patterns.is_empty() {
        return Err(InvalidValue::new("holds no pattern; leave it out to take every message"));
    }
    if !patterns.iter().all(Value::is_object) {
        return Err(InvalidValue::new("each pattern must be a table, in JSON an object"));
    }
    Ok(patterns)
}

/// A topic in which `{topic[1]}` stands for a level.
fn reply_topic(text: &str) -> Result<String, InvalidValue> {
    topic(&with_holes_as(text, "x")?)?;
    Ok(text.to_owned())
}

/// The text with each of its holes filled with this.
fn with_holes_as(text: &str, filling: &str) -> Result<String, InvalidValue> {
    let mut parts = text.split("{topic[");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let level = part.split_once("]}").filter(|(level, _)| level.parse::<u16>().is_ok());
        let (_, rest) = level.ok_or_else(|| InvalidValue::new("`{topic[…]}` needs a level, counted from 0"))?;
        filled.push_str(filling);
        filled.push_str(rest);
    }
    Ok(filled)
}

/// A filter of topics to publish to.
fn allowed(text: &str) -> Result<TopicFilter, InvalidValue> {
    let filter: TopicFilter = text.parse().map_err(|error: TopicError| InvalidValue::new(error.to_string()))?;
    if filter.is_shared() {
        return Err(InvalidValue::new("`$share/…` is for subscriptions; write the filter behind it alone"));
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_topics_have_no_wildcards_and_whole_holes() {
        assert_eq!(reply_topic("devices/{topic[1]}/reply").unwrap(), "devices/{topic[1]}/reply");
        for wrong in ["devices/+/reply", "#", "", "$SYS/x", "a/{topic[x]}", "a/{topic[1]", "a/{topic[-1]}"] {
            assert!(reply_topic(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_are_one_or_a_list() {
        let pattern = r#"{"payload":{"temperature":[{"numeric":[">",30]}]},"userProperties":{"aB":["c"]}}"#;
        let value: Value = serde_json::from_str(pattern).unwrap();
        assert_eq!(patterns(pattern).unwrap(), std::slice::from_ref(&value));
        assert_eq!(patterns(&format!("[{pattern}, {{}}]")).unwrap(), [value, serde_json::json!({})]);
    }

    #[test]
    fn other_patterns_are_refused_without_repeating_them() {
        let refusal = |text: &str| patterns(text).unwrap_err().to_string();
        assert_eq!(
            refusal("{\"a\": hunter2}"),
            "not JSON from line 1, column 7 on; write for example `[{\"topic\":[\"a/b\"]}]`"
        );
        assert!(refusal("").starts_with("not JSON from line 1, column 0 on"));
        assert!(refusal(&"[".repeat(100_000)).starts_with("not JSON from line 1"));
        assert_eq!(refusal("[]"), "holds no pattern; leave it out to take every message");
        for text in ["null", "7", "\"hunter2\"", "[[]]", "[{}, 1]"] {
            assert_eq!(refusal(text), "each pattern must be a table, in JSON an object", "{text}");
        }
    }

    #[test]
    fn topics_to_publish_to_are_checked() {
        assert_eq!(topic("dead/letters").as_deref(), Ok("dead/letters"));
        for text in ["", "a/+", "#", "$SYS/a", "a\nb"] {
            assert!(topic(text).is_err(), "{text}");
        }
        assert_eq!(allowed("devices/+/command").unwrap().as_str(), "devices/+/command");
        assert!(allowed("$share/a/b").unwrap_err().to_string().starts_with("`$share/…` is for subscriptions"));
        assert!(allowed("a/#/b").unwrap_err().to_string().ends_with("`#` must be the last level"));
    }
}
