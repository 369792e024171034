//! A histogram that costs two atomic additions and can be read back, so that the status page and Prometheus show the
//! same numbers. Its buckets are fixed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Seconds: from a warm function next door to the longest timeout that Lambda has.
pub const BOUNDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 900.0];

/// Durations by bucket. Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Durations(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// One more than there are bounds: the last is for all that is longer.
    counts: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

/// How many durations there were in each bucket, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u64; BOUNDS.len() + 1]);

impl Durations {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < duration.as_secs_f64());
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// What was counted until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts(std::array::from_fn(|bucket| self.0.counts[bucket].load(Ordering::Relaxed)))
    }
}

impl Counts {
    /// What was counted since an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|bucket| self.0[bucket].saturating_sub(earlier.0[bucket])))
    }

    /// An estimate of the duration, in seconds, that this share of all does not exceed: durations count as spread
    /// evenly within their bucket, and none as longer than the last bound. `None` of none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total: u64 = self.0.iter().sum();
        let mut below = share * total as f64;
        let mut lower = 0.0;
        for (count, upper) in self.0.iter().zip(BOUNDS) {
            let count = *count as f64;
            if count > 0.0 && below <= count {
                return Some(lower + (upper - lower) * (below / count));
            }
            (below, lower) = (below - count, upper);
        }
        (total > 0).then_some(lower)
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    #[expect(clippy::cast_precision_loss, reason = "a sum of seconds is a float")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Counts(counts) = self.counts();
        let seconds = self.0.microseconds.load(Ordering::Relaxed) as f64 / 1e6;
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(counts).collect();
        encoder.encode_histogram::<NoLabelSet>(seconds, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(milliseconds: impl IntoIterator<Item = u64>) -> Counts {
        let durations = Durations::default();
        milliseconds.into_iter().for_each(|ms| durations.observe(Duration::from_millis(ms)));
        durations.counts()
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_duration() {
        let counts = counted((0..99).map(|_| 7).chain([700]));
        let median = counts.quantile(0.5).unwrap();
        assert!((0.005..=0.01).contains(&median), "{median}");
        let longest = counts.quantile(1.0).unwrap();
        assert!((0.5..=1.0).contains(&longest), "{longest}");
        assert_eq!(counted([]).quantile(0.5), None);
        assert_eq!(counted([2_000_000]).quantile(0.5), Some(900.0), "no longer than the last bound");
    }

    #[test]
    fn what_was_counted_before_does_not_count_since() {
        let durations = Durations::default();
        durations.observe(Duration::from_mins(1));
        let before = durations.counts();
        durations.observe(Duration::from_millis(2));
        let since = durations.counts().since(&before);
        assert!(since.quantile(0.99).unwrap() <= 0.0025, "{since:?}");
        assert_eq!(before.since(&durations.counts()), Counts::default(), "never below zero");
    }

    proptest! {
        #[test]
        fn quantiles_grow_with_their_share(all in prop::collection::vec(0_u64..1_000_000, 1..50), a in 0.0..1.0, b in 0.0..1.0) {
            let counts = counted(all);
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(counts.quantile(low) <= counts.quantile(high));
        }
    }
}
