//! The kinds of invocation that the Invoke API knows. Plain data.

use std::fmt;

use super::{EVENT_LIMIT, SYNC_LIMIT};

/// The kind of an invocation, by the header `X-Amz-Invocation-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The caller waits for the answer.
    RequestResponse,
    /// The service takes the event and runs the function later.
    Event,
    /// Only whether it would be allowed.
    DryRun,
}

impl Kind {
    pub(super) fn limit(self) -> usize {
        if self == Self::Event { EVENT_LIMIT } else { SYNC_LIMIT }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
