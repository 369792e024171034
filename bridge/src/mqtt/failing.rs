//! Logs that a client has no connection: the first failure, each new reason, and then one line a minute for each
//! reason, with the number of failures. The failures in between have the level debug. Decides nothing.

use std::time::Instant;

use tracing::{debug, error, warn};

use super::reconnect::{Failure, STABLE};
use crate::repeats::SAY_EVERY;

/// How many different reasons a minute are logged; each of several brokers may have its own.
const REASONS: usize = 4;

/// The failures of one client.
#[derive(Debug, Default)]
pub(super) struct Failing {
    /// Failures that no line has counted yet.
    unsaid: u64,
    /// The reasons of the last minute, and when each was said.
    said: Vec<(Instant, String)>,
    /// Since when there is a connection.
    connected: Option<Instant>,
}

impl Failing {
    /// The broker has accepted a connection.
    pub(super) fn connected(&mut self, now: Instant) {
        self.connected = Some(now);
    }

    /// Books a failure, and says it when it is time.
    pub(super) fn failed(&mut self, mapping: Option<&str>, client_id: &str, failure: &Failure, now: Instant) {
        let Failure { why, lasting, taken_over, wait } = failure;
        let (event, words) = if *taken_over {
            let event = "session.taken_over";
            (event, "session taken over; retrying")
        } else if *lasting {
            let event = "broker.refused";
            (event, "broker refuses the connection; retrying")
        } else {
            let event = "broker.lost";
            (event, "not connected to the broker; reconnecting")
        };
        let (reason, retry_in) = (why.as_str(), wait);
        match self.due(why, now) {
            None => debug!(event, mapping, client_id, reason, ?retry_in, "{words}"),
            Some(failures) if *taken_over || *lasting => {
                error!(event, mapping, client_id, failures, reason, ?retry_in, "{words}");
            }
            Some(failures) => warn!(event, mapping, client_id, failures, reason, ?retry_in, "{words}"),
        }
    }

    /// How many there were since the last line, when it is time for another one. The loss of a connection that was
    /// stable is always said.
    fn due(&mut self, why: &str, now: Instant) -> Option<u64> {
        let was_stable = self.connected.take().is_some_and(|since| now.saturating_duration_since(since) >= STABLE);
        self.unsaid += 1;
        self.said.retain(|(at, said)| now.saturating_duration_since(*at) < SAY_EVERY && !(was_stable && said == why));
        if !was_stable && (self.said.len() >= REASONS || self.said.iter().any(|(_, said)| said == why)) {
            return None;
        }
        self.said.truncate(REASONS - 1);
        self.said.push((now, why.to_owned()));
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_same_reason_is_a_line_a_minute_with_the_number_of_failures() {
        let (begun, mut failing) = (Instant::now(), Failing::default());
        let said: Vec<_> = (0..130)
            .step_by(5)
            .filter_map(|second| Some((second, failing.due("refused", begun + SECOND * second)?)))
            .collect();
        assert_eq!(said, [(0, 1), (60, 12), (120, 12)]);
    }

    #[test]
    fn reasons_that_take_turns_are_a_line_a_minute_each_and_no_more_than_four() {
        for (reasons, lines) in [(2, 2), (50, REASONS)] {
            let (begun, mut failing) = (Instant::now(), Failing::default());
            let due = |second: u32| failing.due(&format!("broker {}", second % reasons), begun + SECOND * second);
            let said: Vec<u64> = (0..120).filter_map(due).collect();
            assert_eq!(said.len(), 2 * lines, "{said:?}");
            assert_eq!(said.iter().sum::<u64>() + failing.unsaid, 120);
        }
    }

    #[test]
    fn another_reason_and_the_loss_of_a_stable_connection_are_said_at_once() {
        let (begun, mut failing) = (Instant::now(), Failing::default());
        assert_eq!(failing.due("refused", begun), Some(1));
        assert_eq!(failing.due("refused", begun + SECOND), None);
        assert_eq!(failing.due("no such host", begun + SECOND * 2), Some(2));
        failing.connected(begun + SECOND * 3);
        assert_eq!(failing.due("no such host", begun + SECOND * 12), None, "it was not stable");
        failing.connected(begun + SECOND * 13);
        assert_eq!(failing.due("no such host", begun + SECOND * 23), Some(2));
        assert_eq!(failing.due("no such host", begun + SECOND * 24), None);
    }
}
