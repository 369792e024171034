//! Whether another process uses our client id. Pure: the time is an argument.
//!
//! Two clients of one id take the session from each other at every connect, for ever. A broker should say so with
//! reason 0x8E, but MQTT 3.1.1 has no word for it, and Mosquitto 2.0.11 closes without one under MQTT 5 too. What is
//! left is the pattern: connections that were made, and that the other end closed soon after, again and again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::end::End;

/// From this number of such ends within one window, a takeover is assumed.
const SUSPICIOUS: usize = 5;

/// The window, in times of the longest wait between attempts to connect: two minutes, with the default of 30 s.
const WAITS: u32 = 4;

/// Watches the connections of one client id.
#[derive(Debug)]
pub struct TakeoverGuard {
    window: Duration,
    ended: VecDeque<Instant>,
    suspected: bool,
}

impl TakeoverGuard {
    /// `longest_wait` is the one between attempts to connect. While a takeover is suspected, each attempt waits that
    /// long, so that there are at most ten connections in a window: five up to the suspicion, and one after each wait.
    #[must_use]
    pub fn new(longest_wait: Duration) -> Self {
        Self { window: longest_wait * WAITS, ended: VecDeque::new(), suspected: false }
    }

    /// The end of a connection, or of the attempt to make one, which has not `lived`; made lasting, and told what it
    /// means, while a takeover is suspected.
    pub fn judge(&mut self, end: End, lived: Option<Duration>, client_id: &str, now: Instant) -> End {
        match (end, lived) {
            (End::Lost { why, closed, close, .. }, Some(lived)) if self.suspected(lived, closed, now) => {
                let hint =
                    format!("again and again, soon after connecting; is another process running as `{client_id}`?");
                End::Lost { why: format!("{why}, {hint}"), lasting: true, closed, taken_over: true, close }
            }
            (end, _) => end,
        }
    }

    /// A connection has ended after it had `lived`, counted from its CONNACK. `closed` says that the other end closed
    /// it and gave no fault as the reason. True while a takeover is suspected.
    ///
    /// A suspicion stays until a connection has outlived the window: with the long wait, rivals take turns that are
    /// longer than what aroused it.
    fn suspected(&mut self, lived: Duration, closed: bool, now: Instant) -> bool {
        if lived >= self.window {
            self.ended.clear();
            self.suspected = false;
        }
        if closed && lived < self.window {
            self.ended.push_back(now);
            let stale = |first: &Instant| now.saturating_duration_since(*first) > self.window;
            while self.ended.len() > SUSPICIOUS || self.ended.front().is_some_and(stale) {
                self.ended.pop_front();
            }
            self.suspected |= self.ended.len() == SUSPICIOUS;
        }
        self.suspected && closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Backoff;
    use crate::config::Range;

    const LONGEST: Duration = Duration::from_secs(30);
    const WINDOW: Duration = Duration::from_mins(2);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn five_short_lives_in_a_window_are_suspicious_and_four_are_not() {
        let (start, mut takeover) = (Instant::now(), TakeoverGuard::new(LONGEST));
        let verdicts: Vec<_> = (1..=6).map(|n| takeover.suspected(SECOND, true, start + SECOND * n)).collect();
        assert_eq!(verdicts, [false, false, false, false, true, true]);
        let mut slow = TakeoverGuard::new(LONGEST);
        assert!((1..=100).all(|n| !slow.suspected(SECOND, true, start + WINDOW / 4 * n + SECOND * n)));
    }

    #[test]
    fn what_we_ended_ourselves_or_what_had_a_fault_is_nobodys_doing() {
        let (start, mut takeover) = (Instant::now(), TakeoverGuard::new(LONGEST));
        assert!((1..=100).all(|n| !takeover.suspected(SECOND, false, start + SECOND * n)));
    }

    #[test]
    fn a_suspicion_ends_with_a_connection_that_outlives_the_window() {
        let (start, mut takeover) = (Instant::now(), TakeoverGuard::new(LONGEST));
        assert_eq!((1..=5).filter(|n| takeover.suspected(SECOND, true, start + SECOND * *n)).count(), 1);
        assert!(
            takeover.suspected(LONGEST, true, start + WINDOW * 2),
            "rivals that take turns live as long as the wait"
        );
        assert!(!takeover.suspected(WINDOW, true, start + WINDOW * 4));
        assert!(!takeover.suspected(SECOND, true, start + WINDOW * 4 + SECOND));
    }

    /// Two sessions that take each other over, each waiting as a session does; how often each connected by then.
    fn fight(range: Range, random: impl Fn(u64) -> f64, until: Duration) -> [u64; 2] {
        let start = Instant::now();
        let (mut rivals, mut backoffs) =
            ([0, 1].map(|_| TakeoverGuard::new(range.max)), [0, 1].map(|_| Backoff::new(range)));
        let (mut due, mut connects, mut turn) = ([start, start + SECOND / 10], [0, 0], 0);
        let mut holder: Option<(usize, Instant)> = None;
        loop {
            let next = usize::from(due[1] < due[0]);
            let now = due[next];
            if now.saturating_duration_since(start) > until {
                return connects;
            }
            turn += 1;
            connects[next] += 1;
            if let Some((other, since)) = holder.replace((next, now)) {
                let lived = now - since;
                let suspected = rivals[other].suspected(lived, true, now);
                if lived >= Duration::from_secs(10) {
                    backoffs[other].reset();
                }
                due[other] = now + if suspected { range.max } else { backoffs[other].next(random(turn)) };
            }
            // A connected client makes no attempts.
            due[next] = start + until * 2;
        }
    }

    #[test]
    fn two_sessions_of_one_id_connect_at_most_ten_times_in_two_minutes_each() {
        let range = Range { min: SECOND / 2, max: LONGEST };
        for random in [|_| 0.0, |_| 1.0, |_| 0.5, |turn| if turn % 2 == 0 { 0.0 } else { 1.0 }] {
            let connects = fight(range, random, WINDOW);
            assert!(connects.iter().all(|connects| *connects <= 10), "{connects:?}");
            let longer = fight(range, random, WINDOW * 10);
            assert!(longer.iter().all(|connects| *connects <= 50), "{longer:?} in twenty minutes");
        }
    }
}
