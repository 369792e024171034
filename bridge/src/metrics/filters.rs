//! Counts messages by topic filter, for mappings with several filters. The configuration bounds the counters: a filter
//! that no session has any more is no longer shown.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// By mapping and filter.
type All = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<AtomicU64>>>;

/// The messages of all mappings, by filter. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct ByFilterFamily(Arc<Mutex<All>>);

/// The messages of one mapping, by filter.
#[derive(Debug, Clone)]
pub struct ByFilter {
    all: ByFilterFamily,
    mapping: Arc<str>,
}

/// Counts the messages of each filter of one session, by its place among them.
#[derive(Debug, Default)]
pub struct FilterCounts(Vec<Arc<AtomicU64>>);

impl FilterCounts {
    /// A message belongs to this filter.
    pub fn count(&self, filter: usize) {
        if let Some(counter) = self.0.get(filter) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl ByFilter {
    /// For a session with these filters. With one alone nothing is counted: the mapping's own numbers say the same.
    #[must_use]
    pub fn of(&self, filters: &[Arc<str>]) -> FilterCounts {
        let mut all = self.all.lock();
        let mine = all.entry(self.mapping.clone()).or_default();
        let several = if filters.len() > 1 { filters } else { &[] };
        let wanted: HashSet<&Arc<str>> = several.iter().collect();
        mine.retain(|filter, counter| wanted.contains(filter) || Arc::strong_count(counter) > 1);
        FilterCounts(several.iter().map(|filter| mine.entry(filter.clone()).or_default().clone()).collect())
    }

    /// How many messages belonged to this filter; none where nothing is counted.
    #[must_use]
    pub fn to(&self, filter: &str) -> Option<u64> {
        self.all.lock().get(&self.mapping)?.get(filter).map(|counter| counter.load(Ordering::Relaxed))
    }
}

impl ByFilterFamily {
    pub(super) fn of(&self, mapping: &Arc<str>) -> ByFilter {
        ByFilter { all: self.clone(), mapping: mapping.clone() }
    }

    pub(super) fn forget(&self, mapping: &Arc<str>) {
        self.lock().remove(mapping);
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for ByFilterFamily {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Messages received by the topic filter that they belong to, of mappings with several.";
        let mut family = encoder.encode_descriptor("received_by_filter", help, None, MetricType::Counter)?;
        for (mapping, filters) in self.lock().iter() {
            for (filter, counter) in filters {
                let labels = [("mapping", &**mapping), ("topic_filter", &**filter)];
                ConstCounter::new(counter.load(Ordering::Relaxed)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Vec<Arc<str>> {
        texts.iter().map(|text| (*text).into()).collect()
    }

    #[test]
    fn sessions_of_a_mapping_count_together_and_what_is_not_configured_any_more_goes() {
        let family = ByFilterFamily::default();
        let (metrics, other) = (family.of(&"m".into()), family.of(&"other".into()));
        let (first, second) = (metrics.of(&filters(&["a", "b"])), metrics.of(&filters(&["a", "b"])));
        first.count(0);
        second.count(0);
        second.count(1);
        other.of(&filters(&["a", "c"])).count(0);
        assert_eq!((metrics.to("a"), metrics.to("b"), other.to("a")), (Some(2), Some(1), Some(1)));
        drop((first, second));
        let third = metrics.of(&filters(&["b", "c"]));
        third.count(1);
        assert_eq!((metrics.to("a"), metrics.to("b"), metrics.to("c")), (None, Some(1), Some(1)));
        family.forget(&"m".into());
        assert_eq!((metrics.to("b"), other.to("a")), (None, Some(1)));
    }

    #[test]
    fn one_filter_alone_is_not_counted() {
        let metrics = ByFilterFamily::default().of(&"m".into());
        metrics.of(&filters(&["a"])).count(0);
        assert_eq!(metrics.to("a"), None);
    }
}
