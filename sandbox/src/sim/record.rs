//! What has happened in a simulated world: every event with its virtual time, and what became of each message. Judges what
//! can be judged at once, an acknowledgement above all; the rest is the oracle's.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The bridge's own defaults: `mapping.retry.max_attempts` and `max_age`.
const MAX_ATTEMPTS: u32 = 5;
const MAX_AGE: Duration = Duration::from_mins(10);

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Since the world began.
    pub at: Duration,
    /// Who did it.
    pub who: &'static str,
    /// What.
    pub what: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>11.6} {:<9} {}", self.at.as_secs_f64(), self.who, self.what)
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name, such as `lost`.
    pub promise: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// What became of a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate {
    /// What it is ordered by.
    pub(super) key: u64,
    /// A session of the broker has taken it, so it is owed to the bridge.
    pub(super) owed: bool,
    /// The broker has dropped it by itself, and why.
    pub(super) excused: Option<&'static str>,
    /// When it was published.
    pub(super) published: Duration,
    /// How often a function was given it.
    pub(super) invoked: u32,
    /// Whether the function has taken it, as far as the bridge has heard last.
    pub(super) taken: bool,
    /// How often the bridge heard of a success, or of a dead letter that is safe.
    pub(super) outcomes: u32,
    /// How often it was acknowledged to the broker.
    pub(super) acknowledged: u32,
}

#[derive(Debug)]
struct Inner {
    begun: Instant,
    lines: Vec<Line>,
    fates: BTreeMap<u64, Fate>,
    violations: Vec<Violation>,
    /// Invocations that a fault allows beyond one a message.
    allowed_extra: u64,
    faults: u64,
    restarts: u64,
    /// Whether the outcomes of a key must come in order.
    ordered: bool,
}

/// Shared by all parts of a world.
#[derive(Debug, Clone)]
pub(super) struct Record(Arc<Mutex<Inner>>);

impl Record {
    pub(super) fn new(ordered: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            begun: Instant::now(),
            lines: Vec::new(),
            fates: BTreeMap::new(),
            violations: Vec::new(),
            allowed_extra: 0,
            faults: 0,
            restarts: 0,
            ordered,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn say(&self, who: &'static str, what: impl Into<String>) {
        let mut inner = self.inner();
        let at = inner.begun.elapsed();
        inner.lines.push(Line { at, who, what: what.into() });
    }

    pub(super) fn violated(&self, promise: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.say("ORACLE", format!("{promise}: {what}"));
        self.inner().violations.push(Violation { promise, what });
    }

    pub(super) fn fault(&self, what: impl Into<String>) {
        self.say("fault", what);
        self.inner().faults += 1;
    }

    /// A process of the bridge knows nothing of what ran before.
    pub(super) fn forgotten(&self) {
        self.inner().restarts += 1;
    }

    /// How often that has happened.
    pub(super) fn restarts(&self) -> u64 {
        self.inner().restarts
    }

    /// The broker sends these again. What was acknowledged and not read may be invoked again; what still runs may not where the
    /// bridge can `recognise` it.
    pub(super) fn sent_again(&self, numbers: &[u64], recognise: bool) {
        let mut inner = self.inner();
        let is_done = |number: &&u64| inner.fates.get(number).is_some_and(|fate| fate.outcomes > 0);
        let done = numbers.iter().filter(is_done).count();
        inner.allowed_extra += if recognise { done } else { numbers.len() } as u64;
    }

    /// So many invocations more are no surprise.
    pub(super) fn allow(&self, extra: u64) {
        self.inner().allowed_extra += extra;
    }

    pub(super) fn published(&self, number: u64, key: u64, owed: bool) {
        let mut inner = self.inner();
        let published = inner.begun.elapsed();
        inner.fates.insert(number, Fate { key, owed, published, ..Fate::default() });
    }

    /// The broker has dropped it, and that is nobody's right.
    pub(super) fn dropped(&self, number: u64, why: &'static str) {
        self.say("broker", format!("drops {number}: {why}"));
    }

    /// The broker has dropped it by itself.
    pub(super) fn excuse(&self, number: u64, why: &'static str) {
        self.say("broker", format!("drops {number}: {why}"));
        if let Some(fate) = self.inner().fates.get_mut(&number) {
            fate.excused.get_or_insert(why);
        }
    }

    /// A function is given these, in this order.
    pub(super) fn invoked(&self, numbers: &[u64]) {
        let mut inner = self.inner();
        for number in numbers {
            if let Some(fate) = inner.fates.get_mut(number) {
                fate.invoked += 1;
            }
        }
        let overtaken = if inner.ordered { overtaken(&inner.fates, numbers) } else { None };
        drop(inner);
        if let Some((number, before)) = overtaken {
            self.violated("order", format!("{number} is invoked for before {before}, which has the same key"));
        }
    }

    /// The bridge hears that the function has failed with it.
    pub(super) fn failed(&self, number: u64) {
        if let Some(fate) = self.inner().fates.get_mut(&number) {
            fate.taken = false;
        }
    }

    /// The bridge hears that a message has succeeded.
    pub(super) fn succeeded(&self, number: u64) {
        if let Some(fate) = self.inner().fates.get_mut(&number) {
            fate.outcomes += 1;
            fate.taken = true;
        }
    }

    /// The bridge hears that a dead letter is safe.
    pub(super) fn dead_lettered(&self, number: u64) {
        let early = {
            let mut inner = self.inner();
            let now = inner.begun.elapsed();
            let Some(fate) = inner.fates.get_mut(&number) else { return };
            fate.outcomes += 1;
            let (attempts, age) = (fate.invoked, now.saturating_sub(fate.published));
            let early = fate.taken || attempts < MAX_ATTEMPTS && age < MAX_AGE;
            early.then(|| format!("{number} after {attempts} attempts, {age:?} old, taken: {}", fate.taken))
        };
        if let Some(early) = early {
            self.violated("given up early", early);
        }
    }

    /// The broker has read an acknowledgement.
    pub(super) fn acknowledged(&self, number: u64) {
        let early = {
            let mut inner = self.inner();
            let Some(fate) = inner.fates.get_mut(&number) else { return };
            fate.acknowledged += 1;
            fate.outcomes == 0
        };
        if early {
            self.violated("acknowledged early", format!("{number} has no outcome"));
        }
    }

    /// What is owed and has no outcome.
    pub(super) fn waiting(&self) -> Vec<u64> {
        let inner = self.inner();
        let waits = |fate: &Fate| fate.owed && fate.excused.is_none() && fate.outcomes == 0;
        inner.fates.iter().filter(|(_, fate)| waits(fate)).map(|(number, _)| *number).collect()
    }

    pub(super) fn fates(&self) -> BTreeMap<u64, Fate> {
        self.inner().fates.clone()
    }

    pub(super) fn allowed_extra(&self) -> u64 {
        self.inner().allowed_extra
    }

    pub(super) fn faults(&self) -> u64 {
        self.inner().faults
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.inner().begun.elapsed()
    }

    pub(super) fn take(&self) -> (Vec<Line>, Vec<Violation>) {
        let mut inner = self.inner();
        (std::mem::take(&mut inner.lines), std::mem::take(&mut inner.violations))
    }
}

/// A message of these that comes before an earlier one of its key, which has no outcome and does not stand before it here.
fn overtaken(fates: &BTreeMap<u64, Fate>, numbers: &[u64]) -> Option<(u64, u64)> {
    numbers.iter().enumerate().find_map(|(at, number)| {
        let key = fates.get(number)?.key;
        let waits = |fate: &Fate| fate.key == key && fate.owed && fate.outcomes == 0 && fate.excused.is_none();
        let mut before = fates.range(..*number).filter(|(_, fate)| waits(fate)).map(|(before, _)| *before);
        Some((*number, before.find(|before| !numbers[..at].contains(before))?))
    })
}
