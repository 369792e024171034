//! Whether every invocation of a mapping fails, since when, and why. Pure: the time is an argument.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The failures of a mapping since its last success.
#[derive(Debug, Default)]
pub struct Failing(Mutex<Option<Streak>>);

/// Failures without a success between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streak {
    /// When the first of them ended.
    pub since: Instant,
    /// When the last did.
    pub last: Instant,
    /// How many there are.
    pub count: u64,
    /// What was wrong with the last, in words that have passed the same gates as a log line.
    pub reason: String,
}

impl Failing {
    /// Another one.
    pub fn failed(&self, reason: &str, now: Instant) {
        let mut streak = self.streak();
        let streak = streak.get_or_insert_with(|| Streak { since: now, last: now, count: 0, reason: String::new() });
        (streak.last, streak.reason) = (now, reason.to_owned());
        streak.count += 1;
    }

    /// The function has taken a message.
    pub fn succeeded(&self) {
        *self.streak() = None;
    }

    /// The failures, when the last is so much later than the first. One message that failed long ago is no long
    /// failure.
    #[must_use]
    pub fn for_at_least(&self, time: Duration) -> Option<Streak> {
        self.streak().clone().filter(|streak| streak.last.saturating_duration_since(streak.since) >= time)
    }

    fn streak(&self) -> MutexGuard<'_, Option<Streak>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn only_failures_that_go_on_for_long_without_a_success_are_told() {
        let (failing, begun) = (Failing::default(), Instant::now());
        failing.failed("a", begun);
        assert_eq!(failing.for_at_least(MINUTE), None, "one is not long");
        failing.failed("b", begun + MINUTE);
        let streak = Streak { since: begun, last: begun + MINUTE, count: 2, reason: "b".into() };
        assert_eq!((failing.for_at_least(MINUTE), failing.for_at_least(MINUTE * 2)), (Some(streak), None));
        failing.succeeded();
        failing.failed("c", begun + MINUTE * 9);
        assert_eq!(failing.for_at_least(MINUTE), None, "a success begins it again");
    }
}
