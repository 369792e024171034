//! A second broker, with sessions of its own. Plain data.

use std::time::Duration;

use bridge::config::Prefer;

use super::super::chance::Chance;
use super::fault::{Fault, Faults, scattered};

/// How the bridge uses two brokers, and how devices do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brokers {
    /// `mqtt.prefer`.
    pub prefer: Prefer,
    /// `mqtt.return_after`.
    pub return_after: Duration,
    /// Of the messages, in percent, that are published at any of the two; the others where the bridge reads.
    pub(in crate::sim) astray: u32,
}

/// How many there are.
const NUMBER: usize = 2;

impl Brokers {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let prefer = chance.one_of(&[Prefer::First, Prefer::First, Prefer::Stay]);
        let return_after = Duration::from_secs(chance.one_of(&[1, 10, 60]));
        Self { prefer, return_after, astray: chance.one_of(&[0, 20, 50]) }
    }
}

/// What goes wrong with one of them, beside all else.
pub(super) fn faults(chance: &mut Chance, how_many: Faults, within: Duration) -> Vec<(Duration, Fault)> {
    let number = match how_many {
        Faults::None => 0,
        Faults::Usual => chance.number(3..7),
        Faults::Heavy => chance.number(8..16),
    };
    scattered(chance, number, within, |chance| {
        let how_long = chance.millis(10..40_000);
        let place = chance.index(NUMBER);
        match chance.number(0..4) {
            0 | 1 => Fault::Unreachable(place, how_long),
            2 => Fault::OneRestarts(place, how_long),
            _ => Fault::OneRefuses(place, how_long),
        }
    })
}
