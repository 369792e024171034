//! The spans that wait for the exporter: a bounded queue that never blocks a sender. Spans that find no room are
//! counted and dropped.

use tokio::sync::mpsc::{self, Sender};

use super::span::Span;
use crate::metrics::SpanCounts;

/// How many spans wait at most. They are some 500 bytes each.
const ROOM: usize = 2048;

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    spans: Sender<Span>,
    counts: SpanCounts,
}

impl Queue {
    /// Returns the queue and its receiver.
    pub(super) fn new(counts: SpanCounts) -> (Self, mpsc::Receiver<Span>) {
        let (spans, queue) = mpsc::channel(ROOM);
        (Self { spans, counts }, queue)
    }

    /// Takes a span, which is made only when there is room for it.
    pub(super) fn put(&self, make: impl FnOnce() -> Span) {
        match self.spans.try_reserve() {
            Ok(room) => room.send(make()),
            Err(_) => drop(self.counts.dropped.inc()),
        }
    }
}
