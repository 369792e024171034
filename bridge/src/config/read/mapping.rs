//! Reads one mapping, key by key. Whether its settings fit together is judged elsewhere.

use std::str::FromStr;

use serde_json::Value;

use super::super::bucket_url::bucket_url;
use super::super::draft::Setting;
use super::super::keys::{self, Key};
use super::super::on_failure::queue_url;
use super::super::{Batch, ConfigError, InvalidValue, Mapping, OnFailure, ResponseTopics, Retry};
use super::reader::Reader;
use crate::topic::{TopicError, TopicFilter, validate_topic_name};

/// The longest name of a mapping, in characters.
pub(super) const MAX_NAME: usize = 63;

/// Reads a whole mapping.
pub(super) fn mapping(section: &Reader<'_>) -> Result<Mapping, ConfigError> {
    Ok(Mapping {
        name: section.with("mapping.name", name)?,
        topic_filter: section.parse("mapping.topic_filter")?,
        former_topic_filters: section.list("mapping.former_topic_filters", TopicFilter::from_str)?,
        qos: section.qos("mapping.qos")?,
        sessions: section.number("mapping.sessions")?,
        filter: section.maybe("mapping.filter", patterns)?.unwrap_or_default(),
        function: section.parse("mapping.function")?,
        invocation: section.parse("mapping.invocation")?,
        format: section.parse("mapping.format")?,
        concurrency: section.number("mapping.concurrency")?,
        receive_maximum: section.number("mapping.receive_maximum")?,
        ordering_key: section.maybe("mapping.ordering_key", str::parse)?,
        rate_limit: section.maybe("mapping.rate_limit", str::parse)?,
        message_id: section.maybe("mapping.message_id", str::parse)?,
        max_outstanding_bytes: section.number("mapping.max_outstanding_bytes")?,
        timeout: section.duration("mapping.timeout")?,
        batch: Batch {
            max_records: section.number("mapping.batch.max_records")?,
            max_window: section.duration("mapping.batch.max_window")?,
            bisect_on_error: section.switch("mapping.batch.bisect_on_error")?,
        },
        retry: Retry {
            max_attempts: section.number("mapping.retry.max_attempts")?,
            max_age: section.duration("mapping.retry.max_age")?,
            backoff: section.parse("mapping.retry.backoff")?,
        },
        on_failure: on_failure(section)?,
        response: ResponseTopics {
            allow: section.list("mapping.response.allow", allowed)?,
            qos: section.qos("mapping.response.qos")?,
        },
        on_refused_answer: section.parse("mapping.on_refused_answer")?,
        reply: section.switch("mapping.reply")?,
        reply_topics: section.list("mapping.reply_topics", reply_topic)?,
    })
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

/// Those of environment and flags stand in place of all of the file.
fn on_failure(section: &Reader<'_>) -> Result<Vec<OnFailure>, ConfigError> {
    let settings = &section.section.settings;
    let given: Vec<_> = keys::on_failure().filter_map(|key| Some((key, settings.get(key.path)?))).collect();
    if !given.is_empty() {
        return given.into_iter().map(|(key, setting)| destination(section, key, setting)).collect();
    }
    section.section.on_failure.iter().map(|(key, setting)| destination(section, key, setting)).collect()
}

fn destination(section: &Reader<'_>, key: &Key, setting: &Setting) -> Result<OnFailure, ConfigError> {
    match key.path {
        "mapping.on_failure.sqs" => queue_url(&setting.text).map(OnFailure::Sqs),
        "mapping.on_failure.s3" => bucket_url(&setting.text).map(OnFailure::S3),
        "mapping.on_failure.topic" => topic(&setting.text).map(OnFailure::Topic),
        _ => return section.path(setting).map(OnFailure::File),
    }
    .map_err(|reason| ConfigError::setting(&setting.place, &reason))
}

/// A topic that may be published to; those that begin with `$` belong to the broker (MQTT 5, 4.7.2).
fn topic(text: &str) -> Result<String, InvalidValue> {
    validate_topic_name(text).map_err(|error| InvalidValue::new(error.to_string()))?;
    if text.starts_with('$') || text.chars().any(char::is_control) {
        return Err(InvalidValue::new("must hold no control characters and not begin with `$`"));
    }
    Ok(text.to_owned())
}

/// A topic in which `{topic[1]}` stands for a level.
fn reply_topic(text: &str) -> Result<String, InvalidValue> {
    topic(&with_holes_as(text, "x")?)?;
    Ok(text.to_owned())
}

/// The text with each of its holes filled with this.
pub(super) fn with_holes_as(text: &str, filling: &str) -> Result<String, InvalidValue> {
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
