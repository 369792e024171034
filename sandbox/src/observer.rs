//! Follows a run from the outside, invocation by invocation, and books what became of each message. Bounded in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::lambda::Invocation;
use crate::oracle::{self, Handled};
use crate::report::{Latency, Reading};
use crate::sensors::{Receipt, Registry};

/// How many readings are kept to be shown.
const READINGS: usize = 5;

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// From publication to the function's answer.
    pub latency: Latency,
    /// The latest readings that the function has taken, newest first.
    pub readings: VecDeque<Reading>,
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
    /// Books what the function takes into `registry`. `invocations` must have been subscribed to before the first message
    /// was published, or its invocation goes by unseen.
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
            if let Some(reading) = reading(handled) {
                seen.readings.push_front(reading);
                seen.readings.truncate(READINGS);
            }
        }
    }
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
