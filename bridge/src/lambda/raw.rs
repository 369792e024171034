//! `format = "raw"`: the payload alone is the event, as with a rule of AWS `IoT` Core; the message's metadata goes into
//! the client context of the invocation. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use event::{EVENT_SOURCE, Response};
use serde::Deserialize;
use serde_json::Value;

use super::encode;
use super::interpret::{Failure, Reading, UNEXPLAINED, malformed, mentions_failures, text_of};
use crate::delivery::Delivery;
use crate::foreign::Foreign;

/// The most bytes of a client context, in base64 (Lambda API reference, operation Invoke, `ClientContext`).
const CONTEXT_LIMIT: usize = 3583;

/// The payload: JSON as it came, text as a JSON string, and bytes that are no text as a JSON string of base64.
pub(super) fn event(delivery: &Delivery) -> Vec<u8> {
    let mut out = Vec::with_capacity(delivery.payload().len() + 2);
    encode::payload(&mut out, delivery.payload(), encode::encoding_of(delivery));
    out
}

/// What the function finds as `custom` in its client context: strings all, since several runtimes take nothing else
/// there. A filter, and then a topic, for which there is no room is left out.
pub(super) fn context(mapping: &str, delivery: &Delivery) -> String {
    let message = &delivery.message;
    let mut custom = BTreeMap::from([
        ("eventSource", EVENT_SOURCE.to_owned()),
        ("mapping", mapping.to_owned()),
        ("id", delivery.id.to_string()),
        ("topic", message.topic.to_string()),
        ("qos", (message.qos as u8).to_string()),
        ("retain", message.retain.to_string()),
        ("dup", message.dup.to_string()),
        ("receivedAt", humantime::format_rfc3339_millis(delivery.received_at).to_string()),
        ("encoding", encode::name(encode::encoding_of(delivery)).to_owned()),
    ]);
    if let Some(compression) = delivery.compression() {
        custom.insert("decompressed", compression.name().to_owned());
    }
    if let Some(filter) = &delivery.subscription {
        custom.insert("subscription", filter.to_string());
    }
    if let Some(parent) = delivery.trace.traceparent() {
        custom.insert("traceparent", parent.to_string());
    }
    for too_long in ["subscription", "topic"] {
        let whole = in_base64(&custom);
        if whole.len() <= CONTEXT_LIMIT {
            return whole;
        }
        custom.remove(too_long);
    }
    in_base64(&custom)
}

fn in_base64(custom: &BTreeMap<&str, String>) -> String {
    let json = serde_json::to_string(&BTreeMap::from([("custom", custom)])).unwrap_or_default();
    // Runtimes get it in a header, so it has to be ASCII.
    let ascii = json.chars().fold(String::with_capacity(json.len()), |mut ascii, letter| {
        if letter.is_ascii() && !letter.is_ascii_control() {
            ascii.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
        ascii
    });
    BASE64_STANDARD.encode(ascii)
}

/// What the answer means: success, whatever it is. Only a list of failed records, which a function for AWS's own event
/// sources may return, is believed, and is about the one message; one that cannot be read fails it too.
pub(super) fn interpret(answer: &[u8]) -> Reading {
    let failures = failure(answer).map(|failure| (0, failure)).into_iter().collect();
    Reading { failures, response: Response::default(), ignored: false }
}

fn failure(answer: &[u8]) -> Option<Failure> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "batchItemFailures", default)]
        failures: Value,
    }
    let body = text_of(answer);
    if !body.starts_with(b"{") {
        return None;
    }
    match serde_json::from_slice(body).map(|Said { failures }| failures) {
        Ok(Value::Null) => None,
        Ok(Value::Array(items)) => item_failure(&items),
        // A list that cannot be read, or, where nothing can be, a word that promises one.
        Err(_) if !mentions_failures(body) => None,
        _ => Some(malformed("not a list that can be read")),
    }
}

/// The items need not be what they are for a batch, as there is one message that they can be about.
fn item_failure(items: &[Value]) -> Option<Failure> {
    let message = items.first()?["reason"].as_str().unwrap_or(UNEXPLAINED);
    let retry = items.iter().all(|item| item["retry"] != Value::Bool(false));
    Some(Failure { kind: "Function.ItemFailure".into(), message: Foreign::for_letter(message), retry })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::Value;
    use tokio::sync::mpsc;

    use super::*;
    use crate::config::Qos;
    use crate::delivery::{RecordId, Ticket};
    use crate::message::Message;

    fn delivery(topic: &str, payload: &[u8], id: &str) -> Delivery {
        let payload = Bytes::copy_from_slice(payload);
        let message =
            Message { topic: topic.into(), payload, qos: Qos::AtLeastOnce, retain: true, dup: false, properties: None };
        Delivery::new(message, RecordId::Given(id.into()), Ticket { epoch: 1, slot: 1 }, mpsc::channel(1).0)
    }

    fn custom(topic: &str, id: &str) -> Value {
        let context = context("m", &delivery(topic, b"{}", id));
        assert!(context.len() <= CONTEXT_LIMIT, "{}", context.len());
        let json = String::from_utf8(BASE64_STANDARD.decode(context).unwrap()).unwrap();
        assert!(json.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{json}");
        serde_json::from_str::<Value>(&json).unwrap()["custom"].take()
    }

    #[test]
    fn the_event_is_the_payload_or_a_string_of_it() {
        let cases: [(&[u8], &str); 6] = [
            (b" {\"a\" : 1.50} ", " {\"a\" : 1.50} "),
            (b"21,5 \"C\"\n", r#""21,5 \"C\"\n""#),
            (b"", r#""""#),
            (b"{\"a\":1e999}", r#""{\"a\":1e999}""#),
            (b"7", "7"),
            (b"\x00\xff", r#""AP8=""#),
        ];
        for (payload, expected) in cases {
            assert_eq!(String::from_utf8(event(&delivery("t", payload, "1"))).unwrap(), expected);
        }
    }

    #[test]
    fn the_context_says_what_else_is_known_in_ascii_and_within_its_limit() {
        let found = custom("sensor/7/data", "m-1");
        for (name, value) in [
            ("eventSource", "mqtt"),
            ("mapping", "m"),
            ("id", "m-1"),
            ("topic", "sensor/7/data"),
            ("qos", "1"),
            ("retain", "true"),
            ("encoding", "json"),
        ] {
            assert_eq!(found[name], value, "{name}");
        }
        assert!(found.as_object().unwrap().values().all(Value::is_string));
        assert_eq!(custom("höfe/\u{1f600}/\u{7f}", "\n")["topic"], "höfe/\u{1f600}/\u{7f}");
        for topic in ["a".repeat(65_535), "\u{1f600}".repeat(600), "\u{7f}".repeat(400)] {
            let found = custom(&topic, &"\u{1}".repeat(256));
            assert_eq!((found.get("topic"), found["id"].as_str().map(str::len)), (None, Some(256)), "{}", topic.len());
        }
    }

    #[test]
    fn the_filter_that_the_message_came_by_gives_way_to_the_topic() {
        let with = |filter: &str, topic: &str| {
            let mut delivery = delivery(topic, b"{}", "1");
            delivery.subscription = Some(filter.into());
            let context = context("m", &delivery);
            assert!(context.len() <= CONTEXT_LIMIT, "{}", context.len());
            let json = BASE64_STANDARD.decode(context).unwrap();
            serde_json::from_slice::<Value>(&json).unwrap()["custom"].take()
        };
        let short = with("a/+", "a/b");
        assert_eq!((short["subscription"].as_str(), short["topic"].as_str()), (Some("a/+"), Some("a/b")));
        let long = with(&"a/".repeat(1000), &"b".repeat(1000));
        assert_eq!((long.get("subscription"), long["topic"].as_str().map(str::len)), (None, Some(1000)));
        let longer = with("a", &"b".repeat(4000));
        assert_eq!((longer.get("subscription"), longer.get("topic")), (None, None));
    }

    #[test]
    fn any_answer_is_a_success_unless_it_lists_a_failure() {
        for answer in [
            "",
            "null",
            "ok",
            "{\"statusCode\":500}",
            "{\"batchItemFailures\":[]}",
            "{\"batchItemFailures\":null}",
            "[1]",
            "[[{}]]",
            "{not JSON}",
            "{\"temperature\":1e999}",
        ] {
            assert!(interpret(answer.as_bytes()).failures.is_empty(), "{answer}");
        }
        let failure = |answer: &str| interpret(answer.as_bytes()).failures.remove(&0).unwrap();
        assert!(failure(r#"{"batchItemFailures":[{"itemIdentifier":"whatever"}]}"#).retry);
        let given_up = failure(r#"{"batchItemFailures":[{"retry":false,"reason":"no reading"},{}]}"#);
        assert_eq!((given_up.retry, &*given_up.message), (false, "no reading"));
        for list in [r#"[{"itemIdentifier":7}]"#, r#"["id"]"#, r#"[{"reason":{}}]"#, r#"[{"retry":"no"}]"#, "[null]"] {
            let found = failure(&format!("\u{feff} {{\"batchItemFailures\":{list}}}\n"));
            assert_eq!((&*found.kind, found.retry), ("Function.ItemFailure", true), "{list}");
        }
    }

    #[test]
    fn a_list_of_failures_that_cannot_be_read_is_no_success() {
        for answer in [
            r#"{"batchItemFailures":"all"}"#,
            r#"{"batchItemFailures":{"itemIdentifier":"1"}}"#,
            r#"{"batchItemFailures":false}"#,
            r#"{"batchItemFailures":[{"itemId"#,
            r#"{"batchItemFailures":[],"batchItemFailures":[{}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":1e999}]}"#,
        ] {
            let failure = interpret(answer.as_bytes()).failures.remove(&0).unwrap();
            assert_eq!((&*failure.kind, failure.retry), ("Function.MalformedResponse", true), "{answer}");
        }
    }
}
