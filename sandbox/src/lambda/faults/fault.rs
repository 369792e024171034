//! What a fault is, in words that can be printed. Keeps no count.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::lambda::{Kind, Refusal, ThrottleReason};

/// Which of the invocations that a fault sees it strikes. Counting starts when the fault is added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// Every one, until the fault is removed.
    Always,
    /// The nth only, counted from 1.
    Nth(u64),
    /// The next n.
    Next(u64),
    /// Each nth.
    Every(u64),
    /// Each with this probability, decided by a generator with this seed.
    Chance {
        /// From 0 to 1.
        probability: f64,
        /// The same seed strikes the same invocations.
        seed: u64,
    },
}

/// What a fault does to an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The service refuses; the function does not run.
    Refuse(Refusal),
    /// HTTP 200 with `X-Amz-Function-Error` and this JSON; the function does not run.
    FunctionError(Bytes),
    /// The function runs; its answer's head and half of its body come, then nothing.
    Stall,
    /// No answer, and the function does not run. The connection stays open.
    Hang,
    /// The connection is reset before the function runs.
    Cut,
    /// The function runs, then the connection is reset before the answer.
    RunThenCut,
    /// The function runs, this much later. It counts as concurrency meanwhile, not as the function's time.
    Delay(Duration),
}

impl Action {
    /// A refusal with this status, in the service's own words.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Refuse(Refusal::from_status(status))
    }

    /// 429 for the reserved concurrency, with or without `Retry-After`.
    #[must_use]
    pub fn throttle(retry_after: Option<Duration>) -> Self {
        Self::Refuse(Refusal::Throttled { reason: ThrottleReason::default(), retry_after })
    }

    /// A function that throws.
    #[must_use]
    pub fn function_error(kind: &str, message: &str) -> Self {
        Self::FunctionError(serde_json::json!({"errorType": kind, "errorMessage": message}).to_string().into())
    }
}

/// When, to whom, and what.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Which of the invocations that fit.
    pub when: When,
    /// What happens to them.
    pub action: Action,
    /// Only this function; all when absent.
    pub function: Option<String>,
    /// Only this kind of invocation; the two that run a function when absent, so that dry runs do not count.
    pub kind: Option<Kind>,
    /// Only payloads that contain this text.
    pub needle: Option<String>,
}

impl Fault {
    /// A fault for every function and every payload.
    #[must_use]
    pub fn new(when: When, action: Action) -> Self {
        Self { when, action, function: None, kind: None, needle: None }
    }

    /// Only for this function.
    #[must_use]
    pub fn function(self, name: impl Into<String>) -> Self {
        Self { function: Some(name.into()), ..self }
    }

    /// Only for this kind of invocation.
    #[must_use]
    pub fn kind(self, kind: Kind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Only for payloads that contain `needle`.
    #[must_use]
    pub fn containing(self, needle: impl Into<String>) -> Self {
        Self { needle: Some(needle.into()), ..self }
    }

    pub(super) fn fits(&self, function: &str, kind: Kind, payload: &[u8]) -> bool {
        let kind_fits = self.kind.map_or(kind != Kind::DryRun, |only| only == kind);
        kind_fits
            && self.function.as_ref().is_none_or(|only| only == function)
            && self.needle.as_ref().is_none_or(|needle| contains(payload, needle.as_bytes()))
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window == needle)
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => write!(f, "always"),
            Self::Nth(n) => write!(f, "number {n}"),
            Self::Next(n) => write!(f, "the next {n}"),
            Self::Every(n) => write!(f, "one in {n}"),
            Self::Chance { probability, seed } => write!(f, "by chance {probability} (seed {seed})"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse(refusal) => write!(f, "{refusal}"),
            Self::FunctionError(json) => write!(f, "function error {}", String::from_utf8_lossy(json)),
            Self::Stall => write!(f, "stall in the body"),
            Self::Hang => write!(f, "no answer"),
            Self::Cut => write!(f, "cut before the function runs"),
            Self::RunThenCut => write!(f, "cut after the function ran"),
            Self::Delay(by) => write!(f, "{by:?} late"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.when, self.action)?;
        if let Some(function) = &self.function {
            write!(f, ", function `{function}`")?;
        }
        if let Some(kind) = self.kind {
            write!(f, ", {kind}")?;
        }
        if let Some(needle) = &self.needle {
            write!(f, ", payload with `{needle}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_itself_with_its_seed() {
        let fault = Fault::new(When::Chance { probability: 0.2, seed: 42 }, Action::status(500)).containing("a");
        assert_eq!(fault.to_string(), "by chance 0.2 (seed 42): 500 ServiceException, payload with `a`");
    }
}
