//! Decides which of repeated failures are logged: the first, then one line a minute with their number, and the
//! recovery. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// In this time no more lines are written than allowed.
pub(crate) const SAY_EVERY: Duration = Duration::from_mins(1);

/// The failures of one thing: a destination, a chain of them, the function of a mapping.
#[derive(Debug)]
pub struct Repeats {
    /// Lines a minute.
    most: u32,
    /// Since when it fails; none while it works.
    since: Option<Instant>,
    /// Whether a failure since then has been said.
    is_said: bool,
    /// When the current minute began, and its lines, also if it has worked since: one that works now and then must not
    /// fill the log.
    minute: Option<(Instant, u32)>,
    unsaid: u64,
}

/// The facts to log when it works again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// For how long it had failed.
    pub after: Duration,
    /// Failures that no line has counted yet.
    pub failures: u64,
}

impl Default for Repeats {
    fn default() -> Self {
        Self::allowing(1)
    }
}

impl Repeats {
    /// Allows this number of lines a minute.
    #[must_use]
    pub fn allowing(most: u32) -> Self {
        Self { most, since: None, is_said: false, minute: None, unsaid: 0 }
    }

    /// Books a failure. How many there were since the last line, when it is time for another one.
    pub fn failed(&mut self, now: Instant) -> Option<u64> {
        self.since.get_or_insert(now);
        self.unsaid += 1;
        let minute = self.minute.filter(|(begun, _)| now.saturating_duration_since(*begun) < SAY_EVERY);
        let (begun, lines) = minute.unwrap_or((now, 0));
        if lines >= self.most {
            return None;
        }
        (self.minute, self.is_said) = (Some((begun, lines + 1)), true);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It works. What there is to say, if it was said that it fails.
    pub fn worked(&mut self, now: Instant) -> Option<Recovery> {
        self.worked_after(Duration::ZERO, now)
    }

    /// The same, when it had failed for so long at least.
    pub fn worked_after(&mut self, least: Duration, now: Instant) -> Option<Recovery> {
        let after = now.saturating_duration_since(self.since.take()?);
        if after < least {
            return None;
        }
        let was_said = std::mem::take(&mut self.is_said);
        was_said.then(|| Recovery { after, failures: std::mem::take(&mut self.unsaid) })
    }

    /// Whether it failed last.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn f38_a_thousand_refusals_a_second_are_one_line_a_minute_with_their_number() {
        let (begun, mut failures) = (Instant::now(), Repeats::default());
        let said: Vec<_> =
            (0..150_000).filter_map(|milli| Some((milli / 1000, failures.failed(begun + MILLI * milli)?))).collect();
        assert_eq!(said, [(0, 1), (60, 60_000), (120, 60_000)]);
        let recovery = failures.worked(begun + MILLI * 150_000).unwrap();
        assert_eq!(recovery, Recovery { after: Duration::from_secs(150), failures: 29_999 });
        assert_eq!((failures.worked(begun + MILLI * 150_001), failures.is_failing()), (None, false));
    }

    #[test]
    fn f38_one_that_works_now_and_then_says_no_more_than_one_that_never_does() {
        let (begun, mut failures) = (Instant::now(), Repeats::default());
        let (mut lines, mut counted) = (0, 0);
        for milli in (0..180_000).step_by(2) {
            let now = begun + MILLI * milli;
            let said = failures.failed(now);
            let recovery = failures.worked(now + MILLI);
            lines += u32::from(said.is_some()) + u32::from(recovery.is_some());
            counted += said.unwrap_or_default() + recovery.map_or(0, |recovery| recovery.failures);
        }
        assert_eq!((lines, counted), (6, 60_001), "the rest is for the next line");
    }

    #[test]
    fn the_first_few_of_a_minute_are_said_one_by_one_where_that_is_wanted() {
        let (begun, mut failures) = (Instant::now(), Repeats::allowing(3));
        let said: Vec<_> =
            (0..150).filter_map(|second| Some((second, failures.failed(begun + MILLI * 1000 * second)?))).collect();
        assert_eq!(said, [(0, 1), (1, 1), (2, 1), (60, 58), (61, 1), (62, 1), (120, 58), (121, 1), (122, 1)]);
    }

    #[test]
    fn what_recovers_sooner_than_asked_is_no_recovery_and_its_failures_are_still_to_be_said() {
        let (begun, mut failures, second) = (Instant::now(), Repeats::default(), MILLI * 1000);
        assert_eq!(failures.failed(begun), Some(1));
        assert_eq!(failures.failed(begun + second), None);
        assert_eq!(failures.worked_after(second * 10, begun + second * 2), None);
        assert_eq!(failures.failed(begun + second * 3), None);
        let recovery = failures.worked_after(second * 10, begun + second * 20);
        assert_eq!(recovery, Some(Recovery { after: second * 17, failures: 2 }));
    }
}
