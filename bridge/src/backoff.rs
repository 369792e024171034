//! How long to wait before the next try: exponential, with full jitter between the configured bounds. Never sleeps.

use std::time::Duration;

use crate::clock::whole;
use crate::config::Range;

/// A growing wait. Many bridges that lost the same broker must not come back at the same moment, hence the jitter.
#[derive(Debug, Clone)]
pub struct Backoff {
    range: Range,
    failures: u32,
}

impl Backoff {
    /// Starts at the lower bound.
    #[must_use]
    pub fn new(range: Range) -> Self {
        Self { range, failures: 0 }
    }

    /// The next wait: evenly drawn between the lower bound and a ceiling that doubles with each call up to the upper
    /// bound. `random` is in `0.0..1.0`.
    pub fn next(&mut self, random: f64) -> Duration {
        let Range { min, max } = self.range;
        self.failures = self.failures.saturating_add(1);
        let ceiling =
            2_u32.checked_pow(self.failures).and_then(|factor| min.checked_mul(factor)).map_or(max, |c| c.min(max));
        // Whole milliseconds, the same as in the log line.
        (min + whole(ceiling.saturating_sub(min).mul_f64(random))).min(max)
    }

    /// Back to the lower bound, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: Range = Range { min: Duration::from_millis(200), max: Duration::from_secs(30) };

    #[test]
    fn doubles_up_to_the_upper_bound() {
        let mut backoff = Backoff::new(RANGE);
        let waits: Vec<_> = (0..10).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]);
    }

    #[test]
    fn never_below_the_lower_bound_and_never_overflows() {
        let mut backoff = Backoff::new(RANGE);
        for _ in 0..100 {
            assert_eq!(backoff.next(0.0), RANGE.min);
        }
        assert_eq!(backoff.next(1.0), RANGE.max);
        backoff.reset();
        assert_eq!(backoff.next(1.0), RANGE.min * 2);
    }
}
