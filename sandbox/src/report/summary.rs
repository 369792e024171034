//! The result of a run: for a person as a table, for a program as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::text::{count, latency, rate};
use super::{Latency, text};

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Which broker it ran with.
    pub broker: String,
    /// Which version of MQTT it spoke.
    pub protocol: String,
    /// Seconds from the first message to the last.
    pub duration_s: f64,
    /// Different messages published.
    pub published: u64,
    /// Of them, handled by the function.
    pub handled: u64,
    /// Of them, in the failure destination.
    pub dead_lettered: u64,
    /// Of them, still with the broker, to be delivered again.
    pub unacknowledged: u64,
    /// Of them, gone: acknowledged to the publisher and found nowhere.
    pub lost: u64,
    /// Times that a message was handled again.
    pub duplicates: u64,
    /// Calls of the function.
    pub invocations: u64,
    /// Of them, failed.
    pub failed_invocations: u64,
    /// Commands that devices have heard; `None` in a scene without commands.
    pub commands: Option<u64>,
    /// Messages handled a second.
    pub rate: f64,
    /// Median time from publication to handling, in milliseconds; `None` when nothing was handled.
    pub p50_ms: Option<f64>,
    /// Its 99th percentile.
    pub p99_ms: Option<f64>,
    /// Its maximum.
    pub max_ms: Option<f64>,
}

impl Summary {
    /// Whether every message is accounted for, and none is lost.
    #[must_use]
    pub fn balanced(&self) -> bool {
        self.lost == 0 && self.handled + self.dead_lettered + self.unacknowledged == self.published
    }

    /// Takes percentiles and maximum from `latency`.
    #[must_use]
    pub fn with_latency(mut self, latency: &Latency) -> Self {
        let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        self.p50_ms = latency.percentile(50.0).map(millis);
        self.p99_ms = latency.percentile(99.0).map(millis);
        self.max_ms = latency.max().map(millis);
        self
    }

    /// One JSON object: the fields, and `balanced`.
    ///
    /// # Errors
    /// Never for a summary of this shape; the signature is that of the JSON library.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            summary: &'a Summary,
            balanced: bool,
        }
        serde_json::to_string(&Whole { summary: self, balanced: self.balanced() })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            ("published", self.published),
            ("handled", self.handled),
            ("dead-lettered", self.dead_lettered),
            ("unacknowledged", self.unacknowledged),
            ("lost", self.lost),
            ("duplicates", self.duplicates),
            ("invocations", self.invocations),
            ("failed invocations", self.failed_invocations),
        ];
        for (name, number) in numbers {
            writeln!(f, "{name:<20}{:>13}", count(number))?;
        }
        if let Some(commands) = self.commands {
            writeln!(f, "{:<20}{:>13}", "commands heard", count(commands))?;
        }
        let millis = |value: Option<f64>| latency(value.map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1e3)));
        writeln!(f, "{:<20}{:>13}", "rate", rate(self.rate))?;
        for (name, value) in [("p50", self.p50_ms), ("p99", self.p99_ms), ("max", self.max_ms)] {
            writeln!(f, "{:<20}{:>13}", format!("latency {name}"), millis(value))?;
        }
        let broker = text::plain(&self.broker, 40);
        let protocol = text::plain(&self.protocol, 10);
        writeln!(f, "{:.1} s with MQTT {protocol}, broker {broker}", self.duration_s)?;
        f.write_str(if self.balanced() {
            "balanced: every message is accounted for"
        } else {
            "NOT balanced: handled + dead-lettered + unacknowledged should be what was published, and nothing lost"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced() -> Summary {
        Summary { published: 10, handled: 7, dead_lettered: 2, unacknowledged: 1, ..Summary::default() }
    }

    #[test]
    fn a_balance_needs_every_message_and_no_loss() {
        assert!(balanced().balanced());
        assert!(balanced().to_string().ends_with("\nbalanced: every message is accounted for"));
        for wrong in [Summary { handled: 6, ..balanced() }, Summary { lost: 1, ..balanced() }] {
            assert!(!wrong.balanced(), "{wrong:?}");
            assert!(wrong.to_string().contains("\nNOT balanced"));
        }
    }

    #[test]
    fn json_holds_all_numbers_and_the_verdict() {
        let mut latency = Latency::default();
        latency.record(Duration::from_millis(5));
        let text = balanced().with_latency(&latency).to_json().unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["published"], 10);
        assert_eq!(json["balanced"], true);
        assert!((json["p99_ms"].as_f64().unwrap() - 5.0).abs() < 0.01, "{text}");
        assert_eq!(json.as_object().unwrap().len(), 17);
        assert!(!text.contains('\n'));
    }

    #[test]
    fn without_messages_there_is_no_latency() {
        assert!(Summary::default().to_json().unwrap().contains(r#""p50_ms":null"#));
        let table = Summary::default().to_string();
        assert!(table.lines().any(|line| line.split_whitespace().eq(["latency", "p50", "-"])), "{table}");
    }
}
