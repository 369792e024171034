//! Latencies of a run, kept as histograms of constant size. Pure.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// An hour in microseconds: what took longer counts as an hour.
const MAX_MICROS: u64 = 3_600_000_000;

/// How long messages took, to three significant figures, from a microsecond to an hour.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        // Fails only for invalid bounds; these are constants, and a test makes one.
        #[allow(clippy::expect_used, reason = "see above")]
        Self(Histogram::new_with_bounds(1, MAX_MICROS, 3).expect("bounds in order and at most 5 figures"))
    }
}

impl Latency {
    /// The same to two figures, which takes a tenth of the memory.
    fn coarse() -> Self {
        #[allow(clippy::expect_used, reason = "as above")]
        Self(Histogram::new_with_bounds(1, MAX_MICROS, 2).expect("bounds in order and at most 5 figures"))
    }

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

/// The latencies of the last ten seconds, a histogram a second.
#[derive(Debug, Clone)]
pub struct Recent {
    seconds: [Latency; SECONDS],
    /// What the seconds are counted from, and the second of the newest histogram.
    begun: Instant,
    newest: u64,
}

const SECONDS: usize = 10;

impl Default for Recent {
    fn default() -> Self {
        Self { seconds: std::array::from_fn(|_| Latency::coarse()), begun: Instant::now(), newest: 0 }
    }
}

impl Recent {
    /// Adds one that ended at `now`.
    pub fn record(&mut self, now: Instant, latency: Duration) {
        self.forget(now);
        self.seconds[place(self.newest)].record(latency);
    }

    /// The last ten seconds, seen from `now`.
    #[must_use]
    pub fn at(&self, now: Instant) -> Latency {
        let mut all = Latency::coarse();
        let second = self.second(now);
        for age in 0..SECONDS as u64 {
            // A second that nothing was recorded in since has an older second's histogram in its place.
            if let Some(wanted) = second.checked_sub(age).filter(|wanted| *wanted <= self.newest) {
                // Fails only for different bounds; all are the same.
                let _ = all.0.add(&self.seconds[place(wanted)].0);
            }
        }
        all
    }

    fn forget(&mut self, now: Instant) {
        let second = self.second(now);
        while self.newest < second {
            self.newest = (self.newest + 1).max(second.saturating_sub(SECONDS as u64));
            self.seconds[place(self.newest)].0.reset();
        }
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begun).as_secs()
    }
}

fn place(second: u64) -> usize {
    #[allow(clippy::cast_possible_truncation, reason = "below ten")]
    let place = (second % SECONDS as u64) as usize;
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_ten_seconds_is_no_longer_recent() {
        let (mut recent, begun) = (Recent::default(), Instant::now());
        let (at, millis) = (|s: u64| begun + Duration::from_millis(s * 1000 + 500), Duration::from_millis);
        let p99 = |recent: &Recent, s| recent.at(at(s)).percentile(99.0).map(|d| (d.as_secs_f64() * 1e2).round());
        assert_eq!(p99(&recent, 0), None);
        recent.record(at(0), millis(900));
        recent.record(at(3), millis(100));
        assert_eq!((p99(&recent, 3), p99(&recent, 9)), (Some(90.0), Some(90.0)));
        assert_eq!((p99(&recent, 10), p99(&recent, 12), p99(&recent, 13)), (Some(10.0), Some(10.0), None));
        recent.record(at(1_000_000), millis(500));
        assert_eq!((p99(&recent, 1_000_000), p99(&recent, 1_000_010)), (Some(50.0), None));
    }

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
