//! The metrics for operators and tests. Hands out counters that cost one atomic addition; counts nothing itself.

mod broker;
mod brokers;
mod emf;
mod exposition;
mod failing;
mod failures;
mod filters;
mod histogram;
mod live;
mod lives;
mod mapping;
mod process;
mod reload;
mod tls;
mod traces;

use std::sync::Arc;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::logging;
pub use broker::BrokerMetrics;
pub use emf::Embedded;
pub use exposition::Exposition;
pub use failing::{Failing, Streak};
pub use failures::{Failures, Writes};
pub use filters::{ByFilter, FilterCounts};
pub use histogram::{Counts, Durations};
pub use live::{About, Connection, Live, LiveSession, Trouble};
pub use mapping::MappingMetrics;
pub use process::Process;
pub use tls::TlsMetrics;
pub use traces::{SpanCounts, TraceMetrics};

/// What the name of each number of the bridge begins with.
pub const PREFIX: &str = "mqtt_lambda_bridge";

/// All metrics of one bridge. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    /// The numbers whose names do not begin with [`PREFIX`].
    process: Registry,
    mappings: mapping::Families,
    ready: Gauge,
    reloads: reload::ReloadMetrics,
    tls: TlsMetrics,
    broker: BrokerMetrics,
    traces: TraceMetrics,
}

impl Metrics {
    /// No mapping yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let build =
            vec![("version", env!("CARGO_PKG_VERSION")), ("fips", if cfg!(feature = "fips") { "yes" } else { "no" })];
        registry.register("build", "Which build of the bridge this is", Info::new(build));
        let mut process = Registry::default();
        process.register_collector(Box::new(process::ProcessMetrics));
        // The first call records the start time.
        let _ = Process::now();
        let lost = "Lines of the log that were lost as nobody read them in time";
        registry.register("log_lines_lost", lost, logging::lost());
        let mappings = mapping::Families::register(&mut registry);
        let ready = Gauge::default();
        registry.register("readyz", "Whether the bridge is ready as a whole: /readyz answers with 200", ready.clone());
        let reloads = reload::ReloadMetrics::register(&mut registry);
        let tls = TlsMetrics::default();
        tls.register(&mut registry);
        let broker = BrokerMetrics::default();
        broker.register(&mut registry);
        let traces = TraceMetrics::default();
        traces.register(&mut registry);
        Self(Arc::new(Inner { registry, process, mappings, ready, reloads, tls, broker, traces }))
    }

    /// Counts that a new configuration was accepted while the bridge ran, or refused.
    pub fn reloaded(&self, success: bool) {
        self.0.reloads.count(success);
    }

    /// Books whether the bridge is ready as a whole.
    pub fn show_ready(&self, is_ready: bool) {
        self.0.ready.set(is_ready.into());
    }

    /// Whether it is, as it was booked last.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.ready.get() == 1
    }

    /// The numbers of one mapping.
    #[must_use]
    pub fn mapping(&self, name: &str) -> MappingMetrics {
        self.0.mappings.of(name)
    }

    /// Shows no mapping any more that is not there. What its parts still count goes nowhere.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) {
        let gone = self.0.mappings.names().into_iter().filter(|name| !is_there(name));
        gone.for_each(|name| self.0.mappings.forget(&name));
    }

    /// What TLS counts for the whole bridge.
    #[must_use]
    pub fn tls(&self) -> TlsMetrics {
        self.0.tls.clone()
    }

    /// What the broker tells about itself.
    #[must_use]
    pub fn broker(&self) -> BrokerMetrics {
        self.0.broker.clone()
    }

    /// What has become of spans.
    #[must_use]
    pub fn traces(&self) -> TraceMetrics {
        self.0.traces.clone()
    }

    /// Everything in OpenMetrics.
    #[must_use]
    pub fn render(&self) -> String {
        self.render_as(Exposition::OpenMetrics)
    }

    /// Everything, in this text format.
    #[must_use]
    pub fn render_as(&self, exposition: Exposition) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode_registry(&mut text, &self.0.registry);
        let _ = encode_registry(&mut text, &self.0.process);
        let _ = encode_eof(&mut text);
        exposition.write(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_follow_the_convention() {
        let metrics = Metrics::new();
        let mapping = metrics.mapping("sensor-data");
        mapping.received.inc();
        mapping.dead_lettered.inc();
        mapping.outstanding_bytes.set(7);
        mapping.invocation_seconds.observe(Duration::from_millis(20));
        let text = metrics.render();
        for line in [
            r#"mqtt_lambda_bridge_received_total{mapping="sensor-data"} 1"#,
            r#"mqtt_lambda_bridge_settled_total{mapping="sensor-data",outcome="dead_lettered"} 1"#,
            r#"mqtt_lambda_bridge_outstanding_bytes{mapping="sensor-data"} 7"#,
            r#"mqtt_lambda_bridge_invocation_seconds_count{mapping="sensor-data"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_mapping_that_is_forgotten_leaves_no_line_behind() {
        let metrics = Metrics::new();
        metrics.mapping("gone").received.inc();
        metrics.mapping("here").received.inc();
        metrics.keep(|name| name != "gone");
        let text = metrics.render();
        assert!(!text.contains("gone") && text.contains("here"), "{text}");
    }

    #[test]
    fn what_the_broker_has_dropped_is_not_shown_before_it_says_so() {
        let metrics = Metrics::new();
        let line = |text: &str| text.lines().any(|line| line.starts_with("mqtt_lambda_bridge_mqtt_dropped_by_broker"));
        assert!(!line(&metrics.render()));
        metrics.broker().dropped(0);
        assert!(metrics.render().contains("\nmqtt_lambda_bridge_mqtt_dropped_by_broker 0\n"), "{}", metrics.render());
    }

    #[test]
    fn a_refused_reload_shows_until_one_succeeds() {
        let metrics = Metrics::new();
        let shows = |line: &str| assert!(metrics.render().contains(line), "{line} is missing in\n{}", metrics.render());
        shows("mqtt_lambda_bridge_last_reload_successful 1");
        metrics.reloaded(false);
        shows("mqtt_lambda_bridge_last_reload_successful 0");
        shows(r#"mqtt_lambda_bridge_reloads_total{result="refused"} 1"#);
        metrics.reloaded(true);
        shows("mqtt_lambda_bridge_last_reload_successful 1");
        shows("mqtt_lambda_bridge_last_reload_success_timestamp_seconds 1");
    }
}
