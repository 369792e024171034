//! When to ping and when the broker counts as dead (MQTT 5, 3.1.2.10). Pure: the time is an argument.
//!
//! A broker is alive while whole packets come, or at least [`MIN_RATE`] of one that is not whole yet: on a slow line a
//! large packet takes longer than any keep-alive, and the answer to PINGREQ waits behind it. A byte now and then is no
//! life.

use std::time::{Duration, Instant};

/// The least that an unfinished packet must bring, in bytes a second since the last sign of life.
pub const MIN_RATE: u64 = 1024;

/// The action that is due.
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
    /// The last sign of life.
    last_received: Instant,
    /// Bytes of an unfinished packet since then.
    unfinished: u64,
    pinged: bool,
}

impl KeepAlive {
    /// A connection made just now, on which we asked for `ours`. The broker's own Keep Alive, if it named one, is
    /// obeyed where it is shorter (MQTT 5, 3.2.2.3.14); that it does not watch us, or would wait longer, is no reason
    /// for us not to watch it.
    #[must_use]
    pub fn new(ours: Duration, theirs: Option<Duration>, now: Instant) -> Self {
        let interval = theirs.filter(|theirs| !theirs.is_zero()).map_or(ours, |theirs| theirs.min(ours));
        Self { interval, last_sent: now, last_received: now, unfinished: 0, pinged: false }
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

    /// Bytes have come.
    pub fn received(&mut self, bytes: usize, now: Instant) {
        self.unfinished += bytes as u64;
        let silence = now.saturating_duration_since(self.last_received);
        if u128::from(self.unfinished) * 1000 >= u128::from(MIN_RATE) * silence.as_millis() {
            self.alive(now);
        }
    }

    /// A packet is whole, or reading was held up on purpose.
    pub fn alive(&mut self, now: Instant) {
        self.last_received = now;
        self.unfinished = 0;
        self.pinged = false;
    }

    /// What to do now.
    pub fn due(&mut self, now: Instant) -> Due {
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
        let mut keep_alive = KeepAlive::new(INTERVAL, None, start);
        let mut pings = 0;
        for step in (0..seconds).step_by(5) {
            let now = start + Duration::from_secs(step);
            match keep_alive.due(now) {
                Due::Nothing => {}
                Due::Ping => {
                    pings += 1;
                    keep_alive.sent(now);
                    if answers {
                        keep_alive.alive(now);
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
        let (pings, death) = run(false, 200);
        assert!(death.is_some_and(|second| second <= 30), "{death:?}");
        assert_eq!(pings, 2, "until then it hears from us in time");
    }

    #[test]
    fn writing_alone_does_not_keep_the_broker_alive() {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(INTERVAL, None, start);
        let mut dead = false;
        for step in (0..40).step_by(5) {
            let now = start + Duration::from_secs(step);
            keep_alive.sent(now);
            dead |= keep_alive.due(now) == Due::Dead;
        }
        assert!(dead);
    }

    #[test]
    fn f32_the_shorter_keep_alive_that_is_not_zero_rules() {
        let seconds = Duration::from_secs;
        for (theirs, interval) in [(None, 20), (Some(0), 20), (Some(65_535), 20), (Some(5), 5)] {
            let keep_alive = KeepAlive::new(INTERVAL, theirs.map(seconds), Instant::now());
            assert_eq!(keep_alive.period(), seconds(interval) / 4, "{theirs:?}");
        }
    }

    /// Asks every period for three intervals, while an unfinished packet brings so many bytes a second; whether it
    /// lives.
    fn survives(bytes: usize) -> bool {
        let start = Instant::now();
        let mut keep_alive = KeepAlive::new(INTERVAL, None, start);
        (1..60).all(|second| {
            let now = start + Duration::from_secs(second);
            keep_alive.received(bytes, now);
            second % 5 != 0 || keep_alive.due(now) != Due::Dead
        })
    }

    #[test]
    fn f32_a_large_packet_on_a_slow_line_is_life_and_a_byte_now_and_then_is_none() {
        assert!(survives(1024));
        assert!(!survives(1));
        assert!(!survives(1000));
    }
}
