//! The table: writes items in the right order, retries for a limited time, and reports a reading as stored only when
//! DynamoDB has confirmed it. Names no SDK; `dynamodb` makes the calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::dynamodb::{DynamoDb, Failure, NoRegion, Written};
use super::plan::{self, ATTEMPTS, Put, Step};
use super::row::{Entry, EntryError};
use super::{Checked, Unstored};

/// The most calls at once: each has a connection of its own, and in a small function they share a part of one core.
const CALLS: usize = 8;

/// A table, and how long its items live.
#[derive(Debug)]
pub struct Table {
    client: DynamoDb,
    ttl: Option<Duration>,
}

impl Table {
    /// The table of this name. Asks nothing of it yet.
    ///
    /// # Errors
    /// When no region is found.
    pub async fn open(name: &str, ttl: Option<Duration>) -> Result<Self, NoRegion> {
        Ok(Self { client: DynamoDb::open(name).await?, ttl })
    }

    /// Stores the readings, and says of each whether all that it becomes is stored.
    pub(super) async fn put(&self, readings: &[Checked<'_>], deadline: Instant) -> Vec<Result<(), Unstored>> {
        let made: Vec<_> = readings.iter().map(Entry::new).collect();
        let mut results: Vec<_> = made.iter().map(|made| made.as_ref().map(drop).map_err(never)).collect();
        let mut entries: Vec<_> = made.into_iter().map(Result::ok).collect();
        let first = plan::first_of_each(&entries);
        for step in [Step::Claims, Step::Readings, Step::Latest] {
            let open = (0..entries.len()).filter(|&at| first[at] == at && results[at].is_ok());
            let (at, puts) = step.puts(&entries, open, self.ttl);
            for (at, written) in at.into_iter().zip(self.write(puts, deadline).await) {
                match (written, step, &mut entries[at]) {
                    (Written::There(Some(first)), Step::Claims | Step::Readings, Some(entry)) => entry.received(first),
                    (Written::There(None), Step::Claims, _) => results[at] = self.again("a claim without its time"),
                    (Written::No(failure), ..) => results[at] = self.again(&failure.why),
                    _ => {}
                }
            }
        }
        first.into_iter().map(|at| results[at].clone()).collect()
    }

    /// Writes all of it, trying again what may pass, until `deadline`.
    async fn write(&self, puts: Vec<Put>, deadline: Instant) -> Vec<Written> {
        let puts: Arc<[Put]> = puts.into();
        let mut written: Vec<_> = puts.iter().map(|_| Written::No(Failure::passing("the call panicked"))).collect();
        let mut open: Vec<usize> = (0..puts.len()).collect();
        for attempt in 1..=ATTEMPTS {
            for (at, outcome) in self.attempt(&puts, &open, deadline).await {
                written[at] = outcome;
            }
            open.retain(|&at| matches!(&written[at], Written::No(failure) if failure.passing));
            let wait = plan::wait(attempt, fastrand::f64());
            if open.is_empty() || attempt == ATTEMPTS || Instant::now() + wait >= deadline {
                break;
            }
            tracing::debug!(table = self.client.table(), items = open.len(), attempt, "items are written again");
            tokio::time::sleep(wait).await;
        }
        written
    }

    /// One attempt at each of those that are open.
    async fn attempt(&self, puts: &Arc<[Put]>, open: &[usize], deadline: Instant) -> Vec<(usize, Written)> {
        let (mut outcomes, mut running) = (Vec::with_capacity(open.len()), JoinSet::new());
        for call in plan::calls(puts, open) {
            if running.len() == CALLS {
                outcomes.extend(unless_panicked(running.join_next().await));
            }
            let (client, puts) = (self.client.clone(), Arc::clone(puts));
            running.spawn(async move {
                let answer = tokio::time::timeout_at(deadline, client.write(&puts, &call)).await;
                let late = |at| (at, Written::No(Failure::passing("no answer in the time that the invocation has")));
                answer.unwrap_or_else(|_| call.into_iter().map(late).collect())
            });
        }
        while !running.is_empty() {
            outcomes.extend(unless_panicked(running.join_next().await));
        }
        outcomes
    }

    fn again(&self, why: &str) -> Result<(), Unstored> {
        Err(Unstored::Again(format!("table `{}`: {why}", self.client.table())))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.client.table();
        match self.ttl {
            Some(ttl) => write!(f, "table `{table}`, an item lives {}", humantime::format_duration(ttl)),
            None => write!(f, "table `{table}`, an item lives for ever"),
        }
    }
}

fn never(error: &EntryError) -> Unstored {
    Unstored::Never(error.to_string())
}

/// The entries of a call that panicked count as not written, and are retried.
fn unless_panicked(ended: Option<Result<Vec<(usize, Written)>, JoinError>>) -> Vec<(usize, Written)> {
    ended.and_then(Result::ok).unwrap_or_default()
}
