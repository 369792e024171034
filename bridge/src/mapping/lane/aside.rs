//! Events that are refused for no reason that Lambda has: they are set aside until another one has passed, which shows whether
//! it is the way that is refused or the event. Keeps the order of ordering keys.

use std::pin::pin;
use std::sync::atomic::Ordering;

use tokio::time::sleep;

use super::pending::{Onward, Pending};
use super::work::{Next, Work};
use super::{Batches, Lane};
use crate::backoff::Backoff;
use crate::clock::now;
use crate::delivery::Delivery;
use crate::shutdown::Phase;

/// Batches that a lane may have set aside at once.
const ASIDE: usize = 8;

/// The events of a batch that was refused without a known reason.
pub(super) struct Aside {
    work: Work,
    refused_at: Option<u64>,
}

impl Lane {
    /// Brings events to their outcomes, or sets them aside. What is dropped on the way is abandoned.
    pub(super) async fn finish(&mut self, mut work: Work, refused_at: Option<u64>) {
        self.refused_at = refused_at;
        while let Some(next) = work.next() {
            let pending = match next {
                Next::Now(pending) => pending,
                Next::At(at, pending) => {
                    if !self.wait(at.saturating_duration_since(now())).await {
                        drop(pending);
                        work.give_back_waiting();
                        continue;
                    }
                    self.mapping.metrics.retries.inc();
                    pending
                }
            };
            match self.deliver(pending).await {
                Onward::Nothing => {}
                Onward::Halves(first, second) => work.divided(first, second),
                Onward::Again(pending, wait) => work.again(pending, wait, now()),
            }
            let Some(pending) = self.putting_aside.take() else { continue };
            let refused_at = self.refused_at;
            if work.has_keys_of(&pending) {
                work.put_back(pending);
                self.aside.push_back(Aside { work, refused_at });
                return;
            }
            self.aside.push_back(Aside { work: Work::new(pending), refused_at });
        }
    }

    /// Takes new batches and, each time that it has waited, the oldest one that was set aside, until there is none. False when
    /// no more batches will come, or the bridge drains: then what is still set aside is abandoned.
    pub(super) async fn probe(&mut self, batches: &Batches) -> bool {
        let mut backoff = Backoff::new(self.mapping.settings.retry.backoff);
        // Never dropped half-way: it may have gathered some already.
        let mut next = pin!(batches.next());
        loop {
            let wait = sleep(backoff.next(fastrand::f64()));
            let mut shutdown = self.shutdown.clone();
            let batch = tokio::select! {
                batch = &mut next, if self.aside.len() < ASIDE => Some(batch),
                () = wait, if !self.aside.is_empty() => None,
                () = shutdown.reached(Phase::Draining), if !self.aside.is_empty() => {
                    self.aside.clear();
                    continue;
                }
            };
            match batch {
                Some(None) => return false,
                Some(Some(batch)) => {
                    self.take(batch).await;
                    if self.aside.is_empty() {
                        return true;
                    }
                    next.set(batches.next());
                }
                None => {
                    if let Some(Aside { work, refused_at }) = self.aside.pop_front() {
                        self.mapping.metrics.retries.inc();
                        self.finish(work, refused_at).await;
                    }
                }
            }
        }
    }

    /// Sets an event aside; one that was set aside `again`, and that others did not pass meanwhile, probes the way with its
    /// own records.
    pub(super) fn put_aside(&mut self, pending: Pending, again: bool) -> Onward {
        let whole = match pending {
            pending if again && self.aside.len() + 1 < ASIDE => match divided(pending) {
                Ok(halves) => return halves,
                Err(whole) => whole,
            },
            pending => pending,
        };
        self.putting_aside = Some(whole);
        Onward::Nothing
    }

    /// Whether another event has passed since the one in hand was first refused.
    pub(super) fn others_pass(&mut self) -> bool {
        let passed = self.mapping.passed.load(Ordering::Relaxed);
        *self.refused_at.get_or_insert(passed) < passed
    }
}

/// In two events: by ordering key, so that either may be first, or in the middle of what one key has; or whole, when it is
/// one record.
fn divided(mut pending: Pending) -> Result<Onward, Pending> {
    let key = |delivery: &Delivery| delivery.hold.as_ref().map(|hold| hold.key());
    if pending.deliveries.len() < 2 {
        return Err(pending);
    }
    let first = pending.deliveries.first().and_then(key);
    let others: Vec<_> = pending.deliveries.extract_if(.., |delivery| key(delivery) != first).collect();
    if others.is_empty() {
        return Ok(pending.halves());
    }
    let others = Pending { deliveries: others, backoff: pending.backoff.clone(), ..pending };
    Ok(Onward::Halves(pending, others))
}
