//! What can go wrong with an invocation, and what it means for the records: decided here and nowhere else. Pure.

use std::time::Duration;

/// An invocation that brought no answer from the function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// Lambda refuses for now: too many requests (429).
    #[error("throttled: {reason}")]
    Throttled {
        /// Lambda's own reason, such as `ReservedFunctionConcurrentInvocationLimitExceeded`.
        reason: String,
        /// How long Lambda asks us to wait.
        retry_after: Option<Duration>,
    },
    /// Lambda, or something between us, failed (5xx and the like).
    #[error("service: {code}: {message}")]
    Service {
        /// The error's name.
        code: String,
        /// The error's text.
        message: String,
    },
    /// No whole answer in time. The function may have run wholly, partly or not at all.
    #[error("timeout: no answer within {after:?}")]
    Timeout {
        /// The mapping's timeout.
        after: Duration,
    },
    /// No connection, or it broke. The function may have run.
    #[error("connection: {0}")]
    Connection(String),
    /// Lambda will never take this event (400, 413, 415).
    #[error("rejected: {code}: {message}")]
    Rejected {
        /// The error's name.
        code: String,
        /// The error's text.
        message: String,
    },
    /// Somebody has to change credentials, permissions or names first (401, 403, 404, no credentials).
    #[error("configuration: {code}: {message}")]
    Misconfigured {
        /// The error's name.
        code: String,
        /// The error's text.
        message: String,
    },
}

/// What a failure means for the records of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Try again by the retry policy.
    Retry,
    /// No further attempt can help.
    GiveUp,
    /// Keep everything, of whatever age, and try again until somebody has mended it.
    Hold,
}

impl InvokeError {
    /// Sorts an error answer of the Invoke API by its HTTP status.
    #[must_use]
    pub fn from_status(status: u16, code: String, message: String, retry_after: Option<Duration>) -> Self {
        match status {
            429 => Self::Throttled { reason: code, retry_after },
            400 | 413 | 415 if !is_about_credentials(&code) => Self::Rejected { code, message },
            400..=404 => Self::Misconfigured { code, message },
            // 408 and 409 are SnapStart and a function that is being updated: they pass.
            _ => Self::Service { code, message },
        }
    }

    /// What it means for the records.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Throttled { .. } | Self::Service { .. } | Self::Timeout { .. } | Self::Connection(_) => {
                Disposition::Retry
            }
            Self::Rejected { .. } => Disposition::GiveUp,
            Self::Misconfigured { .. } => Disposition::Hold,
        }
    }

    /// Whether it counts as an attempt: the function may have had its whole time, or Lambda has judged the event. What
    /// kept an event from the function is no fault of its messages, so throttles, service errors and a network that is
    /// away cost them nothing but time, as in Lambda's own mappings; their age bounds that.
    #[must_use]
    pub fn is_attempt(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Rejected { .. } => true,
            Self::Throttled { .. } | Self::Service { .. } | Self::Connection(_) | Self::Misconfigured { .. } => false,
        }
    }

    /// The kind, for logs and dead letters.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Throttled { .. } => "Throttled",
            Self::Service { .. } => "Service",
            Self::Timeout { .. } => "Timeout",
            Self::Connection(_) => "Connection",
            Self::Rejected { .. } => "Rejected",
            Self::Misconfigured { .. } => "Misconfigured",
        }
    }
}

/// Some AWS endpoints answer 400 where others answer 403.
fn is_about_credentials(code: &str) -> bool {
    matches!(
        code,
        "ExpiredTokenException"
            | "ExpiredToken"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignatureException"
            | "RequestExpired"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning() {
        use Disposition::{GiveUp, Hold, Retry};
        for (status, code, expected) in [
            (429, "TooManyRequestsException", Retry),
            (500, "ServiceException", Retry),
            (502, "InvalidRuntimeException", Retry),
            (503, "ServiceUnavailable", Retry),
            (504, "", Retry),
            (408, "SnapStartTimeoutException", Retry),
            (409, "ResourceConflictException", Retry),
            (400, "InvalidRequestContentException", GiveUp),
            (413, "RequestTooLargeException", GiveUp),
            (415, "UnsupportedMediaTypeException", GiveUp),
            (400, "ExpiredTokenException", Hold),
            (401, "", Hold),
            (403, "AccessDeniedException", Hold),
            (403, "ExpiredTokenException", Hold),
            (404, "ResourceNotFoundException", Hold),
        ] {
            let error = InvokeError::from_status(status, code.into(), String::new(), None);
            assert_eq!(error.disposition(), expected, "{status} {code}");
        }
    }
}
