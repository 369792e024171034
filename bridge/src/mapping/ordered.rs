//! Batches that keep the order of every ordering key: a running record holds its key until its outcome, and only later
//! records of that key wait. One task fills the queues, and the lanes take from them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::intake::Intake;
use super::keyed::{Keyed, Taken};
use super::limits::{Limits, Room};
use crate::delivery::{Delivery, Freed, Hold, Keys};
use crate::shutdown::{Listener, Phase};

/// The lines of one mapping. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Ordered(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lines: Mutex<Lines>,
    changed: Notify,
    limits: Limits,
    shutdown: Listener,
}

#[derive(Debug, Default)]
struct Lines {
    keyed: Keyed<Delivery>,
    /// No more will come.
    closed: bool,
    /// When something became takeable that still is: the window opens then.
    since: Option<Instant>,
    /// The latest connection that a delivery came from.
    newest: u64,
    /// Keys of which a delivery was abandoned: what comes behind it must not overtake it. They end with the mapping, which
    /// drains, or with the next connection, which brings all of it again in its order.
    abandoned: HashSet<u64>,
}

enum Next {
    Batch(Vec<Delivery>),
    Wait(Option<Instant>),
    End,
}

impl Ordered {
    /// Starts feeding from `queue`. The feeding task ends when the queue is closed and empty.
    pub(super) fn start(
        queue: mpsc::Receiver<Delivery>,
        intake: Intake,
        limits: Limits,
        shutdown: Listener,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let lines = Mutex::new(Lines::default());
        let shared = Arc::new(Shared { lines, changed: Notify::new(), limits, shutdown });
        tasks.spawn(feed(Arc::clone(&shared), queue, intake));
        Self(shared)
    }

    pub(super) async fn next(&self) -> Option<Vec<Delivery>> {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change in between is missed.
            changed.as_mut().enable();
            match self.0.take(Instant::now()) {
                Next::Batch(batch) => return Some(batch),
                Next::End => return None,
                Next::Wait(None) => changed.await,
                // The end of the window counts as a change.
                Next::Wait(Some(closes)) => drop(timeout_at(closes, changed).await),
            }
        }
    }
}

async fn feed(shared: Arc<Shared>, mut queue: mpsc::Receiver<Delivery>, intake: Intake) {
    loop {
        let delivery = queue.recv().await;
        let closed = delivery.is_none();
        shared.accept(delivery, &intake);
        shared.changed.notify_one();
        if closed {
            return;
        }
    }
}

impl Keys for Shared {
    fn free(&self, freed: Freed) {
        let given_back = self.lines().free(freed);
        self.changed.notify_one();
        // Dropped after the lock: dropping settles the deliveries.
        drop(given_back);
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, delivery: Option<Delivery>, intake: &Intake) {
        match delivery.map(|delivery| intake.admit(delivery)) {
            None => self.lines().closed = true,
            Some(None) => {}
            Some(Some(mut delivery)) => {
                let key = intake.key_of(&delivery);
                // A key's line may hold a whole window of deliveries, so each gives up what it does not need.
                delivery.let_go();
                let drains = self.shutdown.phase() >= Phase::Draining;
                let left = self.lines().push(key, delivery, drains);
                // Dropped after the lock: dropping settles the delivery.
                drop(left);
            }
        }
    }

    fn take(self: &Arc<Self>, now: Instant) -> Next {
        let mut lines = self.lines();
        let takeable = lines.keyed.takeable();
        if takeable == 0 {
            if !lines.is_done() {
                return Next::Wait(None);
            }
            // Each lane that ends wakes another.
            self.changed.notify_one();
            return Next::End;
        }
        let closes = lines.since.unwrap_or(now) + self.limits.window;
        if takeable < self.limits.records && now < closes && !lines.closed {
            return Next::Wait(Some(closes));
        }
        let batch = lines.gather(&self.limits, self);
        lines.since = None;
        lines.open_window();
        if lines.keyed.takeable() > 0 || lines.is_done() {
            self.changed.notify_one();
        }
        Next::Batch(batch)
    }
}

impl Lines {
    fn is_done(&self) -> bool {
        self.closed && self.keyed.is_empty()
    }

    fn open_window(&mut self) {
        if self.keyed.takeable() > 0 {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Gives back what must not go, as it is behind an abandoned delivery of its key. In a mapping that drains none is
    /// redelivered: what has come on a later connection may still be behind one that was carried over from an earlier.
    fn push(&mut self, key: Option<u64>, delivery: Delivery, drains: bool) -> Option<Delivery> {
        if delivery.epoch() > self.newest {
            self.newest = delivery.epoch();
            if !drains {
                self.abandoned.clear();
            }
        }
        if key.is_some_and(|key| self.abandoned.contains(&key)) {
            return Some(delivery);
        }
        self.keyed.push(key, delivery);
        self.open_window();
        None
    }

    fn free(&mut self, freed: Freed) -> Vec<Delivery> {
        let mut given_back = Vec::new();
        if freed.abandoned {
            self.abandoned.insert(freed.key);
            given_back = self.keyed.disband(freed.key);
        }
        self.keyed.free(freed.key);
        self.open_window();
        given_back
    }

    /// Takes as many as are allowed and fit into an event. The first always goes, because it cannot be divided.
    fn gather(&mut self, limits: &Limits, shared: &Arc<Shared>) -> Vec<Delivery> {
        let (mut batch, mut room, mut full) = (Vec::new(), Room::new(limits.bytes), false);
        let (mut left, mut last) = (Taken::new(), None);
        for (key, mut run) in self.keyed.take(limits.records) {
            let mut fitting = 0;
            while !full && fitting < run.len() {
                run[fitting].take_up(limits.bytes);
                let fits = limits.records == 1 || room.take(&mut run[fitting]);
                let alone = batch.is_empty() && fitting == 0;
                full = !(fits || alone);
                if full {
                    run[fitting].let_go();
                }
                fitting += usize::from(!full);
            }
            let rest = run.split_off(fitting);
            if !rest.is_empty() {
                left.push((key, rest));
            }
            if run.is_empty() {
                continue;
            }
            last = key;
            let hold = key.map(|key| Arc::new(Hold::new(key, shared.clone())));
            for mut delivery in run {
                delivery.hold.clone_from(&hold);
                batch.push(delivery);
            }
        }
        self.keyed.put_back(left, last);
        batch
    }
}
