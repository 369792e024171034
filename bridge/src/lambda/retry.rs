//! Decides whether and when a failed attempt is repeated. Pure: age and randomness are arguments.

use std::time::Duration;

use super::Disposition;
use crate::backoff::Backoff;
use crate::config::Retry;

/// The decision after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, after this wait.
    Again(Duration),
    /// The failure destination.
    GiveUp,
}

/// Decides by policy. `attempts` counts those made, `age` is from the receipt, `retry_after` is what Lambda asks for,
/// and without a failure destination (`may_give_up` false) the message is never given up.
///
/// The back-off, with its jitter, comes on top of `retry_after`: all clients that were refused together got the same
/// time.
pub fn after_failure(
    policy: &Retry,
    disposition: Disposition,
    attempts: u32,
    age: Duration,
    retry_after: Option<Duration>,
    may_give_up: bool,
    backoff: &mut Backoff,
) -> Next {
    let spent = match disposition {
        Disposition::Hold => false,
        Disposition::GiveUp => true,
        Disposition::Retry => attempts >= policy.max_attempts || age >= policy.max_age,
    };
    if spent && may_give_up {
        return Next::GiveUp;
    }
    Next::Again(backoff.next(fastrand::f64()).saturating_add(retry_after.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Range;

    const SECOND: Duration = Duration::from_secs(1);
    const POLICY: Retry = Retry {
        max_attempts: 3,
        max_age: Duration::from_mins(10),
        backoff: Range { min: Duration::from_millis(10), max: SECOND },
    };

    fn next(disposition: Disposition, attempts: u32, age: Duration, may_give_up: bool) -> Next {
        after_failure(&POLICY, disposition, attempts, age, None, may_give_up, &mut Backoff::new(POLICY.backoff))
    }

    #[test]
    fn gives_up_after_the_attempts_or_the_age() {
        assert!(matches!(next(Disposition::Retry, 2, SECOND, true), Next::Again(_)));
        assert_eq!(next(Disposition::Retry, 3, SECOND, true), Next::GiveUp);
        assert_eq!(next(Disposition::Retry, 1, POLICY.max_age, true), Next::GiveUp);
        assert_eq!(next(Disposition::GiveUp, 1, SECOND, true), Next::GiveUp);
    }

    #[test]
    fn without_a_destination_nothing_is_given_up() {
        assert!(matches!(next(Disposition::Retry, 1000, POLICY.max_age * 2, false), Next::Again(_)));
        assert!(matches!(next(Disposition::GiveUp, 1, SECOND, false), Next::Again(_)));
    }

    #[test]
    fn a_misconfiguration_is_held_for_ever() {
        assert!(matches!(next(Disposition::Hold, 1000, POLICY.max_age * 2, true), Next::Again(_)));
    }

    fn after(retry_after: Duration) -> Duration {
        let mut backoff = Backoff::new(POLICY.backoff);
        match after_failure(&POLICY, Disposition::Retry, 1, SECOND, Some(retry_after), true, &mut backoff) {
            Next::Again(wait) => wait,
            Next::GiveUp => panic!("given up"),
        }
    }

    #[test]
    fn retry_after_is_honoured_and_spread() {
        let waits: Vec<_> = (0..50).map(|_| after(SECOND * 7)).collect();
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(*least >= SECOND * 7 + POLICY.backoff.min && *most <= SECOND * 7 + POLICY.backoff.min * 2, "{waits:?}");
        assert!(least < most, "all come back at once");
        assert_eq!(after(Duration::MAX), Duration::MAX);
    }
}
