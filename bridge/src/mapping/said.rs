//! Decides which failures of a mapping are logged: one line a minute with their number and one example. Without this a
//! function that throws would fill the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::now;
use crate::repeats::{Recovery, Repeats};

/// A function that failed for less time and works again has been retried, and nothing more.
const RECOVERY_FROM: Duration = Duration::from_secs(10);
/// Dead letters that have a line of their own in one minute; an audit reads them.
const LETTERS_A_MINUTE: u32 = 20;

/// The kinds of failures that may repeat quickly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Matter {
    /// An invocation brought no answer of the function.
    Invocation,
    /// The function failed the event or records of it.
    Function,
    /// A message was given up, and its letter written.
    Letter,
    /// A message that no destination can ever take.
    Impossible,
    /// An answer was not confirmed in time.
    Unconfirmed,
    /// An answer was refused.
    Unpublished,
    /// Replies that the mapping does not allow.
    LeftOut,
    /// Answers that were dropped.
    Dropped,
}

/// What has been logged.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<BTreeMap<Matter, Repeats>>);

impl Said {
    /// Books a failure; how many there were since the last line, when it is time for another one.
    pub(super) fn failed(&self, matter: Matter) -> Option<u64> {
        self.with(matter, |repeats| repeats.failed(now()))
    }

    /// It works; what there is to say, when it had failed for some time.
    pub(super) fn worked(&self, matter: Matter) -> Option<Recovery> {
        self.with(matter, |repeats| repeats.worked_after(RECOVERY_FROM, now()))
    }

    fn with<T>(&self, matter: Matter, look: impl FnOnce(&mut Repeats) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(all.entry(matter).or_insert_with(|| match matter {
            Matter::Letter | Matter::Impossible => Repeats::allowing(LETTERS_A_MINUTE),
            _ => Repeats::default(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_function_that_always_throws_is_a_line_a_minute() {
        let (said, mut lines, mut counted) = (Said::default(), 0, 0);
        for _ in 0..6_400 {
            let failures = said.failed(Matter::Function);
            lines += u32::from(failures.is_some());
            counted += failures.unwrap_or_default();
            advance(Duration::from_millis(94)).await;
        }
        assert_eq!(lines, 11, "in ten minutes");
        let recovery = said.worked(Matter::Function).unwrap();
        assert_eq!(counted + recovery.failures, 6_400);
        assert_eq!(said.worked(Matter::Function), None);
    }

    #[tokio::test(start_paused = true)]
    async fn letters_are_said_one_by_one_until_they_are_many() {
        let said = Said::default();
        let lines = (0..1_000).filter(|_| said.failed(Matter::Letter).is_some()).count();
        assert_eq!(lines, 20);
    }
}
