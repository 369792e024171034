//! Metrics that the broker publishes about itself.

use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The broker's own numbers. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct BrokerMetrics {
    /// Missing until the broker has published the number, because a zero would mean that nothing was dropped.
    dropped: Arc<OnceLock<Gauge>>,
}

impl BrokerMetrics {
    /// The broker has dropped so many messages since its start.
    pub fn dropped(&self, total: u64) {
        self.dropped.get_or_init(Gauge::default).set(i64::try_from(total).unwrap_or(i64::MAX));
    }

    /// How many it has dropped, once it has said so.
    #[must_use]
    pub fn total(&self) -> Option<i64> {
        self.dropped.get().map(Gauge::get)
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

impl Collector for BrokerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(dropped) = self.dropped.get() else { return Ok(()) };
        let help = "Messages that the broker has dropped since its start, for any client, as it says itself.";
        dropped.encode(encoder.encode_descriptor("mqtt_dropped_by_broker", help, None, dropped.metric_type())?)
    }
}
