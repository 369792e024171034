//! The real binary, served by a Lambda Runtime API that answers with what a test scripts.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod common;

use common::function::{Function, ending};
use common::{PATIENCE, event, failures, numbered, record};
use serde_json::{Value, json};

const EVENT: &str = include_str!("../../event/fixtures/event.json");

#[test]
fn an_event_is_answered_and_each_reading_is_one_json_line() {
    let function = Function::start(&[]);
    let (path, answer) = function.post(EVENT, PATIENCE);
    assert_eq!(path, "/2018-06-01/runtime/invocation/request-0/response");
    let failed: Vec<_> = failures(&answer).into_iter().map(|(id, retry, _)| (id, retry)).collect();
    assert_eq!(failed, [("5b1f0c7e9a3d2468-2", false), ("5b1f0c7e9a3d2468-3", false)]);

    let log = function.stop();
    let readings: Vec<_> = log.iter().filter(|line| line["message"] == "reading").collect();
    assert_eq!(readings.len(), 1, "{log:?}");
    for (field, value) in [
        ("level", json!("INFO")),
        ("device_id", json!("C-Client-01")),
        ("temperature", json!(24.5)),
        ("status", json!("OK")),
        ("record", json!("5b1f0c7e9a3d2468-1")),
        ("topic", json!("sensor/data")),
    ] {
        assert_eq!(readings[0][field], value, "{field} in {log:?}");
    }
    assert_eq!(log[0]["store"], "no table configured, readings are only logged");
}

#[test]
fn an_event_that_is_not_ours_fails_and_the_next_one_is_served() {
    let function = Function::start(&[]);
    let (path, answer) = function.post(r#"{"device_id":"C-Client-01","temperature":24.5,"status":"OK"}"#, PATIENCE);
    assert_eq!(path, "/2018-06-01/runtime/invocation/request-0/error");
    assert_eq!(answer["errorType"], "InvalidEvent");
    let message = answer["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("event: missing field `eventSource`"), "{message}");
    assert_eq!(function.post(EVENT, PATIENCE).0, "/2018-06-01/runtime/invocation/request-1/response");
}

#[test]
fn outside_lambda_it_stops_and_says_why() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lambda-handler")).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.contains("AWS_LAMBDA_RUNTIME_API: not set: this program runs inside AWS Lambda"), "{log}");
}

#[test]
fn a_variable_that_cannot_be_meant_stops_it_at_the_start() {
    for (variables, reason) in [
        (&[("READINGS_TTL", "5m")][..], "READINGS_TTL: `5m` is shorter than a day"),
        (&[("TEMPERATURE_MAX", "warm")], "TEMPERATURE_MAX: `warm` is not a number"),
        (&[("DEVICE_TOPICS", "devices/+")], "DEVICE_TOPICS: `devices/+`: `{device_id}` must be one level of it, once"),
        (&[("READINGS_TABLE", "readings")], "aws region: not found"),
    ] {
        let output = ending(variables);
        assert_eq!(output.status.code(), Some(1), "{variables:?}");
        let log = String::from_utf8(output.stdout).unwrap();
        assert!(log.contains(reason), "{log}");
    }
}

/// A device that the broker restricts to its own topic can neither store a reading of another device nor cause a
/// command to it.
#[test]
fn whose_a_topic_is_is_told_by_a_variable() {
    let mut foreign = record(&numbered(0), "victim", 31.0, "2026-11-20T12:00:00.000Z");
    foreign["topic"] = json!("plant/attacker");
    for (patterns, failed) in [("plant/{device_id}", true), ("none", false), ("", false)] {
        let function = Function::start(&[("DEVICE_TOPICS", patterns), ("TEMPERATURE_MAX", "30")]);
        let answer = function.answer(&event(&[foreign.clone()]));
        let failures: Vec<_> = failures(&answer).into_iter().map(|(_, retry, reason)| (retry, reason)).collect();
        let expected: &[_] = if failed { &[(false, "device_id: the topic belongs to another device")] } else { &[] };
        assert_eq!(failures, expected, "{patterns}");
        assert_eq!(answer["publish"].as_array().is_none_or(Vec::is_empty), failed, "{patterns}: {answer}");
        let log = function.stop();
        assert_eq!(log.iter().filter(|line| line["message"] == "reading").count(), usize::from(!failed), "{log:?}");
    }
}

/// The consequences of a reading out of range, with and without a table.
#[test]
fn a_reading_out_of_range_is_flagged_counted_and_answered() {
    let variables = [("TEMPERATURE_MIN", "5"), ("TEMPERATURE_MAX", "30"), ("METRICS_NAMESPACE", "Plant")];
    let function = Function::start(&variables);
    let received_at = "2026-11-20T12:00:00.000Z";
    let temperatures = [24.5, 30.5, 4.5, 31.0];
    let records: Vec<_> = temperatures
        .iter()
        .enumerate()
        .map(|(n, t)| record(&numbered(n), &format!("d-{n}"), *t, received_at))
        .collect();
    let answer = function.answer(&event(&records));
    assert!(failures(&answer).is_empty(), "{answer}");
    let commands: Vec<_> = answer["publish"].as_array().unwrap().iter().map(|p| (&p["topic"], &p["payload"])).collect();
    let payload = |command: &str, n: usize, limit: f64| json!({ "command": command, "temperature": temperatures[n], "limit": limit, "record": numbered(n) });
    let expected = [("cool", 1, 30.0), ("heat", 2, 5.0), ("cool", 3, 30.0)];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(command, n, limit)| (json!(format!("devices/d-{n}/command")), payload(command, n, limit)))
        .collect();
    assert_eq!(commands, expected.iter().map(|(topic, payload)| (topic, payload)).collect::<Vec<_>>());

    let log = function.stop();
    let flags: Vec<_> = log.iter().filter(|line| line["message"] == "reading").map(|l| &l["out_of_range"]).collect();
    assert_eq!(flags, [&Value::Null, &json!("above"), &json!("below"), &json!("above")]);
    let metrics: Vec<_> = log.iter().filter(|line| line.get("_aws").is_some()).collect();
    assert_eq!(metrics.len(), 1, "one line an event: {log:?}");
    let (line, directive) = (metrics[0], &metrics[0]["_aws"]["CloudWatchMetrics"][0]);
    assert_eq!((&directive["Namespace"], &line["FunctionName"]), (&json!("Plant"), &json!("sensor-handler")));
    assert_eq!(directive["Metrics"][0]["Name"], "ReadingsOutOfRange");
    assert_eq!((&line["ReadingsOutOfRange"], &line["above"], &line["below"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!(log[0]["thresholds"], "5 to 30 °C");
}
