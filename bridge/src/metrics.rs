//! The numbers that an operator and the tests count. Hands out counters that cost one atomic addition; counts nothing
//! itself.

mod tls;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use tls::TlsMetrics;

/// All metrics of one bridge. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    received: Family<Labels, Counter>,
    redelivered: Family<Labels, Counter>,
    settled: Family<OutcomeLabels, Counter>,
    acknowledged: Family<Labels, Counter>,
    stale: Family<Labels, Counter>,
    connects: Family<Labels, Counter>,
    connection_failures: Family<Labels, Counter>,
    session_lost: Family<Labels, Counter>,
    ready: Family<Labels, Gauge>,
    outstanding: Family<Labels, Gauge>,
    outstanding_bytes: Family<Labels, Gauge>,
    invocations: Family<ResultLabels, Counter>,
    retries: Family<Labels, Counter>,
    in_flight: Family<Labels, Gauge>,
    concurrency: Family<Labels, Gauge>,
    invocation_seconds: Family<Labels, Histogram, fn() -> Histogram>,
    dead_letter_failures: Family<Labels, Counter>,
    published: Family<Labels, Counter>,
    publish_failures: Family<Labels, Counter>,
    answers_refused: Family<Labels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    last_reload_successful: Gauge,
    last_reload_success: Gauge,
    tls: TlsMetrics,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: ReloadLabel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names of the variants are the values of the label")]
enum ReloadLabel {
    succeeded,
    refused,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    mapping: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    mapping: Arc<str>,
    outcome: OutcomeLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    mapping: Arc<str>,
    result: ResultLabel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names of the variants are the values of the label")]
enum OutcomeLabel {
    delivered,
    filtered,
    dead_lettered,
    expired,
    abandoned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names of the variants are the values of the label")]
enum ResultLabel {
    succeeded,
    partial,
    function_error,
    throttled,
    misconfigured,
    failed,
}

const OUTCOMES: [OutcomeLabel; 5] = {
    use OutcomeLabel as O;
    [O::delivered, O::filtered, O::dead_lettered, O::expired, O::abandoned]
};

const RESULTS: [ResultLabel; 6] = {
    use ResultLabel as R;
    [R::succeeded, R::partial, R::function_error, R::throttled, R::misconfigured, R::failed]
};

/// The metrics of one mapping.
#[derive(Debug, Clone)]
pub struct MappingMetrics {
    /// PUBLISH packets received.
    pub received: Counter,
    /// Of those, marked by the broker as sent before.
    pub redelivered: Counter,
    /// Deliveries settled as delivered.
    pub delivered: Counter,
    /// Deliveries settled as filtered.
    pub filtered: Counter,
    /// Deliveries settled as dead-lettered.
    pub dead_lettered: Counter,
    /// Deliveries settled as expired.
    pub expired: Counter,
    /// Deliveries left un-acknowledged.
    pub abandoned: Counter,
    /// PUBACK and PUBREC packets written.
    pub acknowledged: Counter,
    /// Outcomes that came after their session was lost.
    pub stale: Counter,
    /// Connections made, CONNACK included.
    pub connects: Counter,
    /// Attempts that failed and connections that broke.
    pub connection_failures: Counter,
    /// Connects that found no session where there had been one.
    pub session_lost: Counter,
    /// 1 when subscribed with the QoS asked.
    pub ready: Gauge,
    /// Messages held: un-acknowledged, or still on their way through the function.
    pub outstanding: Gauge,
    /// What they weigh.
    pub outstanding_bytes: Gauge,
    /// Invocations in which every record succeeded.
    pub succeeded: Counter,
    /// Invocations in which some records failed.
    pub partial: Counter,
    /// Invocations in which the function failed.
    pub function_errors: Counter,
    /// Invocations refused for too many.
    pub throttled: Counter,
    /// Invocations refused until somebody mends the configuration.
    pub misconfigured: Counter,
    /// Invocations that failed in any other way.
    pub failed: Counter,
    /// Invocations made again for the same records.
    pub retries: Counter,
    /// Invocations under way.
    pub in_flight: Gauge,
    /// Invocations that may be under way, as Lambda bears them.
    pub concurrency: Gauge,
    /// How long invocations took.
    pub invocation_seconds: Histogram,
    /// Writes to the failure destination that failed.
    pub dead_letter_failures: Counter,
    /// Answers published and confirmed.
    pub published: Counter,
    /// Attempts to publish an answer that failed.
    pub publish_failures: Counter,
    /// Replies left out, as the mapping does not allow their Response Topic.
    pub answers_refused: Counter,
}

impl Metrics {
    /// No mapping yet.
    #[must_use]
    pub fn new() -> Self {
        let invocation_seconds: Family<Labels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let mut inner = Inner {
            registry: Registry::with_prefix("bridge"),
            received: Family::default(),
            redelivered: Family::default(),
            settled: Family::default(),
            acknowledged: Family::default(),
            stale: Family::default(),
            connects: Family::default(),
            connection_failures: Family::default(),
            session_lost: Family::default(),
            ready: Family::default(),
            outstanding: Family::default(),
            outstanding_bytes: Family::default(),
            invocations: Family::default(),
            retries: Family::default(),
            in_flight: Family::default(),
            concurrency: Family::default(),
            invocation_seconds,
            dead_letter_failures: Family::default(),
            published: Family::default(),
            publish_failures: Family::default(),
            answers_refused: Family::default(),
            reloads: Family::default(),
            last_reload_successful: Gauge::default(),
            last_reload_success: Gauge::default(),
            tls: TlsMetrics::default(),
        };
        inner.register();
        let metrics = Self(Arc::new(inner));
        for result in [ReloadLabel::succeeded, ReloadLabel::refused] {
            metrics.0.reloads.get_or_create_owned(&ReloadLabels { result });
        }
        metrics.show_success();
        metrics
    }

    /// Books that a configuration was taken up while the bridge ran, or refused.
    pub fn reloaded(&self, success: bool) {
        let result = if success { ReloadLabel::succeeded } else { ReloadLabel::refused };
        self.0.reloads.get_or_create_owned(&ReloadLabels { result }).inc();
        self.0.last_reload_successful.set(0);
        if success {
            self.show_success();
        }
    }

    /// The configuration at work is the one that was asked for last; so it is at the start.
    fn show_success(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.0.last_reload_successful.set(1);
        self.0.last_reload_success.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }

    /// Shows a mapping no more that is not there any more. What its parts still count goes nowhere.
    pub fn forget(&self, name: &str) {
        let (all, mapping) = (&self.0, Arc::<str>::from(name));
        let labels = Labels { mapping: mapping.clone() };
        let counters = [&all.received, &all.redelivered, &all.acknowledged, &all.stale, &all.connects];
        let failures = [&all.connection_failures, &all.session_lost, &all.retries, &all.dead_letter_failures];
        let answers = [&all.published, &all.publish_failures, &all.answers_refused];
        for counter in counters.into_iter().chain(failures).chain(answers) {
            counter.remove(&labels);
        }
        for gauge in [&all.ready, &all.outstanding, &all.outstanding_bytes, &all.in_flight, &all.concurrency] {
            gauge.remove(&labels);
        }
        all.invocation_seconds.remove(&labels);
        for outcome in OUTCOMES {
            all.settled.remove(&OutcomeLabels { mapping: mapping.clone(), outcome });
        }
        for result in RESULTS {
            all.invocations.remove(&ResultLabels { mapping: mapping.clone(), result });
        }
    }

    /// The counters of one mapping.
    #[must_use]
    pub fn mapping(&self, name: &str) -> MappingMetrics {
        let all = &self.0;
        let mapping: Arc<str> = name.into();
        let labels = Labels { mapping: mapping.clone() };
        let counter = |family: &Family<Labels, Counter>| family.get_or_create_owned(&labels);
        let gauge = |family: &Family<Labels, Gauge>| family.get_or_create_owned(&labels);
        let settled = |outcome| all.settled.get_or_create_owned(&OutcomeLabels { mapping: mapping.clone(), outcome });
        let invoked = |result| all.invocations.get_or_create_owned(&ResultLabels { mapping: mapping.clone(), result });
        MappingMetrics {
            received: counter(&all.received),
            redelivered: counter(&all.redelivered),
            delivered: settled(OutcomeLabel::delivered),
            filtered: settled(OutcomeLabel::filtered),
            dead_lettered: settled(OutcomeLabel::dead_lettered),
            expired: settled(OutcomeLabel::expired),
            abandoned: settled(OutcomeLabel::abandoned),
            acknowledged: counter(&all.acknowledged),
            stale: counter(&all.stale),
            connects: counter(&all.connects),
            connection_failures: counter(&all.connection_failures),
            session_lost: counter(&all.session_lost),
            ready: gauge(&all.ready),
            outstanding: gauge(&all.outstanding),
            outstanding_bytes: gauge(&all.outstanding_bytes),
            succeeded: invoked(ResultLabel::succeeded),
            partial: invoked(ResultLabel::partial),
            function_errors: invoked(ResultLabel::function_error),
            throttled: invoked(ResultLabel::throttled),
            misconfigured: invoked(ResultLabel::misconfigured),
            failed: invoked(ResultLabel::failed),
            retries: counter(&all.retries),
            in_flight: gauge(&all.in_flight),
            concurrency: gauge(&all.concurrency),
            invocation_seconds: all.invocation_seconds.get_or_create_owned(&labels),
            dead_letter_failures: counter(&all.dead_letter_failures),
            published: counter(&all.published),
            publish_failures: counter(&all.publish_failures),
            answers_refused: counter(&all.answers_refused),
        }
    }

    /// What TLS counts for the whole bridge.
    #[must_use]
    pub fn tls(&self) -> TlsMetrics {
        self.0.tls.clone()
    }

    /// Everything in Prometheus' text format (OpenMetrics 1.0).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Inner {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("received", "PUBLISH packets received", self.received.clone());
        registry.register("redelivered", "PUBLISH packets received with DUP", self.redelivered.clone());
        registry.register("settled", "Deliveries with a final outcome", self.settled.clone());
        registry.register("acknowledged", "PUBACK and PUBREC packets written", self.acknowledged.clone());
        registry.register("stale_outcomes", "Outcomes that came after their session was lost", self.stale.clone());
        registry.register("connects", "Connections made to the broker", self.connects.clone());
        registry.register(
            "connection_failures",
            "Attempts to connect that failed and connections that broke",
            self.connection_failures.clone(),
        );
        registry.register("session_lost", "Connects that found no session left", self.session_lost.clone());
        registry.register("ready", "Whether the mapping is subscribed with the QoS asked", self.ready.clone());
        registry.register("outstanding", "Messages held and not acknowledged", self.outstanding.clone());
        registry.register_with_unit(
            "outstanding",
            "What the messages held weigh",
            Unit::Bytes,
            self.outstanding_bytes.clone(),
        );
        registry.register("invocations", "Invocations of the function by result", self.invocations.clone());
        registry.register("retries", "Invocations made again for the same records", self.retries.clone());
        registry.register("invocations_in_flight", "Invocations under way", self.in_flight.clone());
        registry.register(
            "concurrency",
            "Invocations that may be under way, as Lambda bears them",
            self.concurrency.clone(),
        );
        registry.register_with_unit(
            "invocation",
            "How long invocations took",
            Unit::Seconds,
            self.invocation_seconds.clone(),
        );
        registry.register(
            "dead_letter_failures",
            "Writes to the failure destination that failed",
            self.dead_letter_failures.clone(),
        );
        registry.register("published", "Answers published and confirmed", self.published.clone());
        registry.register(
            "publish_failures",
            "Attempts to publish an answer that failed",
            self.publish_failures.clone(),
        );
        registry.register("answers_refused", "Replies to topics that are not allowed", self.answers_refused.clone());
        registry.register("reloads", "Configurations taken up or refused while running", self.reloads.clone());
        registry.register(
            "last_reload_successful",
            "Whether the configuration at work is the one that was asked for last",
            self.last_reload_successful.clone(),
        );
        registry.register_with_unit(
            "last_reload_success_timestamp",
            "When the configuration at work was taken up",
            Unit::Seconds,
            self.last_reload_success.clone(),
        );
        self.tls.register(registry);
    }
}

/// Seconds: from a warm function next door to the longest timeout that Lambda has.
const BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 900.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_convention() {
        let metrics = Metrics::new();
        let mapping = metrics.mapping("sensor-data");
        mapping.received.inc();
        mapping.dead_lettered.inc();
        mapping.outstanding_bytes.set(7);
        mapping.invocation_seconds.observe(0.02);
        let text = metrics.render();
        for line in [
            r#"bridge_received_total{mapping="sensor-data"} 1"#,
            r#"bridge_settled_total{mapping="sensor-data",outcome="dead_lettered"} 1"#,
            r#"bridge_outstanding_bytes{mapping="sensor-data"} 7"#,
            r#"bridge_invocation_seconds_count{mapping="sensor-data"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_mapping_that_is_forgotten_leaves_no_line_behind() {
        let metrics = Metrics::new();
        metrics.mapping("gone").received.inc();
        metrics.mapping("here").received.inc();
        metrics.forget("gone");
        let text = metrics.render();
        assert!(!text.contains("gone") && text.contains("here"), "{text}");
    }

    #[test]
    fn a_refused_reload_shows_until_one_succeeds() {
        let metrics = Metrics::new();
        let shows = |line: &str| assert!(metrics.render().contains(line), "{line} is missing in\n{}", metrics.render());
        shows("bridge_last_reload_successful 1");
        metrics.reloaded(false);
        shows("bridge_last_reload_successful 0");
        shows(r#"bridge_reloads_total{result="refused"} 1"#);
        metrics.reloaded(true);
        shows("bridge_last_reload_successful 1");
        shows("bridge_last_reload_success_timestamp_seconds 1");
    }
}
