//! The kinds of calls of the Invoke API, and the status that means success for each. Pure.

use crate::config::Invocation;

/// A kind of call (Lambda API reference, operation Invoke, `InvocationType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Waits for the function's answer.
    RequestResponse,
    /// Waits until Lambda has queued the event.
    Event,
    /// Runs nothing: tells whether the function exists and may be invoked.
    DryRun,
}

impl Kind {
    /// The header `X-Amz-Invocation-Type`; without one it is `RequestResponse`.
    pub(super) fn header(self) -> Option<&'static str> {
        match self {
            Self::RequestResponse => None,
            Self::Event => Some("Event"),
            Self::DryRun => Some("DryRun"),
        }
    }

    /// The status of success.
    pub(super) fn expected(self) -> u16 {
        match self {
            Self::RequestResponse => 200,
            Self::Event => 202,
            Self::DryRun => 204,
        }
    }
}

impl From<Invocation> for Kind {
    fn from(invocation: Invocation) -> Self {
        match invocation {
            Invocation::RequestResponse => Self::RequestResponse,
            Invocation::Event => Self::Event,
        }
    }
}
