//! Decides whether and when to connect again after a connection, or an attempt to connect, has ended. Pure: time and
//! randomness are arguments.

use std::time::{Duration, Instant};

use super::end::End;
use super::link::Link;
use super::takeover::TakeoverGuard;
use crate::backoff::Backoff;

/// A connection that lived this long ends a row of failures.
pub(super) const STABLE: Duration = Duration::from_secs(10);

/// The least part of the longest wait that a failure waits which lasts: so that clients which were refused together do
/// not come back together.
const LEAST: f64 = 0.8;

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    /// Somebody has to change something.
    pub(super) lasting: bool,
    /// Another client has the same client id.
    pub(super) taken_over: bool,
    pub(super) wait: Duration,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing: the client has ended.
    Over,
    /// Connect at once.
    AtOnce,
    /// Wait, and say why.
    Failed(Failure),
}

/// Remembers the failures of one client.
#[derive(Debug)]
pub(super) struct Reconnect {
    backoff: Backoff,
    longest: Duration,
    takeover: TakeoverGuard,
    client_id: String,
}

impl Reconnect {
    pub(super) fn new(link: &Link) -> Self {
        let (longest, client_id) = (link.backoff.max, link.client_id.clone());
        Self { backoff: Backoff::new(link.backoff), longest, takeover: TakeoverGuard::new(longest), client_id }
    }

    /// `lived` counts from CONNACK and is absent when there was none; `random` lies between 0 and 1.
    pub(super) fn after(&mut self, end: End, lived: Option<Duration>, random: f64, now: Instant) -> Next {
        match self.takeover.judge(end, lived, &self.client_id, now) {
            End::Drained => Next::Over,
            // `Retired` reconnects with Clean Session, which makes a broker delete the session under MQTT 3.1.1
            // (3.1.2.4).
            End::Renewed | End::Retired => Next::AtOnce,
            End::Lost { why, lasting, taken_over, .. } => {
                if lived.is_some_and(|lived| lived >= STABLE) {
                    self.backoff.reset();
                }
                let wait = if lasting {
                    self.longest.mul_f64(LEAST + (1.0 - LEAST) * random)
                } else {
                    self.backoff.next(random)
                };
                // Nobody reads nanoseconds in a log line.
                let wait = Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
                Next::Failed(Failure { why, lasting, taken_over, wait })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Protocol, Range};

    const SECOND: Duration = Duration::from_secs(1);

    fn reconnect() -> Reconnect {
        let backoff = Range { min: SECOND, max: SECOND * 30 };
        Reconnect::new(&Link {
            client_id: "c".into(),
            protocol: Protocol::V5,
            keep_alive: SECOND,
            connect_timeout: SECOND,
            backoff,
        })
    }

    fn wait(next: Next) -> Duration {
        match next {
            Next::Failed(failure) => failure.wait,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_that_lasts_is_retried_with_jitter_and_never_later_than_the_longest_wait() {
        let refused = || End::lasting("no".into());
        let mut reconnect = reconnect();
        assert_eq!(wait(reconnect.after(refused(), None, 0.0, Instant::now())), SECOND * 24);
        assert_eq!(wait(reconnect.after(refused(), None, 1.0, Instant::now())), SECOND * 30);
    }

    #[test]
    fn a_connection_that_lived_ends_a_row_of_failures() {
        let (mut reconnect, now) = (reconnect(), Instant::now());
        let first = wait(reconnect.after(End::lost("x"), None, 0.5, now));
        let third = [0; 2].map(|_| wait(reconnect.after(End::lost("x"), None, 0.5, now)))[1];
        assert!(third > first);
        assert_eq!(wait(reconnect.after(End::lost("x"), Some(SECOND * 9), 0.5, now)).max(third), {
            let mut other = self::reconnect();
            (0..3).for_each(|_| drop(other.after(End::lost("x"), None, 0.5, now)));
            wait(other.after(End::lost("x"), None, 0.5, now))
        });
        assert_eq!(wait(reconnect.after(End::lost("x"), Some(SECOND * 10), 0.5, now)), first);
    }

    #[test]
    fn what_has_ended_well_waits_for_nothing() {
        let now = Instant::now();
        assert!(matches!(reconnect().after(End::Drained, Some(SECOND), 0.5, now), Next::Over));
        assert!(matches!(reconnect().after(End::Renewed, Some(SECOND), 0.5, now), Next::AtOnce));
        assert!(matches!(reconnect().after(End::Retired, Some(SECOND), 0.5, now), Next::AtOnce));
    }
}
