//! The result of many worlds, in one line.

use std::time::Duration;

use crate::sim::campaign::Tally;

/// How far it is, in a line of its own.
pub(super) fn progress(tally: &Tally, seeds: u64) -> String {
    let Tally { worlds, took, .. } = tally;
    let seconds = took.as_secs_f64() / float(*worlds).max(1.0) * float(seeds.saturating_sub(*worlds));
    let left = Duration::from_secs(Duration::from_secs_f64(seconds).as_secs());
    format!("{worlds}/{seeds} seeds, {}; {left:?} left", so_far(tally))
}

/// How it goes.
pub(super) fn so_far(tally: &Tally) -> String {
    let Tally { worlds, lasted, took, broken, .. } = tally;
    let (seconds, hours) = (took.as_secs_f64().max(0.001), lasted.as_secs_f64() / 3600.0);
    format!(
        "{} failed; {:.1} seeds and {:.2} hours of their time a second",
        broken.len(),
        float(*worlds) / seconds,
        hours / seconds
    )
}

/// What it came to.
pub(super) fn of(tally: &Tally) -> String {
    let Tally { worlds, messages, faults, invocations, lasted, took, broken, .. } = tally;
    let (seconds, hours) = (took.as_secs_f64().max(0.001), lasted.as_secs_f64() / 3600.0);
    format!(
        "{worlds} seeds in {:?}, {} failed: {messages} messages, {faults} faults, {invocations} invocations, {hours:.1} hours \
         of their time; {:.1} seeds, {:.0} messages, {:.1} faults and {:.2} hours a second",
        round(*took),
        broken.len(),
        float(*worlds) / seconds,
        float(*messages) / seconds,
        float(*faults) / seconds,
        hours / seconds,
    )
}

pub(super) fn round(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
fn float(number: u64) -> f64 {
    number as f64
}
