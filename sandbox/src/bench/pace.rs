//! Estimates how long cases and the whole benchmark take. Pure.

use std::time::Duration;

use super::case::{Case, Contender, Incident, Load};

/// A world with its processes, begun and ended, and the quiet behind the last message, in seconds.
const AROUND: f64 = 2.0;
/// What publishers get confirmed a second.
const PUBLISHED: f64 = 50_000.0;

/// What an optimised build takes on two cores, in seconds; it need only be right beside other cases.
#[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(super) fn seconds(case: &Case) -> f64 {
    let messages = case.messages as f64;
    let large = 1.0 + case.payload as f64 / 8_192.0;
    let carried = messages / carried(case);
    let published = large * messages / PUBLISHED;
    let flow = match (case.contender, case.load) {
        (Contender::SdkLoop, _) => carried,
        (_, Load::Queued) => published + carried * large,
        (_, Load::Rate(rate)) => messages / rate,
        (_, Load::Flood) => (published + carried * large).max(published),
    };
    AROUND + flow + if case.incident == Incident::None { 0.0 } else { 3.0 }
}

/// Messages a second, as far as the contender goes.
fn carried(case: &Case) -> f64 {
    let at_most = f64::from(case.concurrency * case.batch) / (case.latency.as_secs_f64() + 0.001);
    let goes: f64 = match case.contender {
        Contender::Raw => 250_000.0,
        Contender::Lean if case.batch > 1 => 150_000.0,
        Contender::Lean => 30_000.0,
        Contender::Sdk | Contender::SdkLoop => 10_000.0,
        Contender::Node(_) => 1_000.0,
        Contender::Python(1) => 130.0,
        Contender::Python(_) => 700.0,
    };
    // A window is held without an answer.
    if case.incident == Incident::Hold { goes } else { goes.min(at_most) }
}

/// What is left when so much of all has taken so long.
pub(super) fn left(all: f64, done: f64, took: Duration) -> Duration {
    let slower = if done > 0.0 { took.as_secs_f64() / done } else { 1.0 };
    Duration::from_secs_f64(((all - done) * slower).max(0.0))
}

/// In words: minutes, and seconds below two of them.
pub(super) fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 120 => format!("{} s", seconds.max(1)),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{IDLE_RATE, ONE_BY_ONE, PER_MESSAGE, PER_MESSAGE_SDK, RAW};
    use super::*;

    #[test]
    fn a_slow_contender_takes_longer_and_a_rate_its_time() {
        assert!(seconds(&PER_MESSAGE_SDK) > seconds(&PER_MESSAGE));
        assert!(seconds(&ONE_BY_ONE) > 7.0 && seconds(&IDLE_RATE) > 10.0);
        assert!(seconds(&RAW.scaled(0.1)) < seconds(&RAW));
    }

    #[test]
    fn what_was_slow_stays_slow() {
        assert_eq!(left(30.0, 0.0, Duration::ZERO), Duration::from_secs(30));
        assert_eq!(left(30.0, 10.0, Duration::from_secs(20)), Duration::from_secs(40));
        assert_eq!(left(30.0, 30.0, Duration::from_secs(20)), Duration::ZERO);
    }

    #[test]
    fn nobody_counts_the_seconds_of_an_hour() {
        let words = [0, 59, 119, 150, 3_600].map(|seconds| about(Duration::from_secs(seconds)));
        assert_eq!(words, ["1 s", "59 s", "119 s", "3 min", "60 min"]);
    }
}
