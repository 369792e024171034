//! Follows a run from outside, invocation by invocation, and records the outcome of each message. Bounded in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::lambda::Invocation;
use crate::oracle::{self, Handled};
use crate::report::{Latency, Reading, Recent};
use crate::sensors::{Receipt, Registry};

/// Of how many devices the latest reading is kept to be shown.
const DEVICES: usize = 5;

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// From publication to the function's answer.
    pub latency: Latency,
    /// The same, of the last seconds.
    pub recent: Recent,
    /// The latest reading that the function has taken of each of the first devices, by name.
    pub readings: BTreeMap<String, Reading>,
    /// Invocations that have ended, seen and booked.
    pub booked: u64,
    /// Invocations that went by unseen: then the books cannot be right.
    pub missed: u64,
}

/// Watches one run until it is dropped.
#[derive(Debug)]
pub struct Observer {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Observer {
    /// Books what the function takes into `registry`. `invocations` must have been subscribed to before the first
    /// message was published, or its invocation goes by unseen.
    #[must_use]
    pub fn start(mut invocations: Receiver<Arc<Invocation>>, registry: Arc<Registry>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let book = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                match invocations.recv().await {
                    Ok(invocation) => note(&book, &registry, &invocation),
                    Err(RecvError::Lagged(missed)) => lock(&book).missed += missed,
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Self { seen, task }
    }

    /// Looks at what has been seen.
    pub fn read<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&lock(&self.seen))
    }
}

impl Observer {
    /// Waits until `ended` invocations are booked or missed, and says how many were missed.
    pub async fn caught_up(&self, ended: u64) -> u64 {
        loop {
            let (booked, missed) = self.read(|seen| (seen.booked, seen.missed));
            if booked + missed >= ended || self.task.is_finished() {
                return ended.saturating_sub(booked);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(seen: &Mutex<Seen>, registry: &Registry, invocation: &Invocation) {
    let ended = invocation.ended.unwrap_or_else(Instant::now);
    for handled in oracle::handled(invocation) {
        let Some(id) = &handled.message_id else { continue };
        if let Receipt::First(latency) = registry.handle(id, ended) {
            let mut seen = lock(seen);
            seen.latency.record(latency);
            seen.recent.record(ended, latency);
            if let Some(reading) = reading(handled) {
                seen.readings.insert(reading.device.clone(), reading);
                if seen.readings.len() > DEVICES {
                    seen.readings.pop_last();
                }
            }
        }
    }
    lock(seen).booked += 1;
}

fn reading(handled: Handled) -> Option<Reading> {
    Some(Reading {
        device: handled.device_id?,
        temperature: handled.temperature?,
        status: handled.status.unwrap_or_default(),
        at: SystemTime::now(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
