//! Checks events when they happen: invocations and their order, messages that are given up, and above all
//! acknowledgements.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Fate, MAX_ATTEMPTS, Record};

/// The bridge's own default: `mapping.retry.max_age`.
const MAX_AGE: Duration = Duration::from_mins(10);

impl Record {
    /// A function is given these, in this order.
    pub(in crate::sim) fn invoked(&self, numbers: &[u64]) {
        let mut inner = self.inner();
        let now = inner.begun.elapsed();
        for number in numbers {
            if let Some(fate) = inner.fates.get_mut(number) {
                fate.invoked += 1;
            }
        }
        let unfit = numbers.iter().find(|number| inner.fates.get(number).is_some_and(|fate| fate.unfit)).copied();
        let (overtaken, behind) = if inner.ordered {
            (overtaken(&inner.fates, numbers, now), left_behind(&inner.fates, numbers, now))
        } else {
            (None, None)
        };
        drop(inner);
        if let Some(number) = unfit {
            self.violated("unfit", format!("{number} is invoked for, with a topic that is not UTF-8"));
        }
        if let Some((number, after)) = behind {
            let what = format!("{number} is invoked for when {after}, which is behind it in its key, was taken");
            self.violated("order", what);
        }
        if let Some((number, before)) = overtaken {
            self.violated("order", format!("{number} is invoked for before {before}, which has the same key"));
        }
    }

    /// Somebody asks Lambda to invoke a function for these.
    pub(in crate::sim) fn asked(&self, numbers: &[u64]) {
        let early = {
            let mut inner = self.inner();
            let (passed, words) = (inner.passed, inner.words);
            for number in numbers {
                // What the function took behind one that it failed comes along again, by itself once their event is
                // divided.
                inner.fates.entry(*number).and_modify(|fate| {
                    fate.passed = false;
                    fate.blame.asked(passed, words);
                });
            }
            let now = inner.begun.elapsed();
            let is_early = |number: &&u64| inner.fates.get(number).and_then(|fate| fate.not_before) > Some(now);
            numbers.iter().find(is_early).copied()
        };
        if let Some(number) = early {
            self.violated("too soon", format!("{number} is asked for again before the time that Retry-After gives"));
        }
    }

    /// The bridge hears of an invocation that the function has run for.
    pub(in crate::sim) fn let_pass(&self) {
        self.inner().passed += 1;
    }

    /// Those that wait though it can be proven that they alone are refused.
    pub(in crate::sim) fn held(&self) -> Vec<u64> {
        let waiting = self.waiting();
        let inner = self.inner();
        let is_provable =
            |number: &u64| inner.fates.get(number).is_some_and(|fate| fate.blame.is_provable(inner.passed));
        waiting.into_iter().filter(is_provable).collect()
    }

    /// The bridge hears that Lambda takes invocations.
    pub(in crate::sim) fn takes_invocations(&self) {
        self.inner().words += 1;
    }

    /// The bridge hears a refusal of these that explains nothing.
    pub(in crate::sim) fn refused_without_reason(&self, numbers: &[u64]) {
        let mut inner = self.inner();
        let (passed, words) = (inner.passed, inner.words);
        for number in numbers {
            if let Some(fate) = inner.fates.get_mut(number) {
                fate.blame.refused(passed, words);
            }
        }
    }

    /// The bridge hears that a dead letter is safe: of a message, or of one whose `answer` was refused.
    pub(in crate::sim) fn dead_lettered(&self, number: u64, for_answer: bool) {
        let early = {
            let mut inner = self.inner();
            let now = inner.begun.elapsed();
            let blamed = for_answer && inner.may_give_up_answer_of(number);
            // It was sent again because its answer was not confirmed, so it does not count as delivered.
            let unanswered = inner.unsettled_answer_of(number);
            let Some(fate) = inner.fates.get_mut(&number) else { return };
            fate.settle(now);
            fate.dead_lettered = true;
            let (attempts, age) = (fate.invoked, now.saturating_sub(fate.published));
            let spent = attempts >= MAX_ATTEMPTS.into() || age >= MAX_AGE || fate.hopeless || fate.blame.is_proven;
            // The function took one of two copies that the bridge could not match; the other became too old, or was refused.
            let is_old_copy = fate.copied && (age >= MAX_AGE || fate.blame.is_proven);
            let taken = fate.taken && !fate.taken_late && !is_old_copy && !unanswered;
            let early = !blamed && (taken || !spent);
            early.then(|| format!("{number} after {attempts} attempts, {age:?} old, taken: {}", fate.taken))
        };
        if let Some(early) = early {
            self.violated("given up early", early);
        }
    }

    /// The bridge unsubscribes, and the broker has this in flight: nobody would have it if the bridge were killed now.
    pub(in crate::sim) fn left_in_flight(&self, number: u64) {
        let waits = {
            let inner = self.inner();
            let now = inner.begun.elapsed();
            inner.fates.get(&number).is_some_and(|fate| fate.waits(now))
        };
        if waits {
            self.violated("left", format!("{number} is in flight at UNSUBSCRIBE"));
        }
    }

    /// The broker has read an acknowledgement.
    pub(in crate::sim) fn acknowledged(&self, number: u64) {
        let early = {
            let mut inner = self.inner();
            let now = inner.begun.elapsed();
            let unsettled = inner.unsettled_answer_of(number);
            let Some(fate) = inner.fates.get_mut(&number) else { return };
            fate.acknowledged.get_or_insert(now);
            if fate.outcomes == 0 && !fate.is_expired(now) && !fate.halved {
                Some("has no outcome")
            } else if !fate.dead_lettered && unsettled && !fate.is_expired(now) {
                Some("has an answer that nobody has")
            } else {
                None
            }
        };
        if let Some(early) = early {
            self.violated("acknowledged early", format!("{number} {early}"));
        }
    }
}

/// A message of these that comes before an earlier one of its key, which has no outcome and does not stand before it
/// here.
fn overtaken(fates: &BTreeMap<u64, Fate>, numbers: &[u64], now: Duration) -> Option<(u64, u64)> {
    numbers.iter().enumerate().find_map(|(at, number)| {
        let key = fates.get(number)?.key;
        let waits = |fate: &Fate| fate.key == key && !fate.late && fate.waits(now);
        let mut before = fates.range(..*number).filter(|(_, fate)| waits(fate)).map(|(before, _)| *before);
        Some((*number, before.find(|before| !numbers[..at].contains(before))?))
    })
}

/// A message of these that has no outcome, though a later one of its key was taken and does not stand behind it here.
fn left_behind(fates: &BTreeMap<u64, Fate>, numbers: &[u64], now: Duration) -> Option<(u64, u64)> {
    numbers.iter().enumerate().find_map(|(at, number)| {
        // A copy that the bridge cannot recognise may be in the same event; only the first of them is at its place.
        let is_copy = numbers[..at].contains(number);
        let fate = fates.get(number).filter(|fate| !is_copy && !fate.late && fate.waits(now))?;
        let passed = |later: &Fate| later.key == fate.key && later.passed && !later.is_expired(now);
        let mut after = fates.range(number + 1..).filter(|(_, later)| passed(later)).map(|(after, _)| *after);
        Some((*number, after.find(|after| !numbers[at..].contains(after))?))
    })
}
