//! The numbers of a mapping, each declared once: the field that counts it, its name outside, and its help, which is its
//! comment here.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    mapping: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    mapping: Arc<str>,
    outcome: Word,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    mapping: Arc<str>,
    result: Word,
}

/// The value of a label that has a fixed set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Word(&'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>) -> std::fmt::Result {
        self.0.encode(encoder)
    }
}

macro_rules! numbers {
    (
        one { $(#[doc = $help:literal] $field:ident: $kind:ident = $name:literal $($unit:ident)?;)* }
        outcomes { $(#[doc = $outcome_help:literal] $outcome:ident = $outcome_name:literal;)* }
        results { $(#[doc = $result_help:literal] $result:ident = $result_name:literal;)* }
    ) => {
        /// The numbers of one mapping.
        #[derive(Debug, Clone)]
        pub struct MappingMetrics {
            $(#[doc = $help] pub $field: $kind,)*
            $(#[doc = $outcome_help] pub $outcome: Counter,)*
            $(#[doc = $result_help] pub $result: Counter,)*
            /// How long invocations took, in seconds.
            pub invocation_seconds: Histogram,
        }

        /// The numbers of all mappings.
        #[derive(Debug)]
        pub(super) struct Families {
            $($field: Family<Labels, $kind>,)*
            settled: Family<OutcomeLabels, Counter>,
            invocations: Family<ResultLabels, Counter>,
            invocation_seconds: Family<Labels, Histogram, fn() -> Histogram>,
        }

        impl Families {
            /// No mapping yet; shown by the registry.
            pub(super) fn register(registry: &mut Registry) -> Self {
                let all = Self {
                    $($field: Family::default(),)*
                    settled: Family::default(),
                    invocations: Family::default(),
                    invocation_seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
                };
                $(register(registry, $name, $help, [$(Unit::$unit)?], all.$field.clone());)*
                register(registry, "settled", "Deliveries with a final outcome", [], all.settled.clone());
                register(registry, "invocations", "Invocations of the function by result", [], all.invocations.clone());
                let took = "How long invocations took";
                register(registry, "invocation", took, [Unit::Seconds], all.invocation_seconds.clone());
                all
            }

            pub(super) fn of(&self, name: &str) -> MappingMetrics {
                let mapping: Arc<str> = name.into();
                let labels = Labels { mapping: mapping.clone() };
                let outcome = |outcome| OutcomeLabels { mapping: mapping.clone(), outcome: Word(outcome) };
                let result = |result| ResultLabels { mapping: mapping.clone(), result: Word(result) };
                MappingMetrics {
                    $($field: self.$field.get_or_create_owned(&labels),)*
                    $($outcome: self.settled.get_or_create_owned(&outcome($outcome_name)),)*
                    $($result: self.invocations.get_or_create_owned(&result($result_name)),)*
                    invocation_seconds: self.invocation_seconds.get_or_create_owned(&labels),
                }
            }

            pub(super) fn forget(&self, name: &str) {
                let mapping: Arc<str> = name.into();
                let labels = Labels { mapping: mapping.clone() };
                $(self.$field.remove(&labels);)*
                $(self.settled.remove(&OutcomeLabels { mapping: mapping.clone(), outcome: Word($outcome_name) });)*
                $(self.invocations.remove(&ResultLabels { mapping: mapping.clone(), result: Word($result_name) });)*
                self.invocation_seconds.remove(&labels);
            }
        }
    };
}

numbers! {
    one {
        /// PUBLISH packets received.
        received: Counter = "received";
        /// PUBLISH packets received with DUP.
        redelivered: Counter = "redelivered";
        /// PUBLISH packets that were copies of a message already under way, or acknowledged just before.
        joined: Counter = "received_copies";
        /// Messages received that the mapping's topic filter does not match.
        unmatched: Counter = "received_unmatched";
        /// PUBLISH packets received beyond the Receive Maximum that the broker was given.
        beyond_maximum: Counter = "received_beyond_maximum";
        /// PUBACK and PUBREC packets written.
        acknowledged: Counter = "acknowledged";
        /// Outcomes that came after their session was lost.
        stale: Counter = "stale_outcomes";
        /// Connections made to the broker, CONNACK included.
        connects: Counter = "connects";
        /// Attempts to connect that failed and connections that broke.
        connection_failures: Counter = "connection_failures";
        /// Connects that found no session where there had been one.
        session_lost: Counter = "session_lost";
        /// Connections that ended because another client has the same client id.
        taken_over: Counter = "session_taken_over";
        /// How long the broker keeps the session without a connection, in seconds, as its last CONNACK says.
        session_expiry: Gauge = "session_expiry_granted" Seconds;
        /// Whether the mapping is subscribed with the QoS asked.
        ready: Gauge = "ready";
        /// Messages held: un-acknowledged, or still on their way through the function.
        outstanding: Gauge = "outstanding";
        /// What the messages held weigh.
        outstanding_bytes: Gauge = "outstanding" Bytes;
        /// Invocations made again for the same records.
        retries: Counter = "retries";
        /// Invocations under way.
        in_flight: Gauge = "invocations_in_flight";
        /// Invocations that may be under way, as Lambda bears them.
        concurrency: Gauge = "concurrency";
        /// Writes to the failure destination that failed.
        dead_letter_failures: Counter = "dead_letter_failures";
        /// Failure destinations that refused the last letter they were given.
        failing_destinations: Gauge = "failing_destinations";
        /// Messages held un-acknowledged as no failure destination takes them, those included that none ever can.
        dead_letters_held: Gauge = "dead_letters_held";
        /// Answers published and confirmed.
        published: Counter = "published";
        /// Attempts to publish an answer that failed.
        publish_failures: Counter = "publish_failures";
        /// Replies left out, as the mapping does not allow their Response Topic.
        answers_refused: Counter = "answers_refused";
        /// Answers that could not be published and went to the failure destination, alone or with their record.
        answers_dead_lettered: Counter = "answers_dead_lettered";
        /// Answers that could not be published and were dropped.
        answers_dropped: Counter = "answers_dropped";
    }
    outcomes {
        /// Deliveries settled as delivered.
        delivered = "delivered";
        /// Deliveries settled as filtered.
        filtered = "filtered";
        /// Deliveries settled as dead-lettered.
        dead_lettered = "dead_lettered";
        /// Deliveries settled as expired.
        expired = "expired";
        /// Deliveries left un-acknowledged.
        abandoned = "abandoned";
    }
    results {
        /// Invocations in which every record succeeded.
        succeeded = "succeeded";
        /// Invocations in which some records failed.
        partial = "partial";
        /// Invocations in which the function failed.
        function_errors = "function_error";
        /// Invocations refused for too many.
        throttled = "throttled";
        /// Invocations refused until somebody mends the configuration.
        misconfigured = "misconfigured";
        /// Invocations that failed in any other way.
        failed = "failed";
    }
}

/// Shows a family under its name. The registry ends the help with its own full stop.
fn register<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: [Unit; N],
    family: impl prometheus_client::registry::Metric,
) {
    let help = help.trim().trim_end_matches('.');
    match unit.into_iter().next() {
        Some(unit) => registry.register_with_unit(name, help, unit, family),
        None => registry.register(name, help, family),
    }
}

/// Seconds: from a warm function next door to the longest timeout that Lambda has.
const BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 900.0];
