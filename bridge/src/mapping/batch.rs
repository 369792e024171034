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
    /// the first delivery. Cancel safe, and to be dropped by a lane that does something else meanwhile: a future that
    /// nobody polls would keep the other lanes waiting for their turn behind it.
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
    /// The batch that is being gathered, by whichever lane has its turn.
    forming: Option<Forming>,
}

#[derive(Debug)]
struct Forming {
    batch: Vec<Delivery>,
    room: Room,
    closes: Instant,
}

impl Unordered {
    pub(super) fn new(deliveries: mpsc::Receiver<Delivery>, intake: Intake, limits: Limits) -> Self {
        Self { queue: Mutex::new(Queue { deliveries, left_over: None, forming: None }), intake, limits }
    }

    async fn next(&self) -> Option<Vec<Delivery>> {
        let Queue { deliveries, left_over, forming } = &mut *self.queue.lock().await;
        if forming.is_none() {
            let mut first = match left_over.take() {
                Some(delivery) => delivery,
                None => self.admitted(deliveries).await?,
            };
            if self.limits.records == 1 {
                return Some(vec![first]);
            }
            let mut room = Room::new(self.limits.bytes);
            room.take(&mut first);
            *forming = Some(Forming { batch: vec![first], room, closes: Instant::now() + self.limits.window });
        }
        let gathered = forming.as_mut()?;
        while gathered.batch.len() < self.limits.records {
            let Some(mut next) = self.before(gathered.closes, deliveries).await else { break };
            if !gathered.room.take(&mut next) {
                *left_over = Some(next);
                break;
            }
            gathered.batch.push(next);
        }
        forming.take().map(|forming| forming.batch)
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
