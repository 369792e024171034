//! Which set of TLS files is in use, by its number, and which connection has to change to a newer set next. Knows
//! nothing of TLS.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use crate::latest::{Heard, Latest};

/// How long the replacement of a connection may take before the next one starts.
const TURN: Duration = Duration::from_secs(10);

/// Counts the sets that were taken into use. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Generations(Arc<Inner>);

struct Inner {
    newest: Latest<u64>,
    /// Held by the one connection that is being replaced.
    turn: Arc<Semaphore>,
    /// Told when a broker has accepted a connection.
    accepted: Arc<Notify>,
}

impl Default for Generations {
    fn default() -> Self {
        let (newest, turn, accepted) = (Latest::new(0), Arc::new(Semaphore::new(1)), Arc::default());
        Self(Arc::new(Inner { newest, turn, accepted }))
    }
}

impl Generations {
    /// The number of the set in use.
    pub fn newest(&self) -> u64 {
        self.0.newest.get()
    }

    /// There is another set.
    pub fn advance(&self) {
        self.0.newest.update(|generation| {
            *generation += 1;
            true
        });
    }

    /// For a connection that was made with the set of that number.
    pub fn freshness(&self, generation: u64) -> Freshness {
        Freshness { all: self.clone(), generation, newest: self.0.newest.listen() }
    }
}

/// Signals a connection that it should be replaced by one with a newer set.
#[derive(Clone)]
pub struct Freshness {
    all: Generations,
    generation: u64,
    newest: Heard<u64>,
}

impl Freshness {
    /// Waits for a newer set, and nothing else. Cancel safe.
    pub async fn renewed(&mut self) {
        let mine = self.generation;
        self.newest.wait_for(|newest| *newest > mine).await;
    }

    /// Waits for a newer set and for our turn: connections give way one by one, so that a set which this broker does
    /// not accept costs one connection at first, and not all. Cancel safe.
    pub async fn outdated(&mut self) {
        self.renewed().await;
        let Ok(turn) = self.all.0.turn.clone().acquire_owned().await else { return };
        let accepted = self.all.0.accepted.clone().notified_owned();
        tokio::spawn(async move {
            // A timeout counts as done, so that the other connections do not keep an old set for ever.
            let _ = tokio::time::timeout(TURN, accepted).await;
            drop(turn);
        });
    }

    /// The broker has accepted this connection, so the next one may be replaced.
    pub fn accepted(&self) {
        self.all.0.accepted.notify_waiters();
    }
}
