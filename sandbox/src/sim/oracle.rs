//! Judges a world when it has come to rest: what was owed has an outcome, nothing was invoked without need, and the
//! bridge's own numbers agree. What can be judged at once is judged by the record.

use super::process::Numbers;
use super::record::Record;

/// Nothing that is owed may be missing.
pub(super) fn nothing_lost(record: &Record) {
    let waiting = record.waiting();
    if !waiting.is_empty() {
        record.violated("lost", format!("{} without an outcome: {waiting:?}", waiting.len()));
    }
}

/// Invocations beyond one a message need a reason: a fault after which a message may come again.
pub(super) fn no_needless_invocations(record: &Record) {
    let extra: u64 = record.fates().values().map(|fate| u64::from(fate.invoked.saturating_sub(1))).sum();
    let allowed = record.allowed_extra();
    if extra > allowed {
        record.violated("invoked again", format!("{extra} invocations more than messages; {allowed} are explained"));
    }
}

/// A bridge at rest holds nothing.
pub(super) fn at_rest(record: &Record, busy: Option<Numbers>) {
    if let Some(numbers) = busy {
        record.violated("metrics", format!("{numbers:?} with nothing to do"));
    }
}
