//! Events that a lane sets aside to take other batches: events refused without an error code of Lambda, until another
//! event has passed, which shows whether the connection or the event is the cause; and batches whose division takes
//! long, which alternate with others. Keeps the order of ordering keys.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use super::pending::{Onward, Pending};
use super::work::{Next, Work};
use super::{Batches, Lane};
use crate::backoff::Backoff;
use crate::clock::now;
use crate::delivery::Delivery;
use crate::shutdown::Phase;

/// Batches that a lane may have set aside at once.
const ASIDE: usize = 8;
/// How long a batch that was divided keeps its lane at a time, while others may wait.
const TURN: Duration = Duration::from_secs(5);

/// The events of a batch that are set aside.
pub(super) struct Aside {
    work: Work,
    /// When its turn comes; none when it was refused without a known reason, and waits for others to pass.
    turn: Option<Instant>,
}

impl Lane {
    /// Brings events to their outcomes, or sets them aside. Events that are dropped on the way are abandoned.
    pub(super) async fn finish(&mut self, mut work: Work) {
        let turn_ends = now() + TURN;
        loop {
            if self.gives_way(&work)
                && let Some(due) = work.due(now()).filter(|due| *due >= turn_ends)
            {
                self.aside.push_back(Aside { work, turn: Some(due) });
                return;
            }
            let Some(next) = work.next() else { return };
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
            if work.has_keys_of(&pending) {
                work.put_back(pending);
                self.aside.push_back(Aside { work, turn: None });
                return;
            }
            self.aside.push_back(Aside { work: Work::new(pending), turn: None });
        }
    }

    /// Whether other batches go in between. Not in a drain, when there are none.
    fn gives_way(&self, work: &Work) -> bool {
        work.is_divided() && self.aside.len() < ASIDE && self.shutdown.phase() < Phase::Draining
    }

    /// Takes new batches and what is set aside in turn, until nothing is. What was refused waits with a back-off. False
    /// when no more batches will come.
    pub(super) async fn probe(&mut self, batches: &Batches) -> bool {
        let mut backoff = Backoff::new(self.mapping.settings.retry.backoff);
        let mut probe_at = now() + backoff.next(fastrand::f64());
        // Given back before anything else is waited for, so that it keeps no other lane from the queue.
        let mut next = pin!(batches.next());
        loop {
            if self.shutdown.phase() >= Phase::Draining {
                next.set(batches.next());
                self.finish_turns().await;
            }
            let turn = self.next_turn(probe_at);
            let at = turn.map_or(probe_at, |(_, at)| at);
            let mut shutdown = self.shutdown.clone();
            // Events set aside go first, because their next turn is later, and a stream of batches would starve them.
            let batch = tokio::select! {
                biased;
                () = shutdown.reached(Phase::Draining), if turn.is_some() => continue,
                () = sleep_until(at.into()), if turn.is_some() => None,
                batch = &mut next, if self.aside.len() < ASIDE => Some(batch),
            };
            match batch {
                Some(None) => {
                    self.finish_turns().await;
                    return false;
                }
                Some(Some(batch)) => {
                    next.set(batches.next());
                    self.take(batch).await;
                    if self.aside.is_empty() {
                        return true;
                    }
                }
                None => {
                    let aside = turn.and_then(|(index, _)| self.aside.remove(index));
                    let Some(Aside { work, turn }) = aside else { continue };
                    next.set(batches.next());
                    if turn.is_none() {
                        probe_at = now() + backoff.next(fastrand::f64());
                        self.mapping.metrics.retries.inc();
                    }
                    self.go_on(work).await;
                }
            }
        }
    }

    /// Which of the events set aside goes first, and when.
    fn next_turn(&self, probe_at: Instant) -> Option<(usize, Instant)> {
        let turns = self.aside.iter().map(|aside| aside.turn.unwrap_or(probe_at));
        turns.enumerate().min_by_key(|(_, at)| *at)
    }

    /// There are no more batches: divided batches continue to their end, and events that were refused without a known
    /// reason are abandoned.
    async fn finish_turns(&mut self) {
        while let Some(Aside { work, turn }) = self.aside.pop_front() {
            if turn.is_some() {
                self.go_on(work).await;
            }
        }
    }

    /// Sets an event aside; one that was set aside `again`, and that others did not pass meanwhile, probes the way with
    /// its own records.
    pub(super) fn put_aside(&mut self, pending: Pending, again: bool) -> Onward {
        if again && self.aside.len() + 1 < ASIDE && pending.deliveries.len() > 1 {
            return divided(pending);
        }
        self.putting_aside = Some(pending);
        Onward::Nothing
    }
}

/// In two events: by ordering key, so that either may be first, or in the middle of what one key has.
fn divided(mut pending: Pending) -> Onward {
    let key = |delivery: &Delivery| delivery.hold.as_ref().map(|hold| hold.key());
    let first = pending.deliveries.first().and_then(key);
    let others: Vec<_> = pending.deliveries.extract_if(.., |delivery| key(delivery) != first).collect();
    if others.is_empty() {
        return pending.halves();
    }
    let others = Pending { deliveries: others, backoff: pending.backoff.clone(), ..pending };
    Onward::Halves(pending, others)
}
