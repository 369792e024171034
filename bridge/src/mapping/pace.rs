//! `rate_limit`: returns the instants at which messages may go to the function, evenly spread. Pure but for the clock
//! of its caller.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant, sleep_until};

use crate::config::Rate;

/// A mapping's pace. All its lanes share it.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        Self { interval: rate.interval(), next: Mutex::new(Instant::now()) }
    }

    /// Waits until so many messages may go.
    pub(super) async fn wait(&self, messages: usize) {
        let moment = self.reserve(messages, Instant::now());
        sleep_until(moment).await;
    }

    /// Unused time is not saved up, so there is no burst after a pause.
    fn reserve(&self, messages: usize, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = (*next).max(now);
        *next = moment + self.interval * u32::try_from(messages).unwrap_or(u32::MAX);
        moment
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn spreads_messages_evenly_and_saves_nothing_up() {
        let rate = Rate { messages: NonZeroU32::new(10).unwrap(), per: Duration::from_secs(1) };
        let pace = Pace::new(rate);
        let start = Instant::now() + Duration::from_secs(1);
        let at = |moment: Instant| (moment - start).as_millis();
        assert_eq!(at(pace.reserve(1, start)), 0);
        assert_eq!(at(pace.reserve(5, start)), 100);
        assert_eq!(at(pace.reserve(1, start)), 600);
        let later = start + Duration::from_mins(1);
        assert_eq!(at(pace.reserve(1, later)), 60_000);
        assert_eq!(at(pace.reserve(1, later)), 60_100);
    }
}
