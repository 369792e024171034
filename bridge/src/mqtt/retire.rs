//! When a session that has unsubscribed may believe that the broker has nothing more for it. Pure: the time is an
//! argument.
//!
//! No packet of MQTT says so: after UNSUBACK a broker goes on with what it has begun to send, and may go on with what it
//! has queued (MQTT 5, 3.10.4). So two things have to come together, both after the last message is acknowledged. A
//! PINGREQ behind that last acknowledgement is answered: the broker has read it, and what it made room for has mostly
//! been sent before the answer. And nothing has come for [`QUIET`]: a broker that reads, queues and sends in different
//! threads, or on different machines, has had its time.

use std::time::{Duration, Instant};

/// How long nothing may come. Far above the way of a message through a cluster of brokers; to wait costs nothing, as
/// nobody waits for a session that leaves.
pub const QUIET: Duration = Duration::from_secs(3);

/// What the clock demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before this moment, unless something happens.
    Later(Instant),
    /// Nothing before something happens.
    Nothing,
    /// Send PINGREQ.
    Ping,
    /// There is nothing more to come.
    Over,
}

/// Watches one connection from its UNSUBACK on.
#[derive(Debug, Default)]
pub struct Quiet {
    /// Since when nothing is held and nothing has come, and how many answers to PINGREQ were missing then.
    since: Option<(Instant, usize)>,
}

impl Quiet {
    /// A message has come, one is held, or none is read: what was seen so far proves nothing.
    pub fn disturbed(&mut self) {
        self.since = None;
    }

    /// PINGRESP has come.
    pub fn answered(&mut self) {
        if let Some((_, missing)) = &mut self.since {
            *missing = missing.saturating_sub(1);
        }
    }

    /// What to do now that nothing is held. `unanswered` counts the PINGREQs on their way, without the one asked for.
    pub fn due(&mut self, unanswered: usize, now: Instant) -> Due {
        let Some((since, missing)) = self.since else {
            self.since = Some((now, unanswered + 1));
            return Due::Ping;
        };
        if missing > 0 {
            Due::Nothing
        } else if now.saturating_duration_since(since) < QUIET {
            Due::Later(since + QUIET)
        } else {
            Due::Over
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_is_when_the_fence_is_answered_and_the_time_has_passed() {
        let (start, mut quiet) = (Instant::now(), Quiet::default());
        assert_eq!(quiet.due(0, start), Due::Ping);
        assert_eq!(quiet.due(1, start + QUIET * 2), Due::Nothing, "the fence has no answer");
        quiet.answered();
        assert_eq!(quiet.due(0, start + QUIET / 2), Due::Later(start + QUIET));
        assert_eq!(quiet.due(0, start + QUIET), Due::Over);
    }

    #[test]
    fn whatever_comes_begins_it_anew() {
        let (start, mut quiet) = (Instant::now(), Quiet::default());
        assert_eq!(quiet.due(0, start), Due::Ping);
        quiet.answered();
        quiet.disturbed();
        assert_eq!(quiet.due(0, start + QUIET), Due::Ping, "the time and the answer of before count no more");
        assert_eq!(quiet.due(1, start + QUIET * 3), Due::Nothing);
        quiet.answered();
        assert_eq!(quiet.due(0, start + QUIET * 3), Due::Over);
    }

    #[test]
    fn the_answer_to_an_earlier_ping_is_not_the_fence() {
        let (start, mut quiet) = (Instant::now(), Quiet::default());
        assert_eq!(quiet.due(1, start), Due::Ping);
        quiet.answered();
        assert_eq!(quiet.due(1, start + QUIET), Due::Nothing);
        quiet.answered();
        assert_eq!(quiet.due(0, start + QUIET), Due::Over);
    }
}
