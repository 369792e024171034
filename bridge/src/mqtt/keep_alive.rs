//! When to ping and when the broker counts as dead (MQTT 5, 3.1.2.10). Pure: the time is an argument.

use std::time::{Duration, Instant};

/// What the clock demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// Send PINGREQ.
    Ping,
    /// Close the connection: the broker has been silent for too long.
    Dead,
}

/// Watches one connection. Asked every [`KeepAlive::period`], it finds a dead broker within one and a half intervals.
#[derive(Debug)]
pub struct KeepAlive {
    interval: Duration,
    last_sent: Instant,
    last_received: Instant,
    pinged: bool,
}

impl KeepAlive {
    /// A connection made just now. `interval` is the Keep Alive in force: ours, or the broker's own if it named one.
    #[must_use]
    pub fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, last_sent: now, last_received: now, pinged: false }
    }

    /// How often [`KeepAlive::due`] must be asked.
    #[must_use]
    pub fn period(&self) -> Duration {
        (self.interval / 4).max(Duration::from_millis(50))
    }

    /// Something was written.
    pub fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Something was read, or reading was held up on purpose.
    pub fn received(&mut self, now: Instant) {
        self.last_received = now;
        self.pinged = false;
    }

    /// What to do now. A Keep Alive of zero switches pings off (MQTT 5, 3.1.2-22).
    pub fn due(&mut self, now: Instant) -> Due {
        if self.interval.is_zero() {
            return Due::Nothing;
        }
        let silence = now.saturating_duration_since(self.last_received);
        if silence >= self.interval * 5 / 4 && self.pinged {
            return Due::Dead;
        }
        let idle = silence.max(now.saturating_duration_since(self.last_sent));
        let unasked = !self.pinged || now.saturating_duration_since(self.last_sent) >= self.interval / 2;
        if idle >= self.interval / 2 && unasked {
            self.pinged = true;
            return Due::Ping;
        }
        Due::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(20);

    /// Asks every period for `seconds`, with a broker that answers pings or not; returns the second of death.
    fn run(answers: bool, seconds: u64) -> (usize, Option<u64>) {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(INTERVAL, start);
        let mut pings = 0;
        for step in (0..seconds).step_by(5) {
            let now = start + Duration::from_secs(step);
            match keep_alive.due(now) {
                Due::Nothing => {}
                Due::Ping => {
                    pings += 1;
                    keep_alive.sent(now);
                    if answers {
                        keep_alive.received(now);
                    }
                }
                Due::Dead => return (pings, Some(step)),
            }
        }
        (pings, None)
    }

    #[test]
    fn an_idle_connection_is_pinged_in_time_and_lives() {
        let (pings, death) = run(true, 200);
        assert!((10..=20).contains(&pings), "{pings}");
        assert_eq!(death, None);
    }

    #[test]
    fn a_silent_broker_is_dead_within_one_and_a_half_intervals() {
        let (_, death) = run(false, 200);
        assert!(death.is_some_and(|second| second <= 30), "{death:?}");
    }

    #[test]
    fn writing_alone_does_not_keep_the_broker_alive() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(INTERVAL, start);
        let mut dead = false;
        for step in (0..40).step_by(5) {
            let now = start + Duration::from_secs(step);
            keep_alive.sent(now);
            dead |= keep_alive.due(now) == Due::Dead;
        }
        assert!(dead);
    }

    #[test]
    fn zero_switches_it_off() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(Duration::ZERO, start);
        assert_eq!(keep_alive.due(start + Duration::from_secs(1_000_000)), Due::Nothing);
    }
}
