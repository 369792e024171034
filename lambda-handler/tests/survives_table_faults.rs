//! Promise: a reading is reported as stored only after DynamoDB has confirmed it. Temporary errors are retried for a
//! while; then the record is an item failure for the bridge to retry, which does not affect the other records.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod common;

use std::time::Duration;

use common::function::Function;
use common::table::{Call, Double, Fate};
use common::{at, event, failures, numbered, record, timed};
use serde_json::Value;

fn function(double: &Double) -> Function {
    let endpoint = format!("http://{}", double.authority);
    Function::start(&[
        ("READINGS_TABLE", "readings"),
        ("TEMPERATURE_MAX", "24"),
        ("AWS_ENDPOINT_URL_DYNAMODB", &endpoint),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ])
}

/// Records of one device each, all of them too warm.
fn records(count: usize) -> Vec<Value> {
    (0..count).map(|n| record(&numbered(n), &format!("d-{n}"), 25.0, &at("12:00:00"))).collect()
}

fn is_batch(call: &Call) -> bool {
    call.operation == "BatchWriteItem"
}

/// The readings in the table, without claims and newest ones.
fn readings(double: &Double) -> Vec<String> {
    let keys = double.items().into_iter().map(|item| item["sk"]["S"].as_str().unwrap().to_owned());
    keys.filter(|key| key.starts_with("2026-")).collect()
}

#[test]
fn unprocessed_items_are_written_again_and_only_they() {
    let double = Double::with(|number, call| match number {
        _ if !is_batch(call) => Fate::Done,
        0 => Fate::Unprocessed(20),
        1 => Fate::Unprocessed(5),
        _ => Fate::Done,
    });
    let answer = function(&double).answer(&event(&records(25)));
    assert!(failures(&answer).is_empty(), "{answer}");
    assert_eq!(readings(&double).len(), 25);
    let batches: Vec<_> = double.calls().into_iter().filter(is_batch).collect();
    assert_eq!(batches.iter().map(|call| call.items.len()).collect::<Vec<_>>(), [25, 20, 5]);
    assert_eq!(batches[1].keys(), batches[0].keys()[5..]);
    assert_eq!(batches[2].keys(), batches[0].keys()[20..]);
}

#[test]
fn batches_hold_as_many_items_as_dynamodb_takes() {
    let double = Double::start();
    let answer = function(&double).answer(&event(&records(60)));
    assert!(failures(&answer).is_empty(), "{answer}");
    let mut batches: Vec<_> =
        double.calls().iter().filter(|call| is_batch(call)).map(|call| call.items.len()).collect();
    batches.sort_unstable();
    assert_eq!(batches, [10, 25, 25]);
}

#[test]
fn what_stays_throttled_is_an_item_failure_to_be_tried_again() {
    let double = Double::with(|_, call| if is_batch(call) { Fate::Unprocessed(2) } else { Fate::Done });
    let answer = function(&double).answer(&event(&records(5)));
    let (a, b) = (numbered(3), numbered(4));
    let reason = "table `readings`: throttled: left unprocessed";
    assert_eq!(failures(&answer), [(a.as_str(), true, reason), (b.as_str(), true, reason)]);
    assert_eq!(readings(&double).len(), 3);
    let commands: Vec<_> = answer["publish"].as_array().unwrap().iter().map(|publish| &publish["topic"]).collect();
    assert_eq!(commands, ["devices/d-0/command", "devices/d-1/command", "devices/d-2/command"], "none for the failed");
    // A reading that was not stored does not become the newest of its device.
    let newest: Vec<_> = double.calls().into_iter().filter(|call| !is_batch(call)).collect();
    assert_eq!(newest.len(), 3);
}

#[test]
fn throttling_and_faults_of_the_service_pass() {
    for (status, code) in [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ThrottlingException"),
        (400, "RequestLimitExceeded"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ] {
        let double = Double::with(move |number, _| if number < 3 { Fate::Error(status, code) } else { Fate::Done });
        let answer = function(&double).answer(&event(&records(1)));
        assert!(failures(&answer).is_empty(), "{code}: {answer}");
        assert_eq!(readings(&double).len(), 1, "{code}");
    }
}

#[test]
fn throttling_that_stays_fails_after_a_bounded_number_of_attempts() {
    let double = Double::with(|_, _| Fate::Error(400, "ThrottlingException"));
    let answer = function(&double).answer(&event(&records(30)));
    let failed = failures(&answer);
    assert_eq!(failed.len(), 30);
    for (_, retry, reason) in failed {
        assert!(retry && reason == "table `readings`: ThrottlingException: as the test wants it", "{reason}");
    }
    assert_eq!(double.calls().len(), 8, "two batches, four times");
    assert_eq!(answer["publish"], Value::Null);
}

#[test]
fn what_does_not_pass_is_tried_once() {
    for code in ["ResourceNotFoundException", "AccessDeniedException", "ValidationException"] {
        let double = Double::with(move |_, _| Fate::Error(400, code));
        let answer = function(&double).answer(&event(&records(2)));
        for (_, retry, reason) in failures(&answer) {
            assert!(retry && reason.starts_with(&format!("table `readings`: {code}: ")), "{reason}");
        }
        assert_eq!((failures(&answer).len(), double.calls().len()), (2, 1), "{code}");
    }
}

#[test]
fn a_connection_lost_before_or_after_the_write_costs_nothing() {
    for fate in [Fate::Cut, Fate::DoneThenCut] {
        let lost = fate.clone();
        // Every second call: the batch, the conditional put, the claim, and what follows them.
        let double = Double::with(move |number, _| if number % 2 == 0 { lost.clone() } else { Fate::Done });
        let function = function(&double);
        let received = at("12:00:00");
        let records = [
            record(&numbered(1), "a", 20.0, &received),
            timed("m-2", "b", 20.0, &received, &at("11:00:00")),
            record("m-3", "c", 20.0, &received),
        ];
        for record in records {
            let answer = function.answer(&event(&[record]));
            assert!(failures(&answer).is_empty(), "{fate:?}: {answer}");
        }
        let mut stored = readings(&double);
        stored.sort();
        let expected = ["11:00:00.000Z#m-2", "12:00:00.000Z#5b1f0c7e9a3d2468-1", "12:00:00.000Z#m-3"];
        assert_eq!(stored, expected.map(|key| format!("2026-11-20T{key}")), "{fate:?}");
    }
}

#[test]
fn a_table_that_cannot_be_reached_fails_the_records_and_not_the_function() {
    let gone = Double::with(|_, _| Fate::Cut);
    let function = function(&gone);
    for _ in 0..2 {
        let answer = function.answer(&event(&records(2)));
        assert!(failures(&answer).iter().all(|(_, retry, _)| *retry), "{answer}");
        assert_eq!(failures(&answer).len(), 2);
    }
}

#[test]
fn an_answer_comes_before_lambda_gives_up() {
    let double = Double::with(|_, _| Fate::Silence);
    let function = function(&double);
    let (path, answer) = function.post(&event(&records(2)).to_string(), Duration::from_millis(1_500));
    assert!(path.ends_with("/response"), "{path}");
    let reason = "table `readings`: no answer in the time that the invocation has";
    assert!(failures(&answer).iter().all(|failure| (failure.1, failure.2) == (true, reason)), "{answer}");
    assert_eq!(failures(&answer).len(), 2);
}

#[test]
fn a_claim_that_is_throttled_fails_its_record_and_stores_nothing_of_it() {
    let is_claim = |call: &Call| call.keys()[0].starts_with("id#");
    let double = Double::with(move |_, call| match call {
        claim if is_claim(claim) => Fate::Error(400, "ThrottlingException"),
        _ => Fate::Done,
    });
    let records = [record("m-1", "a", 20.0, &at("12:00:00")), record(&numbered(2), "b", 20.0, &at("12:00:00"))];
    let answer = function(&double).answer(&event(&records));
    assert_eq!(failures(&answer).iter().map(|failure| failure.0).collect::<Vec<_>>(), ["m-1"]);
    assert_eq!(readings(&double), ["2026-11-20T12:00:00.000Z#5b1f0c7e9a3d2468-2"]);
}

/// The reading is there, its `latest` is not: another attempt repairs that, and changes nothing else.
#[test]
fn a_newest_reading_that_was_not_written_is_written_by_the_next_attempt() {
    let double = Double::with(|number, call| match call.keys()[0] {
        "latest" if number < 5 => Fate::Error(400, "ThrottlingException"),
        _ => Fate::Done,
    });
    let (function, event) = (function(&double), event(&records(1)));
    let answer = function.answer(&event);
    assert_eq!((failures(&answer).len(), answer.get("publish")), (1, None));
    assert_eq!((readings(&double).len(), double.items().len()), (1, 1));
    assert!(failures(&function.answer(&event)).is_empty());
    assert_eq!((readings(&double).len(), double.items().len()), (1, 2));
}
