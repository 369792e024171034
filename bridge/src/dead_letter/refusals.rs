//! How often a failure destination refuses, and which of the refusals are said: the first, then one a minute with a count, and
//! that it takes letters again. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// How often it is said, at most, that it refuses.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// The refusals of one destination, or of a whole chain.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Since when it takes nothing; none while it works.
    since: Option<Instant>,
    /// Whether that has been said.
    is_said: bool,
    /// When one was last said, also if it has worked since: one that works now and then must not fill the log.
    last_said: Option<Instant>,
    unsaid: u64,
}

/// What there is to say when it works again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recovery {
    /// For how long it had refused.
    pub(super) after: Duration,
    /// Refusals that no line has counted yet.
    pub(super) failures: u64,
}

impl Refusals {
    /// Books a refusal. How many there were since the last line, when it is time for another one.
    pub(super) fn refused(&mut self, now: Instant) -> Option<u64> {
        self.since.get_or_insert(now);
        self.unsaid += 1;
        if self.last_said.is_some_and(|said| now.saturating_duration_since(said) < SAY_EVERY) {
            return None;
        }
        (self.last_said, self.is_said) = (Some(now), true);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It has taken a letter. What there is to say, if it was said that it refuses.
    pub(super) fn taken(&mut self, now: Instant) -> Option<Recovery> {
        let after = now.saturating_duration_since(self.since.take()?);
        let was_said = std::mem::take(&mut self.is_said);
        was_said.then(|| Recovery { after, failures: std::mem::take(&mut self.unsaid) })
    }

    /// Whether the last letter was refused.
    pub(super) fn is_refusing(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn f38_a_thousand_refusals_a_second_are_one_line_a_minute_with_their_number() {
        let (begun, mut refusals) = (Instant::now(), Refusals::default());
        let said: Vec<_> =
            (0..150_000).filter_map(|milli| Some((milli / 1000, refusals.refused(begun + MILLI * milli)?))).collect();
        assert_eq!(said, [(0, 1), (60, 60_000), (120, 60_000)]);
        let recovery = refusals.taken(begun + MILLI * 150_000).unwrap();
        assert_eq!(recovery, Recovery { after: Duration::from_secs(150), failures: 29_999 });
        assert_eq!((refusals.taken(begun + MILLI * 150_001), refusals.is_refusing()), (None, false));
    }

    #[test]
    fn f38_one_that_works_now_and_then_says_no_more_than_one_that_never_does() {
        let (begun, mut refusals) = (Instant::now(), Refusals::default());
        let (mut lines, mut counted) = (0, 0);
        for milli in (0..180_000).step_by(2) {
            let now = begun + MILLI * milli;
            let failures = refusals.refused(now);
            let recovery = refusals.taken(now + MILLI);
            lines += u32::from(failures.is_some()) + u32::from(recovery.is_some());
            counted += failures.unwrap_or_default() + recovery.map_or(0, |recovery| recovery.failures);
        }
        assert_eq!((lines, counted), (6, 60_001), "the rest is for the next line");
    }
}
