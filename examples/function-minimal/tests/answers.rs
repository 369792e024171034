//! The promise: readings are handled, and other payloads are given up record by record, with a reason that repeats
//! nothing of them.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails, fails the test")]

use function_minimal::handle;
use mqtt_lambda_event::Event;
use serde_json::{Value, json};

fn event() -> Value {
    serde_json::from_str(include_str!("../event.json")).unwrap()
}

fn answer(event: Value) -> Value {
    json!(handle(&serde_json::from_value::<Event>(event).unwrap()))
}

#[test]
fn readings_are_taken_and_all_else_is_given_up_record_by_record() {
    let failure = |id: &str| json!({"itemIdentifier": id, "retry": false, "reason": "payload: not JSON"});
    let failures = [failure("5b1f0c7e9a3d2468-2"), failure("5b1f0c7e9a3d2468-3")];
    assert_eq!(answer(event()), json!({"batchItemFailures": failures}));
}

#[test]
fn a_reason_repeats_nothing_of_the_payload() {
    let mut event = event();
    event["records"][0]["payload"] = json!({"temperature": "hidden"});
    let answer = answer(event);
    assert_eq!(answer["batchItemFailures"][0]["reason"], "payload: no reading");
    assert!(!answer.to_string().contains("hidden"));
}

#[test]
fn an_event_without_records_is_a_success() {
    assert_eq!(answer(json!({"eventSource": "mqtt", "mapping": "m", "records": []})), json!({"batchItemFailures": []}));
}
