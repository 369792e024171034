//! Gathers deliveries into batches: as many as there are, up to the limits, within the window. Invokes nothing.

use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout_at};

use super::intake::Intake;
use super::limits::{Limits, Room};
use super::ordered::Ordered;
use crate::delivery::Delivery;

/// Where lanes get their batches from.
#[derive(Debug)]
pub(super) enum Batches {
    /// In receive order, to whichever lane is free.
    Unordered(Unordered),
    /// So that no two lanes have the same ordering key.
    Ordered(Ordered),
}

impl Batches {
    /// The next batch, never empty; `None` when no more will come. An idle queue costs nothing: the window opens with
    /// the first delivery.
    pub(super) async fn next(&self) -> Option<Vec<Delivery>> {
        match self {
            Self::Unordered(queue) => queue.next().await,
            Self::Ordered(queue) => queue.next().await,
        }
    }
}

/// The queue that all lanes of a mapping share. One lane gathers at a time, so a batch is a run of the receive order.
#[derive(Debug)]
pub(super) struct Unordered {
    queue: Mutex<Queue>,
    intake: Intake,
    limits: Limits,
}

#[derive(Debug)]
struct Queue {
    deliveries: mpsc::Receiver<Delivery>,
    /// A delivery that did not fit into the batch before.
    left_over: Option<Delivery>,
}

impl Unordered {
    pub(super) fn new(deliveries: mpsc::Receiver<Delivery>, intake: Intake, limits: Limits) -> Self {
        Self { queue: Mutex::new(Queue { deliveries, left_over: None }), intake, limits }
    }

    async fn next(&self) -> Option<Vec<Delivery>> {
        let mut queue = self.queue.lock().await;
        let mut first = match queue.left_over.take() {
            Some(delivery) => delivery,
            None => self.admitted(&mut queue.deliveries).await?,
        };
        if self.limits.records == 1 {
            return Some(vec![first]);
        }
        let closes = Instant::now() + self.limits.window;
        let mut room = Room::new(self.limits.bytes);
        room.take(&mut first);
        let mut batch = vec![first];
        while batch.len() < self.limits.records {
            let Some(mut next) = self.before(closes, &mut queue.deliveries).await else { break };
            if !room.take(&mut next) {
                queue.left_over = Some(next);
                break;
            }
            batch.push(next);
        }
        Some(batch)
    }

    async fn admitted(&self, deliveries: &mut mpsc::Receiver<Delivery>) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.intake.admit(deliveries.recv().await?) {
                return Some(delivery);
            }
        }
    }

    async fn before(&self, closes: Instant, deliveries: &mut mpsc::Receiver<Delivery>) -> Option<Delivery> {
        while let Ok(delivery) = deliveries.try_recv() {
            if let Some(delivery) = self.intake.admit(delivery) {
                return Some(delivery);
            }
        }
        if self.limits.window.is_zero() {
            return None;
        }
        timeout_at(closes, self.admitted(deliveries)).await.ok().flatten()
    }
}

#[cfg(test)]
#[path = "batch/tests.rs"]
mod tests;
