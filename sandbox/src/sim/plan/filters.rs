//! The topic filters of a mapping, and the topics of its messages. Plain data.

use std::time::Duration;

use super::super::chance::Chance;
use super::fault::{Fault, Faults, scattered};

/// A few topic filters, in the order of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filters(&'static [&'static str]);

/// Where one filter alone matches everything.
const ONE: Filters = Filters(&["devices/+/data"]);

/// Apart, one within the other, and both in either order.
const SEVERAL: [Filters; 4] = [
    Filters(&["devices/+/data", "sensors/+/data"]),
    Filters(&["devices/+/data", "devices/#"]),
    Filters(&["devices/#", "devices/+/data", "sensors/+/data"]),
    Filters(&["sensors/#", "devices/+/data", "devices/#"]),
];

impl Default for Filters {
    fn default() -> Self {
        ONE
    }
}

impl Filters {
    pub(super) fn several(chance: &mut Chance) -> Self {
        chance.one_of(&SEVERAL)
    }

    /// Their texts, in their order.
    pub(in crate::sim) fn all(self) -> &'static [&'static str] {
        self.0
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> usize {
        self.0.len()
    }

    /// Their texts.
    pub(in crate::sim) fn texts(self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }

    /// The topic of this message of this device.
    pub(in crate::sim) fn topic(self, number: u64, key: u64) -> String {
        let has_sensors = self.0.iter().any(|filter| filter.starts_with("sensors/"));
        let first = if has_sensors && !number.is_multiple_of(2) { "sensors" } else { "devices" };
        format!("{first}/{key}/data")
    }
}

/// What goes wrong with single filters, beside all else.
pub(super) fn faults(
    chance: &mut Chance,
    filters: Filters,
    how_many: Faults,
    within: Duration,
) -> Vec<(Duration, Fault)> {
    let number = match how_many {
        Faults::None => 0,
        Faults::Usual => chance.number(2..5),
        Faults::Heavy => chance.number(6..12),
    };
    scattered(chance, number, within, |chance| {
        let how_long = chance.millis(10..30_000);
        let filter = chance.index(filters.count());
        match chance.number(0..3) {
            0 => Fault::FilterRefused(filter, how_long),
            1 => Fault::FilterForgotten(filter),
            _ => Fault::FilterReloaded(filter),
        }
    })
}
