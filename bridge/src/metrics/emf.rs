//! Metrics as lines that CloudWatch reads by itself: the embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//! Makes the lines and writes none.
//!
//! The metrics have no dimension: a dimension for each mapping or replica would be a metric to pay for each of them.
//! Each line is a sample, so the maximum of a metric is that of the worst mapping, and the sum that of all. Which
//! mapping it is stands in the line, for a query of the log.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use serde_json::{Map, Value, json};

use super::Metrics;
use super::mapping::MappingMetrics;

const DAY: f64 = 86_400.0;

/// Makes lines of what has happened since the line before.
#[derive(Debug)]
pub struct Embedded {
    namespace: String,
    client_id: String,
    /// What each mapping had counted at its last line.
    before: BTreeMap<String, [u64; 4]>,
}

/// A metric: its name, its unit as CloudWatch calls it, its value.
type Metric = (&'static str, &'static str, Value);

impl Embedded {
    /// For the bridge of this client id; no line yet.
    #[must_use]
    pub fn new(namespace: String, client_id: String) -> Self {
        Self { namespace, client_id, before: BTreeMap::new() }
    }

    /// The line of a mapping. One that is about to end is neither ready nor degraded, so that its line says neither.
    pub fn mapping(&mut self, name: &str, metrics: &MappingMetrics, is_running: bool, now: SystemTime) -> String {
        let counted = counted(metrics);
        let before = self.before.insert(name.to_owned(), counted).unwrap_or_default();
        // A mapping that was removed and added again counts from zero.
        let since = |index: usize| json!(counted[index].checked_sub(before[index]).unwrap_or(counted[index]));
        let oldest = metrics.live.oldest_in_flight().unwrap_or_default();
        let mut all = vec![
            ("Received", "Count", since(0)),
            ("Delivered", "Count", since(1)),
            ("DeadLettered", "Count", since(2)),
            ("InvocationsFailed", "Count", since(3)),
            ("DeadLettersHeld", "Count", json!(metrics.dead_letters_held.get())),
            ("OldestInFlight", "Seconds", json!(oldest.as_secs())),
            ("WindowUsed", "Percent", json!(window_used(metrics))),
        ];
        if is_running {
            all.push(("NotReady", "Count", json!(1 - metrics.ready.get())));
            all.push(("Degraded", "Count", json!(metrics.degraded.get())));
        }
        self.line(Some(name), all, now)
    }

    /// The line of the bridge as a whole; `None` where there is nothing to say.
    #[must_use]
    pub fn bridge(&self, metrics: &Metrics, is_running: bool, now: SystemTime) -> Option<String> {
        let mut days: BTreeMap<&'static str, f64> = BTreeMap::new();
        for (part, ends) in metrics.tls().ends() {
            let name = if part == "revocation_list" { "RevocationListDays" } else { "CertificateDays" };
            let left = (seconds(ends) - since_epoch(now).as_secs_f64()) / DAY;
            days.entry(name).and_modify(|days| *days = days.min(left)).or_insert(left);
        }
        let mut all: Vec<_> = days.into_iter().map(|(name, days)| (name, "None", json!(days))).collect();
        if is_running {
            // The lines of the mappings do not cover the publisher.
            all.push(("NotReady", "Count", json!(u8::from(!metrics.is_ready()))));
        }
        (!all.is_empty()).then(|| self.line(None, all, now))
    }

    /// Forgets what mappings have counted that are not there any more.
    pub fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.before.retain(|name, _| is_there(name));
    }

    fn line(&self, mapping: Option<&str>, all: Vec<Metric>, now: SystemTime) -> String {
        let mut line = Map::new();
        let declared: Vec<_> = all.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
        let timestamp = u64::try_from(since_epoch(now).as_millis()).unwrap_or(u64::MAX);
        let directive = json!({ "Namespace": self.namespace, "Dimensions": [[]], "Metrics": declared });
        line.insert("_aws".into(), json!({ "Timestamp": timestamp, "CloudWatchMetrics": [directive] }));
        line.insert("client_id".into(), json!(self.client_id));
        if let Some(mapping) = mapping {
            line.insert("mapping".into(), json!(mapping));
        }
        line.extend(all.into_iter().map(|(name, _, value)| (name.to_owned(), value)));
        Value::Object(line).to_string()
    }
}

/// What a mapping counts: received, delivered, dead-lettered, invocations that failed.
fn counted(metrics: &MappingMetrics) -> [u64; 4] {
    let failed =
        [&metrics.function_errors, &metrics.throttled, &metrics.misconfigured, &metrics.failed, &metrics.partial];
    let failed = failed.into_iter().map(Counter::get).sum();
    [metrics.received.get(), metrics.delivered.get(), metrics.dead_lettered.get(), failed]
}

fn window_used(metrics: &MappingMetrics) -> i64 {
    let capacity = metrics.window_capacity.get();
    if capacity > 0 { metrics.outstanding.get().saturating_mul(100) / capacity } else { 0 }
}

fn since_epoch(at: SystemTime) -> std::time::Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[allow(clippy::cast_precision_loss, reason = "seconds of a Unix time have room in a double for ever")]
fn seconds(unix_time: u64) -> f64 {
    unix_time as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(line: &str) -> Value {
        assert_eq!(line.lines().count(), 1, "{line}");
        serde_json::from_str(line).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let metrics = Metrics::new().mapping("a");
        let mut embedded = Embedded::new("plant".into(), "bridge-1".into());
        let line = read(&embedded.mapping("a", &metrics, true, at(1_795_176_000)));
        assert_eq!(line["_aws"]["Timestamp"], 1_795_176_000_000_u64);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("plant"), &json!([[]])));
        let declared = directive["Metrics"].as_array().unwrap();
        assert_eq!(declared.len(), 9);
        // EMF needs each metric as a number at the top level.
        assert!(declared.iter().all(|metric| line[metric["Name"].as_str().unwrap()].is_number()), "{line}");
        assert_eq!((&line["client_id"], &line["mapping"]), (&json!("bridge-1"), &json!("a")));
    }

    #[test]
    fn each_metric_is_its_own_number_with_its_unit() {
        let metrics = Metrics::new().mapping("a");
        metrics.received.inc_by(100);
        metrics.delivered.inc_by(90);
        metrics.dead_lettered.inc_by(7);
        // One digit for each kind of a failed invocation.
        let failed =
            [&metrics.function_errors, &metrics.throttled, &metrics.misconfigured, &metrics.failed, &metrics.partial];
        for (kind, number) in failed.into_iter().zip([1, 10, 100, 1_000, 10_000]) {
            kind.inc_by(number);
        }
        metrics.dead_letters_held.set(3);
        metrics.window_capacity.set(200);
        metrics.outstanding.set(30);
        metrics.degraded.set(1);
        let line = read(&Embedded::new("n".into(), "c".into()).mapping("a", &metrics, true, at(1)));
        let expected = [
            ("Received", "Count", 100),
            ("Delivered", "Count", 90),
            ("DeadLettered", "Count", 7),
            ("InvocationsFailed", "Count", 11_111),
            ("DeadLettersHeld", "Count", 3),
            ("OldestInFlight", "Seconds", 0),
            ("WindowUsed", "Percent", 15),
            ("NotReady", "Count", 1),
            ("Degraded", "Count", 1),
        ];
        let declared = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        let of = |metric: &Value| {
            let name = metric["Name"].as_str().unwrap();
            (name.to_owned(), metric["Unit"].as_str().unwrap().to_owned(), line[name].as_i64().unwrap())
        };
        let found: Vec<_> = declared.iter().map(of).collect();
        assert_eq!(found, expected.map(|(name, unit, value)| (name.to_owned(), unit.to_owned(), value)));
    }

    #[test]
    fn what_is_not_there_any_more_is_forgotten() {
        let metrics = Metrics::new().mapping("a");
        let mut embedded = Embedded::new("n".into(), "c".into());
        metrics.received.inc_by(5);
        for is_there in [true, false] {
            let _ = embedded.mapping("a", &metrics, true, at(1));
            embedded.keep(|name| is_there && name == "a");
        }
        assert_eq!(read(&embedded.mapping("a", &metrics, true, at(1)))["Received"], 5, "it counts from its beginning");
    }

    #[test]
    fn counters_say_what_is_new_and_gauges_what_is() {
        let all = Metrics::new();
        let metrics = all.mapping("a");
        let mut embedded = Embedded::new("n".into(), "c".into());
        metrics.received.inc_by(5);
        metrics.throttled.inc();
        metrics.failed.inc();
        metrics.window_capacity.set(8);
        metrics.outstanding.set(6);
        let shown =
            |line: Value| ["Received", "InvocationsFailed", "WindowUsed", "NotReady"].map(|name| line[name].clone());
        let mut next = |metrics: &MappingMetrics| shown(read(&embedded.mapping("a", metrics, true, at(1))));
        assert_eq!(next(&metrics), [5, 2, 75, 1].map(|number| json!(number)));
        metrics.received.inc();
        metrics.ready.set(1);
        assert_eq!(next(&metrics), [1, 0, 75, 0].map(|number| json!(number)));
        all.keep(|name| name != "a");
        let again = all.mapping("a");
        again.received.inc_by(3);
        assert_eq!(next(&again)[0], 3, "a mapping that came again counts from zero");
    }

    #[test]
    fn one_that_ends_is_neither_ready_nor_not() {
        let metrics = Metrics::new().mapping("a");
        let line = read(&Embedded::new("n".into(), "c".into()).mapping("a", &metrics, false, at(1)));
        assert!(line.get("NotReady").is_none() && line.get("Degraded").is_none(), "{line}");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().len(), 7);
    }

    #[test]
    fn a_bridge_that_is_not_ready_for_its_publisher_alone_says_so() {
        let (metrics, embedded) = (Metrics::new(), Embedded::new("n".into(), "c".into()));
        let says = |is_running| Some(read(&embedded.bridge(&metrics, is_running, at(1))?)["NotReady"].clone());
        assert_eq!((says(true), says(false)), (Some(json!(1)), None));
        metrics.show_ready(true);
        assert_eq!(says(true), Some(json!(0)));
    }

    #[test]
    fn days_are_those_of_the_first_that_ends() {
        let (metrics, embedded) = (Metrics::new(), Embedded::new("n".into(), "c".into()));
        let tls = metrics.tls();
        assert_eq!(embedded.bridge(&metrics, false, at(0)), None);
        tls.expires("certificate", at(86_400 * 20));
        tls.expires("authority", at(86_400 * 12));
        tls.expires("revocation_list", at(86_400 * 11));
        let line = read(&embedded.bridge(&metrics, false, at(86_400 * 10 + 43_200)).unwrap());
        assert_eq!((&line["CertificateDays"], &line["RevocationListDays"]), (&json!(1.5), &json!(0.5)));
        let over = read(&embedded.bridge(&metrics, false, at(86_400 * 13)).unwrap());
        assert_eq!(over["CertificateDays"], json!(-1.0), "what has ended is below zero");
    }
}
