//! Counts what a subscriber that invokes nothing has received, and reports it on standard error once nothing more
//! arrives. A message costs two additions, because the bridge is compared with this subscriber.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::quiet::{Quiet, Wait};
use super::stub::Seen;

/// Between two looks at the counters.
const BETWEEN: Duration = Duration::from_millis(100);
/// After the last message: a copy would still come.
const COPIES: Duration = Duration::from_millis(500);
/// Begins the line that says it.
pub(super) const RECEIVED: &str = "received ";

/// What has come, counted while it comes.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// Messages that the broker sent for the first time.
    different: AtomicU64,
    /// Those that it marked as sent again (MQTT 5, section 3.3.1.1).
    again: AtomicU64,
    /// From the first message to the last, in microseconds; 0 while some are missing.
    took: AtomicU64,
}

impl Count {
    /// One more, of so many since `begun`.
    pub(super) fn note(&self, again: bool, messages: u64, begun: Instant) {
        if again {
            self.again.fetch_add(1, Ordering::Relaxed);
        } else if self.different.fetch_add(1, Ordering::Relaxed) + 1 == messages {
            self.took.store(microseconds(begun.elapsed()), Ordering::Relaxed);
        }
    }

    /// Says once how many there were: after the last, or when nothing has come for so long that the rest is lost.
    /// Returns when it began.
    pub(super) fn tell_once_quiet(self: &Arc<Self>, messages: u64, patience: Duration) -> Instant {
        let (count, begun) = (Arc::clone(self), Instant::now());
        // A thread, so that the one that receives sets no timer for each message.
        std::thread::spawn(move || {
            let mut quiet = Quiet::new(messages, patience, begun);
            while quiet.looked(count.different.load(Ordering::Relaxed), Instant::now()) == Wait::More {
                std::thread::sleep(BETWEEN);
            }
            std::thread::sleep(COPIES);
            eprintln!("{}", count.line(quiet.grown() - begun));
        });
        begun
    }

    /// What has come, in as much time unless all were there earlier.
    fn line(&self, until: Duration) -> String {
        let [different, again, took] = [&self.different, &self.again, &self.took].map(|it| it.load(Ordering::Relaxed));
        let took = if took == 0 { microseconds(until) } else { took };
        format!("{RECEIVED}{different} messages, {again} again, in {took} us")
    }
}

/// What such a line says.
pub(super) fn parse(line: &str) -> Option<Seen> {
    let numbers: Vec<u64> = line.strip_prefix(RECEIVED)?.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [different, again, took] = numbers[..] else { return None };
    Some(Seen { messages: different + again, different, took, head: 1, ..Seen::default() })
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_hides_no_loss() {
        let count = Count::default();
        for again in [false, false, true] {
            count.note(again, 3, Instant::now());
        }
        let seen = parse(&count.line(Duration::from_millis(7))).unwrap();
        assert_eq!((seen.messages, seen.different, seen.took), (3, 2, 7_000));
    }

    #[test]
    fn the_time_is_that_of_the_last_message_and_not_of_the_wait_behind_it() {
        let count = Count::default();
        count.note(false, 1, Instant::now().checked_sub(Duration::from_secs(1)).unwrap());
        let seen = parse(&count.line(Duration::from_mins(1))).unwrap();
        assert!(seen.different == 1 && (1_000_000..60_000_000).contains(&seen.took), "{seen:?}");
    }

    #[test]
    fn other_lines_say_nothing() {
        assert_eq!(parse("received nothing"), None);
        assert_eq!(parse("subscribed"), None);
    }
}
