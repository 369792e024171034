//! Which of several brokers a mapping's sessions connect to.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::config::MOST_URLS;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    mapping: Arc<str>,
    /// From 1, in the order of `mqtt.url`.
    url: u64,
}

/// The connections of all mappings, by broker.
#[derive(Debug, Clone, Default)]
pub(super) struct ByUrlFamily(Family<Labels, Counter>);

/// The connections of one mapping, by broker.
#[derive(Debug, Clone)]
pub struct ByUrl {
    all: ByUrlFamily,
    mapping: Arc<str>,
}

impl ByUrl {
    /// A connection to the broker of this URL, of which the first is 0.
    pub fn connected(&self, url: usize) {
        self.all.0.get_or_create(&labels(&self.mapping, url)).inc();
    }

    /// How many there were to that one.
    #[must_use]
    pub fn to(&self, url: usize) -> u64 {
        self.all.0.get(&labels(&self.mapping, url)).map_or(0, |counter| counter.get())
    }
}

impl ByUrlFamily {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "connects_by_url",
            "Connections made to each broker, by its place in mqtt.url",
            self.0.clone(),
        );
    }

    /// The first broker at zero, as there always is one.
    pub(super) fn of(&self, mapping: &Arc<str>) -> ByUrl {
        drop(self.0.get_or_create(&labels(mapping, 0)));
        ByUrl { all: self.clone(), mapping: mapping.clone() }
    }

    pub(super) fn forget(&self, mapping: &Arc<str>) {
        for url in 0..MOST_URLS {
            self.0.remove(&labels(mapping, url));
        }
    }
}

fn labels(mapping: &Arc<str>, url: usize) -> Labels {
    Labels { mapping: mapping.clone(), url: url as u64 + 1 }
}
