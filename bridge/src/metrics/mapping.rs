//! The metrics of a mapping, each declared once: the field that counts it, its public name, and its help, which is its
//! comment here.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::brokers::{ByUrl, ByUrlFamily};
use super::failures::{Failures, FailuresFamily, WriteFamily, Writes};
use super::filters::{ByFilter, ByFilterFamily};
use super::histogram::Durations;
use super::live::Live;
use super::lives::Lives;

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
        durations { $(#[doc = $took:literal] $duration:ident = $duration_name:literal;)* }
    ) => {
        /// The numbers of one mapping.
        #[derive(Debug, Clone)]
        pub struct MappingMetrics {
            $(#[doc = $help] pub $field: $kind,)*
            $(#[doc = $outcome_help] pub $outcome: Counter,)*
            $(#[doc = $result_help] pub $result: Counter,)*
            $(#[doc = $took] pub $duration: Durations,)*
            /// Failures of invocations and of the function, by reason.
            pub failures: Failures,
            /// Connections made, by broker.
            pub connects_by_url: ByUrl,
            /// Messages received, by topic filter.
            pub received_by_filter: ByFilter,
            /// Where its dead letters go.
            writes: WriteFamily,
            mapping: Arc<str>,
            /// What cannot be counted.
            pub live: Live,
        }

        /// The numbers of all mappings.
        #[derive(Debug)]
        pub(super) struct Families {
            $($field: Family<Labels, $kind>,)*
            settled: Family<OutcomeLabels, Counter>,
            invocations: Family<ResultLabels, Counter>,
            $($duration: Family<Labels, Durations>,)*
            failures: FailuresFamily,
            connects_by_url: ByUrlFamily,
            received_by_filter: ByFilterFamily,
            writes: WriteFamily,
            lives: Lives,
        }

        impl Families {
            /// No mapping yet; shown by the registry.
            pub(super) fn register(registry: &mut Registry) -> Self {
                let all = Self {
                    $($field: Family::default(),)*
                    settled: Family::default(),
                    invocations: Family::default(),
                    $($duration: Family::default(),)*
                    failures: FailuresFamily::default(),
                    connects_by_url: ByUrlFamily::default(),
                    received_by_filter: ByFilterFamily::default(),
                    writes: WriteFamily::default(),
                    lives: Lives::default(),
                };
                $(register(registry, $name, $help, [$(Unit::$unit)?], all.$field.clone());)*
                register(registry, "settled", "Deliveries with a final outcome", [], all.settled.clone());
                register(registry, "invocations", "Invocations of the function by result", [], all.invocations.clone());
                $(register(registry, $duration_name, $took, [Unit::Seconds], all.$duration.clone());)*
                all.failures.register(registry);
                all.connects_by_url.register(registry);
                registry.register_collector(Box::new(all.received_by_filter.clone()));
                all.writes.register(registry);
                registry.register_collector(Box::new(all.lives.clone()));
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
                    $($duration: self.$duration.get_or_create_owned(&labels),)*
                    failures: self.failures.of(&mapping),
                    connects_by_url: self.connects_by_url.of(&mapping),
                    received_by_filter: self.received_by_filter.of(&mapping),
                    writes: self.writes.clone(),
                    live: self.lives.of(&mapping),
                    mapping,
                }
            }

            /// All mappings that are shown.
            pub(super) fn names(&self) -> Vec<Arc<str>> {
                self.lives.names()
            }

            pub(super) fn forget(&self, mapping: &Arc<str>) {
                let labels = Labels { mapping: mapping.clone() };
                $(self.$field.remove(&labels);)*
                $(self.settled.remove(&OutcomeLabels { mapping: mapping.clone(), outcome: Word($outcome_name) });)*
                $(self.invocations.remove(&ResultLabels { mapping: mapping.clone(), result: Word($result_name) });)*
                $(self.$duration.remove(&labels);)*
                self.failures.forget(mapping);
                self.connects_by_url.forget(mapping);
                self.received_by_filter.forget(mapping);
                self.writes.forget(mapping);
                self.lives.forget(mapping);
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
        /// How long the mapping asks the broker to keep its session, in seconds.
        session_expiry_asked: Gauge = "session_expiry_asked" Seconds;
        /// Whether the mapping is ready, as /readyz says.
        ready: Gauge = "ready";
        /// Whether the mapping is degraded: all its invocations fail for a long time, or a failure destination refuses.
        degraded: Gauge = "degraded";
        /// Whether the mapping is subscribed for hours, and no message has ever come.
        silent: Gauge = "silent";
        /// Sessions that are subscribed with the QoS asked.
        subscribed: Gauge = "subscribed_sessions";
        /// Whether an operator holds the mapping.
        paused: Gauge = "paused";
        /// When the last message came, as a Unix time; 0 before the first.
        last_received: Gauge = "last_received_timestamp" Seconds;
        /// When the function last took a message, as a Unix time; 0 before the first.
        last_success: Gauge = "last_success_timestamp" Seconds;
        /// Messages held: un-acknowledged, or still on their way through the function.
        outstanding: Gauge = "outstanding";
        /// What the messages held weigh; one of an earlier connection that has its outcome weighs nothing.
        outstanding_bytes: Gauge = "outstanding" Bytes;
        /// Messages that the broker may send ahead of our acknowledgements, over all sessions.
        window_capacity: Gauge = "window_capacity";
        /// Invocations made again for the same records.
        retries: Counter = "retries";
        /// Invocations under way.
        in_flight: Gauge = "invocations_in_flight";
        /// The current concurrency limit.
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
        /// Invocations refused until the configuration is fixed.
        misconfigured = "misconfigured";
        /// Invocations that failed in any other way.
        failed = "failed";
    }
    durations {
        /// How long invocations took.
        invocation_seconds = "invocation";
        /// How long messages took from their receipt to their outcome.
        receive_to_settle = "receive_to_settle";
    }
}

impl MappingMetrics {
    /// An operator holds the mapping, or lets it go: the gauge, and since when. Whoever learns of it may say so.
    pub fn show_paused(&self, paused: bool) {
        self.paused.set(i64::from(paused));
        self.live.pause(paused);
    }

    /// The dead letters written to one kind of destination.
    #[must_use]
    pub fn writes_to(&self, destination: &'static str) -> Writes {
        self.writes.of(&self.mapping, destination)
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
