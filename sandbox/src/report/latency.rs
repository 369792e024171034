//! Latencies of a run, kept as a histogram of constant size. Pure.

use std::time::Duration;

use hdrhistogram::Histogram;

/// An hour in microseconds: what took longer counts as an hour.
const MAX_MICROS: u64 = 3_600_000_000;

/// How long messages took, to three significant figures, from a microsecond to an hour.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        // Err only for bounds that make no sense; these are constants, and a test makes one.
        #[allow(clippy::expect_used, reason = "see above")]
        Self(Histogram::new_with_bounds(1, MAX_MICROS, 3).expect("bounds in order and at most 5 figures"))
    }
}

impl Latency {
    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(MAX_MICROS).clamp(1, MAX_MICROS));
    }

    /// What `percent` of all messages did not exceed; `None` before the first.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_micros(self.0.value_at_quantile(percent / 100.0)))
    }

    /// The longest; `None` before the first.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_micros(self.0.max()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_the_truth() {
        let mut latency = Latency::default();
        assert_eq!((latency.percentile(50.0), latency.max()), (None, None));
        (1..=1000).for_each(|millis| latency.record(Duration::from_millis(millis)));
        for (percent, millis) in [(50.0, 500.0), (99.0, 990.0), (100.0, 1000.0)] {
            let found = latency.percentile(percent).unwrap().as_secs_f64() * 1e3;
            assert!((found - millis).abs() <= millis / 1000.0, "p{percent}: {found} ms");
        }
    }

    #[test]
    fn extremes_are_kept_within_bounds() {
        let mut latency = Latency::default();
        latency.record(Duration::ZERO);
        latency.record(Duration::MAX);
        assert!(latency.max().unwrap() >= Duration::from_micros(MAX_MICROS));
        assert_eq!(latency.percentile(50.0), Some(Duration::from_micros(1)));
    }
}
