//! Gathers deliveries into batches: as many as there are, up to the limits, within the window. Invokes nothing.

use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::config::Batch;
use crate::delivery::Delivery;
use crate::lambda::EVENT_LIMIT;

/// The queue that all lanes of a mapping share. One lane gathers at a time, so a batch is a run of the receive order.
#[derive(Debug)]
pub(super) struct Batches {
    queue: Mutex<Queue>,
    max_records: usize,
    max_window: Duration,
}

#[derive(Debug)]
struct Queue {
    deliveries: mpsc::Receiver<Delivery>,
    /// A delivery that did not fit into the batch before.
    left_over: Option<Delivery>,
}

impl Batches {
    pub(super) fn new(deliveries: mpsc::Receiver<Delivery>, limits: &Batch) -> Self {
        let queue = Mutex::new(Queue { deliveries, left_over: None });
        Self { queue, max_records: limits.max_records, max_window: limits.max_window }
    }

    /// The next batch, never empty; `None` when no more will come. An idle queue costs nothing: the window opens with
    /// the first delivery.
    pub(super) async fn next(&self) -> Option<Vec<Delivery>> {
        let mut queue = self.queue.lock().await;
        let first = match queue.left_over.take() {
            Some(delivery) => delivery,
            None => queue.deliveries.recv().await?,
        };
        if self.max_records == 1 {
            return Some(vec![first]);
        }
        let closes = Instant::now() + self.max_window;
        let mut room = EVENT_LIMIT.saturating_sub(most_encoded(&first));
        let mut batch = vec![first];
        while batch.len() < self.max_records {
            let Some(next) = queue.before(closes, self.max_window).await else { break };
            let size = most_encoded(&next);
            if size > room {
                queue.left_over = Some(next);
                break;
            }
            room -= size;
            batch.push(next);
        }
        Some(batch)
    }
}

impl Queue {
    async fn before(&mut self, closes: Instant, window: Duration) -> Option<Delivery> {
        if let Ok(delivery) = self.deliveries.try_recv() {
            return Some(delivery);
        }
        if window.is_zero() {
            return None;
        }
        timeout_at(closes, self.deliveries.recv()).await.ok().flatten()
    }
}

/// An upper bound of what the delivery takes in an event, without encoding it: text grows to six bytes a byte at most
/// (a control character), base64 by a third, and the weight covers the other fields with their own growth.
fn most_encoded(delivery: &Delivery) -> usize {
    6 * delivery.message.weight()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::Qos;
    use crate::delivery::{RecordId, Ticket};
    use crate::lambda::encode;
    use crate::message::Message;

    fn delivery(sequence: u64, payload: Vec<u8>) -> Delivery {
        let message = Message {
            topic: "t".into(),
            payload: Bytes::from(payload),
            qos: Qos::AtLeastOnce,
            retain: false,
            dup: false,
            properties: None,
        };
        let (settler, _) = mpsc::channel(1);
        Delivery::new(message, RecordId { run: 1, sequence }, Ticket { epoch: 1, slot: sequence }, settler)
    }

    fn batches(payloads: Vec<Vec<u8>>, max_records: usize, max_window: Duration) -> (Batches, mpsc::Sender<Delivery>) {
        let (sender, queue) = mpsc::channel(1000);
        for (sequence, payload) in payloads.into_iter().enumerate() {
            sender.try_send(delivery(sequence as u64, payload)).unwrap();
        }
        (Batches::new(queue, &Batch { max_records, max_window }), sender)
    }

    async fn sizes(batches: &Batches) -> Vec<usize> {
        let mut sizes = Vec::new();
        while let Some(batch) = batches.next().await {
            sizes.push(batch.len());
        }
        sizes
    }

    #[tokio::test]
    async fn takes_what_is_there_up_to_the_limit() {
        let (batches, sender) = batches(vec![b"x".to_vec(); 25], 10, Duration::ZERO);
        drop(sender);
        assert_eq!(sizes(&batches).await, [10, 10, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_opens_with_the_first_delivery_and_closes_in_time() {
        let (batches, sender) = batches(Vec::new(), 10, Duration::from_secs(1));
        let begun = Instant::now();
        let publish = async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            sender.send(delivery(1, b"x".to_vec())).await.unwrap();
            tokio::time::sleep(Duration::from_millis(900)).await;
            sender.send(delivery(2, b"x".to_vec())).await.unwrap();
            tokio::time::sleep(Duration::from_millis(900)).await;
            sender.send(delivery(3, b"x".to_vec())).await.unwrap();
        };
        let (first, ()) = tokio::join!(batches.next(), publish);
        assert_eq!(first.unwrap().len(), 2);
        assert!(begun.elapsed() < Duration::from_millis(61_801));
        assert_eq!(batches.next().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_batch_never_outgrows_an_event() {
        let awkward = vec![0x01_u8; 300_000];
        let (batches, sender) = batches(vec![awkward; 20], 1000, Duration::ZERO);
        drop(sender);
        let mut records = 0;
        while let Some(batch) = batches.next().await {
            records += batch.len();
            assert!(encode("m", batch.iter()).len() <= EVENT_LIMIT, "{} records", batch.len());
        }
        assert_eq!(records, 20);
    }
}
