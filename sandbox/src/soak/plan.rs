//! Decides by a seed alone which fault happens when, so that a run can be repeated. Applies nothing.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use fastrand::Rng;
use serde::Serialize;

/// A kind of fault, named after its row in docs/guarantees.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
pub enum Kind {
    /// The bridge is killed.
    F1,
    /// The bridge is told to stop.
    F2,
    /// The bridge is told to stop while the function never answers.
    F3,
    /// The connection to the broker is reset.
    F4,
    /// The line to the broker is silent for three keep-alives.
    F5,
    /// The line is slow and loses segments.
    F6,
    /// The broker stops or is killed, and has its sessions again.
    F7,
    /// The broker has lost its sessions.
    F8,
    /// Lambda throttles.
    F9,
    /// Lambda fails with 500, 502 or 503.
    F10,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] =
        [Self::F1, Self::F2, Self::F3, Self::F4, Self::F5, Self::F6, Self::F7, Self::F8, Self::F9, Self::F10];

    /// What happens, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::F1 => "bridge killed",
            Self::F2 => "bridge stopped",
            Self::F3 => "bridge stopped while the function hangs",
            Self::F4 => "connection reset",
            Self::F5 => "line silent",
            Self::F6 => "line slow, with losses",
            Self::F7 => "broker restarted",
            Self::F8 => "session lost",
            Self::F9 => "Lambda throttles",
            Self::F10 => "Lambda fails",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One fault to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// From the beginning of the one before it to its own.
    pub after: Duration,
    /// What happens.
    pub kind: Kind,
    /// Decides its particulars.
    pub seed: u64,
}

/// An endless row of strikes.
#[derive(Debug, Clone)]
pub struct Plan {
    random: Rng,
    interval: Duration,
    kinds: Vec<Kind>,
    /// Those that have not yet had their turn in this round.
    round: Vec<Kind>,
}

impl Plan {
    /// Strikes of these kinds every `interval` or so. In each round all kinds have their turn, in an order of its own.
    #[must_use]
    pub fn new(seed: u64, interval: Duration, kinds: &[Kind]) -> Self {
        Self { random: Rng::with_seed(seed), interval, kinds: kinds.to_vec(), round: Vec::new() }
    }
}

impl Iterator for Plan {
    type Item = Strike;

    fn next(&mut self) -> Option<Strike> {
        if self.round.is_empty() {
            self.round.clone_from(&self.kinds);
            self.random.shuffle(&mut self.round);
        }
        let kind = self.round.pop()?;
        let after = self.interval.mul_f64(0.75 + 0.5 * self.random.f64());
        Some(Strike { after, kind, seed: self.random.u64(..) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(20);

    fn first(seed: u64, strikes: usize) -> Vec<Strike> {
        Plan::new(seed, INTERVAL, &Kind::ALL).take(strikes).collect()
    }

    #[test]
    fn a_seed_repeats_itself_and_another_does_not() {
        assert_eq!(first(7, 50), first(7, 50));
        assert_ne!(first(7, 50), first(8, 50));
    }

    #[test]
    fn every_kind_has_its_turn_in_each_round_and_pauses_keep_their_bounds() {
        for round in first(1, 50).chunks(10) {
            assert_eq!(round.iter().map(|strike| strike.kind).collect::<BTreeSet<_>>().len(), 10);
            assert!(round.iter().all(|strike| (15..=25).contains(&strike.after.as_secs())), "{round:?}");
        }
    }

    #[test]
    fn without_kinds_nothing_strikes() {
        assert_eq!(Plan::new(1, INTERVAL, &[]).next(), None);
    }
}
