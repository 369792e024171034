//! Chooses which of several brokers a client tries next. Pure.
//!
//! It tries the one that it was connected to last, then the others in the order of the configuration, and only then
//! waits. So a client with a session at a broker returns to it if possible, whichever broker is preferred.

/// The place of a client among the brokers.
#[derive(Debug)]
pub(super) struct Choice {
    places: usize,
    /// The broker that it was connected to last; the first before that.
    current: usize,
    /// Attempts that came to nothing since a connection, or a wait.
    failed: usize,
}

impl Choice {
    /// Of so many, having been connected to this one.
    pub(super) fn new(places: usize, current: usize) -> Self {
        Self { places, current, failed: 0 }
    }

    /// The broker to try now.
    pub(super) fn at(&self) -> usize {
        match self.failed {
            0 => self.current,
            behind if behind <= self.current => behind - 1,
            beyond => beyond,
        }
    }

    /// A connection was made to [`Choice::at`].
    pub(super) fn connected(&mut self) {
        (self.current, self.failed) = (self.at(), 0);
    }

    /// An attempt came to nothing. True when all were tried, so that it is time to wait.
    pub(super) fn is_exhausted(&mut self) -> bool {
        self.failed += 1;
        if self.failed >= self.places {
            self.failed = 0;
        }
        self.failed == 0
    }

    /// Whether a broker that is preferred to the current one may be reachable again.
    pub(super) fn is_away(&self) -> bool {
        self.current > 0
    }

    /// It has left the current one for good.
    pub(super) fn go_back(&mut self) {
        (self.current, self.failed) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_comes_first_and_then_the_others_in_their_order() {
        let mut choice = Choice::new(4, 0);
        let tried = |choice: &mut Choice| {
            let mut tried = vec![choice.at()];
            while !choice.is_exhausted() {
                tried.push(choice.at());
            }
            tried
        };
        assert_eq!(tried(&mut choice), [0, 1, 2, 3]);
        (0..2).for_each(|_| assert!(!choice.is_exhausted()));
        choice.connected();
        assert!(choice.is_away());
        assert_eq!(tried(&mut choice), [2, 0, 1, 3]);
        assert_eq!(tried(&mut choice), [2, 0, 1, 3], "after the wait");
        choice.go_back();
        assert!(!choice.is_away());
        assert_eq!(choice.at(), 0);
    }

    #[test]
    fn with_one_broker_every_failure_waits() {
        let mut choice = Choice::new(1, 0);
        assert!((0..3).all(|_| choice.is_exhausted() && choice.at() == 0));
    }
}
