//! The state of all mappings beside their counters, and the one metric that is computed on request: the age of the
//! oldest message in flight.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::live::Live;

/// By mapping. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Lives(Arc<Mutex<BTreeMap<Arc<str>, Live>>>);

impl Lives {
    pub(super) fn of(&self, mapping: &Arc<str>) -> Live {
        self.all().entry(mapping.clone()).or_default().clone()
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.all().keys().cloned().collect()
    }

    pub(super) fn forget(&self, mapping: &str) {
        self.all().remove(mapping);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Lives {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "How long the oldest message without an outcome has been here; 0 when there is none.";
        let name = "oldest_in_flight";
        let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for (mapping, live) in self.all().iter() {
            let age = live.oldest_in_flight().unwrap_or_default().as_secs_f64();
            ConstGauge::new(age).encode(family.encode_family(&[("mapping", &**mapping)])?)?;
        }
        Ok(())
    }
}
