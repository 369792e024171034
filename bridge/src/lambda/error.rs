//! The errors of an invocation, and what they mean for the records. `error_table.rs` assigns the codes. Pure.

use std::time::Duration;

use crate::foreign::Foreign;

/// An invocation that brought no answer from the function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// Lambda refuses for now: too many requests.
    #[error("throttled: {refusal}")]
    Throttled {
        /// What it said.
        refusal: Refused,
        /// How long Lambda asks us to wait.
        retry_after: Option<Duration>,
    },
    /// Lambda, or something between us, failed (5xx and the like).
    #[error("service: {0}")]
    Service(Refused),
    /// No whole answer in time. The function may have run wholly, partly or not at all.
    #[error("timeout: no answer within {after:?} from {place}")]
    Timeout {
        /// The mapping's timeout.
        after: Duration,
        /// Endpoint and region.
        place: String,
    },
    /// No connection, or it broke. The function may have run.
    #[error("connection: {cause}; endpoint {place}")]
    Connection {
        /// Why.
        cause: String,
        /// Endpoint and region.
        place: String,
    },
    /// Lambda will never take this event. Its own words may quote the event, so only the dead letter repeats them.
    #[error("rejected: {}", .0.head)]
    Rejected(Refused),
    /// Somebody has to change credentials, permissions, names or the way to the endpoint first.
    #[error("configuration: {refusal}")]
    Misconfigured {
        /// What it said.
        refusal: Refused,
        /// No known error of Lambda's: something between us may refuse this one event and no other.
        unexplained: bool,
    },
}

/// What an endpoint said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Status, code, endpoint and region, in our words.
    pub head: String,
    /// The service's own words; absent when there are none that are worth repeating.
    pub detail: Option<Foreign>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.head)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

/// What a failure means for the records of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Try again by the retry policy.
    Retry,
    /// No further attempt can help.
    GiveUp,
    /// Keep everything, of whatever age, and try again until the configuration is fixed.
    Hold,
}

impl InvokeError {
    /// What it means for the records.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Throttled { .. } | Self::Service(_) | Self::Timeout { .. } | Self::Connection { .. } => {
                Disposition::Retry
            }
            Self::Rejected(_) => Disposition::GiveUp,
            Self::Misconfigured { .. } => Disposition::Hold,
        }
    }

    /// Whether it is a refusal that no known error of Lambda's explains. When the same event is refused so again
    /// although another one has passed since, it is this event that is refused.
    #[must_use]
    pub fn is_unexplained(&self) -> bool {
        matches!(self, Self::Misconfigured { unexplained: true, .. })
    }

    /// Whether it counts as an attempt: the function may have had its whole time, or Lambda has judged the event. What
    /// kept an event from the function is no fault of its messages, so throttles, service errors and a network that is
    /// away cost them nothing but time, as in Lambda's own mappings; their age bounds that.
    #[must_use]
    pub fn is_attempt(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Rejected(_) => true,
            Self::Throttled { .. } | Self::Service(_) | Self::Connection { .. } | Self::Misconfigured { .. } => false,
        }
    }

    /// How long Lambda asks us to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Throttled { retry_after, .. } = self { *retry_after } else { None }
    }

    /// The kind, for logs and dead letters.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Throttled { .. } => "Throttled",
            Self::Service(_) => "Service",
            Self::Timeout { .. } => "Timeout",
            Self::Connection { .. } => "Connection",
            Self::Rejected(_) => "Rejected",
            Self::Misconfigured { .. } => "Misconfigured",
        }
    }

    /// The reason for a dead letter, which holds the payload anyway: with the service's own words.
    #[must_use]
    pub fn in_full(&self) -> String {
        if let Self::Rejected(refusal) = self { format!("rejected: {refusal}") } else { self.to_string() }
    }
}
