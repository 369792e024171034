//! What the log knows of one invocation, and the counts of all. Plain data.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::lambda::{Action, Kind};

/// What the log keeps of each invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Everything.
    Payloads,
    /// Everything but payloads and answers.
    RecordIds,
    /// Only the totals, and nothing is parsed: for benchmarks and long runs.
    Totals,
}

/// One request to invoke, from its arrival to its end.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Its place in the order of arrival, from 0.
    pub seq: u64,
    /// The request id that the caller and the function see.
    pub request_id: String,
    /// When it arrived.
    pub at: Instant,
    /// When it ended.
    pub ended: Option<Instant>,
    /// The function that was asked for.
    pub function: String,
    /// Its kind.
    pub kind: Kind,
    /// The payload, as far as [`Keep`] keeps it.
    pub payload: Bytes,
    /// The ids of the records inside, when the payload is an event and [`Keep`] keeps them.
    pub record_ids: Arc<[String]>,
    /// The fault that struck.
    pub fault: Option<Action>,
    /// Whether the function ran to an answer of its own.
    pub ran: bool,
    /// How it ended; absent while it runs.
    pub outcome: Option<Outcome>,
}

/// How an invocation ended, as the caller sees it. For [`Kind::Event`], how its run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The function returned this, as far as [`Keep`] keeps it.
    Answered(Bytes),
    /// The function failed with this, as far as [`Keep`] keeps it.
    FunctionError(Bytes),
    /// The service refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error type.
        code: &'static str,
    },
    /// A dry run that would be allowed.
    Allowed,
    /// The caller got no whole answer: a fault took it, or the local Lambda ended first.
    Unanswered,
}

/// Counts over the whole life, however little the log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Requests to invoke.
    pub invoked: u64,
    /// Answered by the function.
    pub succeeded: u64,
    /// Ended by a function error.
    pub failed: u64,
    /// Refused with 429.
    pub throttled: u64,
    /// Refused with another status.
    pub refused: u64,
    /// Never answered.
    pub unanswered: u64,
    /// Dry runs that were allowed.
    pub dry_runs: u64,
    /// Not ended yet.
    pub in_flight: u64,
    /// The most that were in flight at once.
    pub peak_in_flight: u64,
}

impl Totals {
    pub(super) fn count(&mut self, outcome: Option<&Outcome>) {
        self.in_flight -= 1;
        match outcome {
            Some(Outcome::Answered(_)) => self.succeeded += 1,
            Some(Outcome::FunctionError(_)) => self.failed += 1,
            Some(Outcome::Refused { status: 429, .. }) => self.throttled += 1,
            Some(Outcome::Refused { .. }) => self.refused += 1,
            Some(Outcome::Allowed) => self.dry_runs += 1,
            Some(Outcome::Unanswered) | None => self.unanswered += 1,
        }
    }
}

/// The ids of the records inside `payload`, none when it is no event of the bridge.
pub(super) fn record_ids(payload: &[u8]) -> Arc<[String]> {
    let event = serde_json::from_slice::<event::Event>(payload);
    event.map_or_else(|_| Arc::default(), |event| event.records.into_iter().map(|record| record.id).collect())
}
