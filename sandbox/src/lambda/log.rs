//! The record of every invocation, in order and in bounded memory. Never changes what an invocation does.

mod invocation;

pub use invocation::{Invocation, Keep, Outcome, Totals};

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{broadcast, watch};

use super::faults::Action;
use super::kind::Kind;
use super::lock;
use invocation::record_ids;

/// What the log knows at one moment.
#[derive(Debug, Default)]
pub struct History {
    ring: VecDeque<Invocation>,
    totals: Totals,
}

impl History {
    /// The invocations it still keeps, in order of arrival.
    #[must_use]
    pub fn invocations(&self) -> impl ExactSizeIterator<Item = &Invocation> {
        self.ring.iter()
    }

    /// The counts.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }
}

/// The time given to [`Log::wait_for`] is over.
#[derive(Debug, thiserror::Error)]
#[error("log of invocations: not what was waited for within {0:?}: {1:?}")]
pub struct Late(Duration, Totals);

/// A handle on the log.
#[derive(Debug, Clone)]
pub struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    history: Mutex<History>,
    keep: Keep,
    capacity: usize,
    changed: watch::Sender<()>,
    ended: broadcast::Sender<Arc<Invocation>>,
}

impl Log {
    pub(super) fn new(keep: Keep, capacity: usize) -> Self {
        let ended = broadcast::Sender::new(capacity.max(1));
        Self(Arc::new(Shared { history: Mutex::default(), keep, capacity, changed: watch::Sender::default(), ended }))
    }

    /// The invocations it still keeps, in order of arrival.
    #[must_use]
    pub fn invocations(&self) -> Vec<Invocation> {
        self.read(|history| history.ring.iter().cloned().collect())
    }

    /// The counts.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.read(History::totals)
    }

    /// Looks without a copy. The local Lambda stands still meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&lock(&self.0.history))
    }

    /// Waits until `wanted` holds; it is asked at every start and end of an invocation.
    ///
    /// # Errors
    /// When it does not hold `within` this time.
    pub async fn wait_for(&self, within: Duration, mut wanted: impl FnMut(&History) -> bool) -> Result<(), Late> {
        let mut changed = self.0.changed.subscribe();
        let waiting = async {
            while !self.read(&mut wanted) {
                // The sender lives as long as this handle.
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(within, waiting).await.map_err(|_| Late(within, self.totals()))
    }

    /// Each invocation as it ends. A reader that falls behind by as many as the log keeps loses the oldest and is told
    /// so.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Invocation>> {
        self.0.ended.subscribe()
    }

    pub(super) fn begin(&self, request_id: &str, function: &str, kind: Kind, payload: &Bytes) -> Running {
        let keep = self.0.keep;
        let mut invocation = Invocation {
            seq: 0,
            request_id: request_id.to_owned(),
            at: Instant::now(),
            ended: None,
            function: function.to_owned(),
            kind,
            payload: if keep == Keep::Payloads { payload.clone() } else { Bytes::new() },
            record_ids: if keep == Keep::Totals { Arc::default() } else { record_ids(payload) },
            fault: None,
            ran: false,
            outcome: None,
        };
        let mut history = lock(&self.0.history);
        invocation.seq = history.totals.invoked;
        history.totals.invoked += 1;
        history.totals.in_flight += 1;
        history.totals.peak_in_flight = history.totals.peak_in_flight.max(history.totals.in_flight);
        if keep != Keep::Totals {
            history.ring.push_back(invocation.clone());
            while history.ring.len() > self.0.capacity {
                history.ring.pop_front();
            }
        }
        drop(history);
        self.0.changed.send_replace(());
        Running { log: self.clone(), invocation }
    }

    fn end(&self, invocation: &Invocation) {
        let mut history = lock(&self.0.history);
        history.totals.count(invocation.outcome.as_ref());
        // Places in the ring follow the sequence, so the first one tells where the others are.
        let first = history.ring.front().map_or(u64::MAX, |first| first.seq);
        if let Some(index) = invocation.seq.checked_sub(first).and_then(|index| usize::try_from(index).ok())
            && let Some(place) = history.ring.get_mut(index)
        {
            place.clone_from(invocation);
        }
        drop(history);
        self.0.changed.send_replace(());
        if self.0.ended.receiver_count() > 0 {
            // An error means that the last listener has just left.
            let _ = self.0.ended.send(Arc::new(invocation.clone()));
        }
    }
}

/// An invocation under way. Dropped, it ends as [`Outcome::Unanswered`].
#[derive(Debug)]
pub(super) struct Running {
    log: Log,
    invocation: Invocation,
}

impl Running {
    pub(super) fn struck_by(&mut self, fault: Option<&Action>) {
        self.invocation.fault = fault.cloned();
    }

    pub(super) fn ran(&mut self) {
        self.invocation.ran = true;
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Answered(_) if self.log.0.keep != Keep::Payloads => Outcome::Answered(Bytes::new()),
            Outcome::FunctionError(_) if self.log.0.keep != Keep::Payloads => Outcome::FunctionError(Bytes::new()),
            kept => kept,
        };
        self.invocation.outcome = Some(outcome);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.invocation.outcome.get_or_insert(Outcome::Unanswered);
        self.invocation.ended = Some(Instant::now());
        self.log.end(&self.invocation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = include_str!("../../../event/fixtures/event.json");

    fn ended(keep: Keep, capacity: usize, count: u64) -> Log {
        let log = Log::new(keep, capacity);
        for _ in 0..count {
            log.begin("id", "f", Kind::RequestResponse, &EVENT.into()).end(Outcome::Answered("null".into()));
        }
        log
    }

    #[test]
    fn forgets_invocations_but_not_totals() {
        let log = ended(Keep::Payloads, 2, 5);
        assert_eq!(log.invocations().iter().map(|i| i.seq).collect::<Vec<_>>(), [3, 4]);
        assert_eq!((log.totals().invoked, log.totals().succeeded, log.totals().in_flight), (5, 5, 0));
    }

    #[test]
    fn keeps_what_it_is_told_to() {
        let kept = ended(Keep::RecordIds, 2, 1).invocations().remove(0);
        assert!(kept.payload.is_empty());
        assert_eq!(kept.outcome, Some(Outcome::Answered(Bytes::new())));
        let ids = serde_json::from_str::<event::Event>(EVENT).unwrap().records.into_iter().map(|r| r.id);
        assert_eq!(kept.record_ids.to_vec(), ids.collect::<Vec<_>>());
        assert_eq!(ended(Keep::Totals, 2, 4).read(|history| history.invocations().len()), 0);
    }

    #[test]
    fn an_end_finds_its_place_after_others_were_forgotten() {
        let log = Log::new(Keep::Payloads, 2);
        let mut running: Vec<_> = (0..3).map(|n| log.begin(&n.to_string(), "f", Kind::Event, &Bytes::new())).collect();
        running.remove(1).end(Outcome::FunctionError(Bytes::new()));
        drop(running);
        let outcomes: Vec<_> = log.invocations().into_iter().map(|i| (i.seq, i.outcome.unwrap())).collect();
        assert_eq!(outcomes, [(1, Outcome::FunctionError(Bytes::new())), (2, Outcome::Unanswered)]);
        assert_eq!((log.totals().unanswered, log.totals().failed, log.totals().peak_in_flight), (2, 1, 3));
    }

    #[tokio::test]
    async fn waiting_ends_with_the_event_or_the_deadline() {
        let log = Log::new(Keep::Payloads, 2);
        let running = log.begin("id", "f", Kind::Event, &Bytes::new());
        let (waited, ()) =
            tokio::join!(log.wait_for(Duration::from_secs(10), |history| history.totals().succeeded == 1), async {
                running.end(Outcome::Answered(Bytes::new()));
            });
        waited.unwrap();
        log.wait_for(Duration::from_millis(1), |history| history.totals().failed == 1).await.unwrap_err();
    }
}
