//! The alarms that `terraform/modules/bridge` makes of what the bridge writes, as CloudWatch would judge them. What stands in
//! `alarms.json` is what Terraform reads; a test of Terraform holds filters and alarms to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

fn declared(kind: &str) -> Map<String, Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform/modules/bridge/alarms.json");
    let all: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    all[kind].as_object().unwrap().clone()
}

/// The conditions of a filter pattern, any of which suffices, as fields and texts. Panics for any other form than `{
/// $.field = "text" }` and `{ ($.field = "text") || … }`.
fn conditions(pattern: &str) -> Vec<(String, String)> {
    let inside = pattern.strip_prefix("{ ").and_then(|rest| rest.strip_suffix(" }"));
    let parts: Vec<&str> = inside.unwrap_or_else(|| panic!("no pattern of JSON: {pattern}")).split(" || ").collect();
    let condition = |part: &&str| {
        let bare = if parts.len() > 1 { part.strip_prefix('(')?.strip_suffix(')')? } else { part };
        let (field, text) = bare.strip_prefix("$.")?.split_once(" = ")?;
        Some((field.to_owned(), serde_json::from_str(text).ok()?))
    };
    parts.iter().map(|part| condition(part).unwrap_or_else(|| panic!("no condition: {part}"))).collect()
}

/// The conditions of each alarm of the log, by the alarm's name.
fn patterns() -> BTreeMap<String, Vec<(String, String)>> {
    let of = |(name, alarm): (String, Value)| (name, conditions(alarm["pattern"].as_str().unwrap()));
    declared("log").into_iter().map(of).collect()
}

/// The events that the alarms of the log count, by the alarm's name.
pub fn events() -> BTreeMap<String, Vec<String>> {
    let events = |all: Vec<(String, String)>| -> Vec<String> {
        all.into_iter().filter(|(field, _)| field == "event").map(|(_, event)| event).collect()
    };
    let all = patterns().into_iter().map(|(name, conditions)| (name, events(conditions)));
    all.filter(|(_, events)| !events.is_empty()).collect()
}

/// All declared alarms.
pub fn names() -> Vec<String> {
    ["log", "metrics"].into_iter().flat_map(|kind| declared(kind).into_iter().map(|(name, _)| name)).collect()
}

/// The metrics that alarms look at.
pub fn metrics() -> BTreeSet<String> {
    declared("metrics").values().map(|alarm| alarm["metric"].as_str().unwrap().to_owned()).collect()
}

/// The alarms of the log whose filter pattern a line matches.
pub fn raised(line: &Value) -> Vec<String> {
    let matches = |all: &Vec<(String, String)>| all.iter().any(|(field, text)| line[field] == *text);
    patterns().into_iter().filter(|(_, all)| matches(all)).map(|(name, _)| name).collect()
}

/// The numbers of each metric that CloudWatch makes of these lines: a period for each time that lines were written.
fn samples(lines: &[Value]) -> BTreeMap<String, Vec<Vec<f64>>> {
    let mut rounds: BTreeMap<u64, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.get("_aws").is_some()) {
        let round = rounds.entry(line["_aws"]["Timestamp"].as_u64().unwrap()).or_default();
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
                let value = line[name].as_f64().unwrap_or_else(|| panic!("{name} is no number: {line}"));
                round.entry(name.to_owned()).or_default().push(value);
            }
        }
    }
    let mut samples: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    let names: BTreeSet<String> = rounds.values().flat_map(BTreeMap::keys).cloned().collect();
    for mut round in rounds.into_values() {
        for name in &names {
            samples.entry(name.clone()).or_default().push(round.remove(name).unwrap_or_default());
        }
    }
    samples
}

/// The alarms of metrics that have rung by these lines; `chosen` says what thresholds with a name are. A period stands for the
/// minute that it would be.
pub fn rung(lines: &[Value], chosen: impl Fn(&str) -> f64) -> BTreeSet<String> {
    let samples = samples(lines);
    let has_rung = |alarm: &Value| {
        let threshold = |value: &Value| value.as_f64().unwrap_or_else(|| chosen(value.as_str().unwrap()));
        let breaches = |period: &Vec<f64>| {
            let value = match alarm["statistic"].as_str().unwrap() {
                "Maximum" => period.iter().copied().fold(f64::MIN, f64::max),
                "Minimum" => period.iter().copied().fold(f64::MAX, f64::min),
                "Sum" => period.iter().sum(),
                other => panic!("statistic {other}"),
            };
            // Missing data does not breach the threshold.
            !period.is_empty()
                && match (alarm.get("above"), alarm.get("below")) {
                    (Some(above), None) => value > threshold(above),
                    (None, Some(below)) => value < threshold(below),
                    _ => panic!("neither above nor below: {alarm}"),
                }
        };
        let periods = usize::try_from(alarm["minutes"].as_u64().unwrap()).unwrap();
        let found = samples.get(alarm["metric"].as_str().unwrap());
        found.is_some_and(|found| found.windows(periods).any(|all| all.iter().all(breaches)))
    };
    declared("metrics").into_iter().filter(|(_, alarm)| has_rung(alarm)).map(|(name, _)| name).collect()
}

#[test]
fn an_alarm_rings_once_all_its_periods_breach_and_not_before() {
    let lines = |values: &[Option<u64>]| -> Vec<Value> {
        let line = |(at, value): (usize, &Option<u64>)| {
            let metrics: Vec<Value> = value.iter().map(|_| serde_json::json!({ "Name": "NotReady" })).collect();
            serde_json::json!({ "_aws": { "Timestamp": at, "CloudWatchMetrics": [{ "Metrics": metrics }] }, "NotReady": value })
        };
        values.iter().enumerate().map(line).collect()
    };
    let rings = |values: &[Option<u64>]| rung(&lines(values), |_| 0.0).contains("not-ready");
    assert!(rings(&[Some(0), Some(1), Some(1), Some(0)]));
    assert!(!rings(&[Some(1), Some(0), Some(1)]), "one of two periods");
    assert!(!rings(&[Some(1), None, Some(1)]), "what is missing does not breach");
    assert!(!rings(&[Some(1)]), "a period too few");
}

#[test]
fn a_line_raises_the_alarms_whose_pattern_it_matches() {
    let raised = |line: &str| raised(&serde_json::from_str(line).unwrap());
    assert_eq!(raised(r#"{"level":"WARN","event":"session.taken_over"}"#), ["session"]);
    assert_eq!(raised(r#"{"level":"ERROR","event":"configuration.refused"}"#), ["configuration", "errors"]);
    assert_eq!(raised(r#"{"level":"INFO","event":"session.lost.not"}"#), [""; 0]);
    assert_eq!(raised(r#"{"level":"INFO","message":"session.lost"}"#), [""; 0], "another field");
}
