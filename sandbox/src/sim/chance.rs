//! Randomness from a seed. Each part of a world has its own source, so that a change in one part does not change what
//! another draws.

use std::ops::Range;
use std::time::Duration;

/// A source of chance.
#[derive(Debug, Clone)]
pub(super) struct Chance(fastrand::Rng);

impl Chance {
    /// The source of this part of the world.
    pub(super) fn of(seed: u64, part: u64) -> Self {
        // Neighbouring seeds must not draw alike (splitmix64's constant).
        Self(fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ part.rotate_left(32)))
    }

    /// True this often, of a hundred.
    pub(super) fn percent(&mut self, percent: u32) -> bool {
        self.0.u32(0..100) < percent
    }

    pub(super) fn number(&mut self, range: Range<u64>) -> u64 {
        self.0.u64(range)
    }

    pub(super) fn index(&mut self, length: usize) -> usize {
        self.0.usize(0..length)
    }

    pub(super) fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    pub(super) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.number(range))
    }
}
