//! Metrics of reloads: how often a new configuration was accepted or refused, and whether the active one is the last
//! one requested.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Default)]
pub(super) struct ReloadMetrics {
    reloads: Family<ReloadLabels, Counter>,
    last_successful: Gauge,
    last_success: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

const SUCCEEDED: ReloadLabels = ReloadLabels { result: "succeeded" };
const REFUSED: ReloadLabels = ReloadLabels { result: "refused" };

impl ReloadMetrics {
    /// None yet; shown by the registry.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self::default();
        let help = "Configurations taken up or refused while running";
        registry.register("reloads", help, all.reloads.clone());
        let help = "Whether the configuration at work is the one that was asked for last";
        registry.register("last_reload_successful", help, all.last_successful.clone());
        let (name, help) = ("last_reload_success_timestamp", "When the configuration at work was taken up");
        registry.register_with_unit(name, help, Unit::Seconds, all.last_success.clone());
        [SUCCEEDED, REFUSED].iter().for_each(|labels| drop(all.reloads.get_or_create(labels)));
        all.show_success();
        all
    }

    pub(super) fn count(&self, success: bool) {
        self.reloads.get_or_create(if success { &SUCCEEDED } else { &REFUSED }).inc();
        self.last_successful.set(0);
        if success {
            self.show_success();
        }
    }

    /// The configuration at work is the one that was asked for last; so it is at the start.
    fn show_success(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_successful.set(1);
        self.last_success.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }
}
