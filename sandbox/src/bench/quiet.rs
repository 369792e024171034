//! Decides when a run is over: all messages have arrived, or nothing new has arrived for so long that the rest counts
//! as lost. Pure.

use std::time::{Duration, Instant};

/// What a look at a counter means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Some are missing, and may still come.
    More,
    /// All that were wanted are there.
    All,
    /// Some are missing, and nothing has come for too long.
    NoMore,
}

/// Counts that only grow, and when they last did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quiet {
    wanted: u64,
    patience: Duration,
    most: u64,
    grown: Instant,
}

impl Quiet {
    /// So many are wanted, from now on; what is missing is lost once nothing has come for as long as this.
    pub(super) fn new(wanted: u64, patience: Duration, now: Instant) -> Self {
        Self { wanted, patience, most: 0, grown: now }
    }

    /// So many are there now.
    pub(super) fn looked(&mut self, there: u64, now: Instant) -> Wait {
        if there >= self.wanted {
            return Wait::All;
        }
        if there > self.most {
            (self.most, self.grown) = (there, now);
        }
        if now.duration_since(self.grown) < self.patience { Wait::More } else { Wait::NoMore }
    }

    /// When it last grew.
    pub(super) fn grown(&self) -> Instant {
        self.grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_is_given_up_only_when_nothing_else_comes() {
        let begun = Instant::now();
        let mut quiet = Quiet::new(10, Duration::from_secs(5), begun);
        let mut look = |there, seconds| quiet.looked(there, begun + Duration::from_secs(seconds));
        assert_eq!([look(0, 4), look(1, 4), look(1, 8), look(9, 8)], [Wait::More; 4]);
        assert_eq!([look(9, 12), look(9, 13)], [Wait::More, Wait::NoMore]);
        assert_eq!(look(10, 20), Wait::All);
        assert_eq!(quiet.grown(), begun + Duration::from_secs(8));
    }

    #[test]
    fn nothing_at_all_is_given_up_too() {
        let begun = Instant::now();
        let mut quiet = Quiet::new(1, Duration::from_secs(5), begun);
        assert_eq!(quiet.looked(0, begun + Duration::from_secs(5)), Wait::NoMore);
        assert_eq!(Quiet::new(0, Duration::ZERO, begun).looked(0, begun), Wait::All);
    }
}
