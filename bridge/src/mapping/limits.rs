//! How large a batch may become, and how much of that is left. Pure.

use std::time::Duration;

use crate::delivery::Delivery;
use crate::lambda::measure;

/// How large a batch may become.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Records.
    pub(super) records: usize,
    /// From the first record on.
    pub(super) window: Duration,
    /// Of the encoded event.
    pub(super) bytes: usize,
}

/// What is left of an event's bytes.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Room {
    pub(super) fn new(max_bytes: usize) -> Self {
        // The envelope around the records: its keys, and a mapping's name of at most 63 bytes.
        Self(max_bytes.saturating_sub(128))
    }

    /// Takes the bytes of this record; false when they are not there.
    pub(super) fn take(&mut self, delivery: &mut Delivery) -> bool {
        let size = measure(delivery);
        let fits = size <= self.0;
        self.0 = self.0.saturating_sub(size);
        fits
    }
}
