//! Says that a client has no connection: the first failure, another reason, and then one line a minute with their number. Those in
//! between are said at the level debug. Decides nothing.

use std::time::{Duration, Instant};

use tracing::{debug, error, warn};

use super::reconnect::{Failure, STABLE};

/// The same reason is said so often.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// The failures of one client.
#[derive(Debug, Default)]
pub(super) struct Failing {
    /// Failures that no line has counted yet.
    unsaid: u64,
    /// When the last line was written, and its reason.
    said: Option<(Instant, String)>,
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
        let (reason, retry_in) = (why.as_str(), wait);
        match self.due(why, now) {
            None => {
                let event = match (taken_over, lasting) {
                    (true, _) => "session.taken_over",
                    (false, true) => "broker.refused",
                    (false, false) => "broker.lost",
                };
                debug!(event, mapping, client_id, reason, ?retry_in, "no connection to the broker, as before");
            }
            Some(failures) if *taken_over => {
                let event = "session.taken_over";
                error!(event, mapping, client_id, failures, reason, ?retry_in, "session taken over; retrying");
            }
            Some(failures) if *lasting => {
                let event = "broker.refused";
                error!(
                    event,
                    mapping,
                    client_id,
                    failures,
                    reason,
                    ?retry_in,
                    "broker refuses the connection; retrying"
                );
            }
            Some(failures) => {
                let event = "broker.lost";
                warn!(
                    event,
                    mapping,
                    client_id,
                    failures,
                    reason,
                    ?retry_in,
                    "not connected to the broker; reconnecting"
                );
            }
        }
    }

    /// How many there were since the last line, when it is time for another one. A connection that has lived is lost anew.
    fn due(&mut self, why: &str, now: Instant) -> Option<u64> {
        let has_lived = self.connected.take().is_some_and(|since| now.saturating_duration_since(since) >= STABLE);
        self.unsaid += 1;
        let is_same = |(at, said): &(Instant, String)| said == why && now.saturating_duration_since(*at) < SAY_EVERY;
        if !has_lived && self.said.as_ref().is_some_and(is_same) {
            return None;
        }
        self.said = Some((now, why.to_owned()));
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
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
    fn another_reason_and_the_loss_of_a_connection_that_has_lived_are_said_at_once() {
        let (begun, mut failing) = (Instant::now(), Failing::default());
        assert_eq!(failing.due("refused", begun), Some(1));
        assert_eq!(failing.due("refused", begun + SECOND), None);
        assert_eq!(failing.due("no such host", begun + SECOND * 2), Some(2));
        failing.connected(begun + SECOND * 3);
        assert_eq!(failing.due("no such host", begun + SECOND * 12), None, "it has not lived");
        failing.connected(begun + SECOND * 13);
        assert_eq!(failing.due("no such host", begun + SECOND * 23), Some(2));
        assert_eq!(failing.due("no such host", begun + SECOND * 24), None);
    }
}
