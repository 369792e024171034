//! Interprets the broker's counter of dropped messages: by how much it has grown, and when to warn. Pure: the time is
//! an argument.

use std::time::{Duration, Instant};

/// At most one warning in this time.
pub(super) const QUIET: Duration = Duration::from_mins(1);

/// The counter as it was last heard, and what nobody was warned of yet.
#[derive(Debug, Default)]
pub(super) struct Drops {
    known: Option<u64>,
    unsaid: u64,
    said_at: Option<Instant>,
}

impl Drops {
    /// The broker says that it has dropped so many since its own start. The first number counts as a whole: nobody can
    /// tell what was dropped before the bridge listened. A smaller number than before comes from a broker that was
    /// restarted.
    pub(super) fn counted(&mut self, total: u64) {
        let before = self.known.filter(|known| *known <= total).unwrap_or(0);
        self.unsaid = self.unsaid.saturating_add(total - before);
        self.known = Some(total);
    }

    /// How many to warn of now, if any; then they count as said.
    pub(super) fn due(&mut self, now: Instant) -> Option<u64> {
        if self.wakes().is_some_and(|at| at > now) || self.unsaid == 0 {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// When the next warning may be logged, if one waits.
    pub(super) fn wakes(&self) -> Option<Instant> {
        self.said_at.filter(|_| self.unsaid > 0).map(|said| said + QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_said_once() {
        let (mut drops, now) = (Drops::default(), Instant::now());
        drops.counted(0);
        assert_eq!(drops.due(now), None);
        drops.counted(15);
        assert_eq!(drops.due(now), Some(15));
        drops.counted(15);
        assert_eq!(drops.due(now + QUIET), None, "the same number, as after a reconnect");
    }

    #[test]
    fn what_was_dropped_before_the_first_number_counts() {
        let mut drops = Drops::default();
        drops.counted(7);
        assert_eq!(drops.due(Instant::now()), Some(7));
    }

    #[test]
    fn a_broker_that_was_restarted_counts_from_zero() {
        let (mut drops, now) = (Drops::default(), Instant::now());
        drops.counted(100);
        assert_eq!(drops.due(now), Some(100));
        drops.counted(40);
        assert_eq!(drops.due(now + QUIET), Some(40));
        drops.counted(0);
        drops.counted(3);
        assert_eq!(drops.due(now + 2 * QUIET), Some(3));
    }

    #[test]
    fn a_broker_that_talks_nonsense_does_no_harm() {
        let mut drops = Drops::default();
        for total in [u64::MAX, 0, u64::MAX] {
            drops.counted(total);
        }
        assert_eq!(drops.due(Instant::now()), Some(u64::MAX));
    }

    #[test]
    fn a_minute_has_one_warning_and_nothing_is_left_out() {
        let (mut drops, now) = (Drops::default(), Instant::now());
        drops.counted(1);
        assert_eq!(drops.due(now), Some(1));
        drops.counted(5);
        drops.counted(9);
        assert_eq!(drops.due(now + QUIET / 2), None);
        assert_eq!(drops.wakes(), Some(now + QUIET));
        assert_eq!(drops.due(now + QUIET), Some(8));
        assert_eq!(drops.wakes(), None);
    }
}
