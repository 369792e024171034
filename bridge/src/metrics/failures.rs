//! Counts failures by reason, and dead letters by destination. The labels have fixed sets of values.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// For an invocation without an answer, its kind of error, as in log lines and dead letters; for a failed answer,
/// whether the whole event failed or only some records.
const REASONS: [&str; 8] = [
    "Throttled",
    "Service",
    "Timeout",
    "Connection",
    "Rejected",
    "Misconfigured",
    Failures::OF_FUNCTION,
    Failures::OF_RECORDS,
];

/// The kinds of failure destinations.
const DESTINATIONS: [&str; 4] = ["file", "s3", "sqs", "topic"];

const RESULTS: [&str; 2] = ["succeeded", "failed"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    mapping: Arc<str>,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    mapping: Arc<str>,
    destination: &'static str,
    result: &'static str,
}

/// The failures of all mappings.
#[derive(Debug, Clone, Default)]
pub(super) struct FailuresFamily(Family<FailureLabels, Counter>);

/// The failures of one mapping, by reason.
#[derive(Debug, Clone)]
pub struct Failures(Arc<[(&'static str, Counter)]>);

/// The dead letters of all mappings, by destination.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteFamily(Family<WriteLabels, Counter>);

/// The dead letters of one mapping for one kind of destination.
#[derive(Debug, Clone)]
pub struct Writes {
    /// Durable there.
    pub succeeded: Counter,
    /// Not.
    pub failed: Counter,
}

impl Failures {
    /// The function failed the whole event.
    pub const OF_FUNCTION: &str = "FunctionError";
    /// The function failed some records.
    pub const OF_RECORDS: &str = "RecordsFailed";

    /// Counts one. What is no known reason is not counted.
    pub fn count(&self, reason: &str) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == reason) {
            counter.inc();
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, counter)| counter.get()).sum()
    }
}

impl FailuresFamily {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "failures",
            "Invocations that failed, or whose answer failed records, by reason",
            self.0.clone(),
        );
    }

    /// All reasons at zero, so that the first failure is a growth.
    pub(super) fn of(&self, mapping: &Arc<str>) -> Failures {
        let labels = |reason| FailureLabels { mapping: mapping.clone(), reason };
        Failures(REASONS.into_iter().map(|reason| (reason, self.0.get_or_create_owned(&labels(reason)))).collect())
    }

    pub(super) fn forget(&self, mapping: &Arc<str>) {
        for reason in REASONS {
            self.0.remove(&FailureLabels { mapping: mapping.clone(), reason });
        }
    }
}

impl WriteFamily {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("dead_letter_writes", "Attempts to write a dead letter, by destination", self.0.clone());
    }

    pub(super) fn of(&self, mapping: &Arc<str>, destination: &'static str) -> Writes {
        let [succeeded, failed] = RESULTS
            .map(|result| self.0.get_or_create_owned(&WriteLabels { mapping: mapping.clone(), destination, result }));
        Writes { succeeded, failed }
    }

    pub(super) fn forget(&self, mapping: &Arc<str>) {
        for (destination, result) in DESTINATIONS.into_iter().flat_map(|place| RESULTS.map(|result| (place, result))) {
            self.0.remove(&WriteLabels { mapping: mapping.clone(), destination, result });
        }
    }
}
