//! Checks a world after its last event: every message that was owed has an outcome, nothing was invoked without need,
//! and the bridge's own metrics agree. The record checks what can be checked at once.

use tokio::time::Instant;

use super::process::Numbers;
use super::record::Record;

/// Nothing that is owed may be missing.
pub(super) fn nothing_lost(record: &Record) {
    let waiting = record.waiting();
    if !waiting.is_empty() {
        record.violated("lost", format!("{} without an outcome: {waiting:?}", waiting.len()));
    }
}

/// Invocations beyond one a message need a reason: a fault after which that very message may come again.
pub(super) fn no_needless_invocations(record: &Record) {
    for (number, fate) in record.fates() {
        let extra = fate.invoked.saturating_sub(1);
        if extra > fate.allowed {
            let what = format!("{number} has {extra} invocations beyond the first; {} are explained", fate.allowed);
            return record.violated("invoked again", what);
        }
    }
}

/// A bridge at rest holds nothing.
pub(super) fn at_rest(record: &Record, busy: Option<Numbers>) {
    if let Some(numbers) = busy {
        record.violated("metrics", format!("{numbers:?} with nothing to do"));
    }
}

/// No connection outlives the TLS files that it was made with.
pub(super) fn rotated(record: &Record, last: Option<Instant>, oldest: Option<Instant>) {
    if last.zip(oldest).is_some_and(|(last, oldest)| oldest < last) {
        record.violated("rotation", "a connection is older than the TLS files");
    }
}
