//! The events of a simulated world with their virtual time, and the outcome of each message. `judge` checks what can be
//! checked at once, and the oracle the rest.

mod again;
mod answers;
mod blame;
mod clients;
mod fate;
mod judge;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub(super) use again::Again;
pub(super) use fate::{Answer, Failed, Fate};
use window::Window;

/// The name of the first broker, or of the only one.
pub(super) const FIRST: &str = "broker";
/// The bridge's own default: `mapping.retry.max_attempts`.
const MAX_ATTEMPTS: u32 = 5;

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

#[derive(Debug)]
struct Inner {
    begun: Instant,
    lines: Vec<Line>,
    fates: BTreeMap<u64, Fate>,
    answers: BTreeMap<u64, Answer>,
    violations: Vec<Violation>,
    faults: u64,
    /// When connections to the broker have broken, or may have.
    breaks: Vec<Duration>,
    /// How many of them no client was notified of.
    silent: u64,
    /// How many of these each client has noticed by now.
    noticed: BTreeMap<String, u64>,
    restarts: u64,
    /// At which of the brokers each client was last, and how often it has changed.
    places: BTreeMap<String, (&'static str, u64)>,
    /// Whether the outcomes of a key must come in order.
    ordered: bool,
    /// Whether there is a failure destination.
    has_destination: bool,
    /// What the bridge's processes hold, by client identifier.
    windows: BTreeMap<String, Window>,
    /// Whether one of them has held too much; that is said once.
    exceeded: bool,
    /// Invocations that functions have run for, as far as the bridge has heard.
    passed: u64,
    /// How often Lambda has said that it takes invocations.
    words: u64,
    /// Clients that have said that they could not prove their queue to be empty.
    said_unproven: BTreeSet<String>,
}

/// Shared by all parts of a world.
#[derive(Debug, Clone)]
pub(super) struct Record {
    inner: Arc<Mutex<Inner>>,
    /// Which of the brokers it is that has it.
    broker: &'static str,
}

impl Record {
    pub(super) fn new(ordered: bool, has_destination: bool) -> Self {
        let inner = Inner {
            begun: Instant::now(),
            lines: Vec::new(),
            fates: BTreeMap::new(),
            answers: BTreeMap::new(),
            violations: Vec::new(),
            faults: 0,
            breaks: Vec::new(),
            silent: 0,
            noticed: BTreeMap::new(),
            restarts: 0,
            places: BTreeMap::new(),
            ordered,
            has_destination,
            windows: BTreeMap::new(),
            exceeded: false,
            said_unproven: BTreeSet::new(),
            passed: 0,
            words: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), broker: FIRST }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn say(&self, who: &'static str, what: impl Into<String>) {
        let mut inner = self.inner();
        let at = inner.begun.elapsed();
        inner.lines.push(Line { at, who, what: what.into() });
        drop(inner);
        self.look_at_windows();
    }

    /// The same one, for the broker of that name.
    pub(super) fn of_broker(&self, broker: &'static str) -> Self {
        Self { broker, ..self.clone() }
    }

    /// What the broker does.
    pub(super) fn broker(&self, what: impl Into<String>) {
        self.say(self.broker, what);
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

    /// A connection to the broker breaks, or may have broken.
    pub(super) fn broke(&self) {
        self.inner().broke();
    }

    /// A connection has broken, and nobody is told.
    pub(super) fn broke_silently(&self) {
        self.broke();
        self.inner().silent += 1;
    }

    /// A process of the bridge knows nothing of what ran before.
    pub(super) fn forgotten(&self) {
        let mut inner = self.inner();
        inner.restarts += 1;
        inner.fates.values_mut().for_each(|fate| (fate.not_before, fate.passed) = (None, false));
    }

    /// A device has published this.
    pub(super) fn published(&self, number: u64, key: u64, owed: bool, expires_after: Option<Duration>) {
        let mut inner = self.inner();
        let published = inner.begun.elapsed();
        let expires = expires_after.map(|after| published + after);
        inner.fates.insert(number, Fate { key, owed, published, expires, ..Fate::default() });
    }

    /// No function may be given it, as its text is ill-formed.
    pub(super) fn unfit(&self, number: u64) {
        if let Some(fate) = self.inner().fates.get_mut(&number) {
            (fate.unfit, fate.hopeless) = (true, true);
        }
    }

    /// The broker has dropped it, and that is nobody's right.
    pub(super) fn dropped(&self, number: u64, why: &'static str) {
        self.broker(format!("drops {number}: {why}"));
        if let Some(fate) = self.inner().fates.get_mut(&number) {
            fate.dropped = true;
        }
    }

    /// The bridge has said that the broker may have dropped something, and so it may.
    pub(super) fn excuse_dropped(&self) {
        let mut inner = self.inner();
        let dropped = inner.fates.values_mut().filter(|fate| fate.dropped && fate.outcomes == 0);
        dropped.for_each(|fate| fate.excused = fate.excused.or(Some("the bridge has said so")));
    }

    /// Whether it was published at this moment or later.
    pub(super) fn published_since(&self, number: u64, moment: Instant) -> bool {
        let inner = self.inner();
        let since = moment.saturating_duration_since(inner.begun);
        inner.fates.get(&number).is_some_and(|fate| fate.published >= since)
    }

    /// The broker has dropped it by itself.
    pub(super) fn excuse(&self, number: u64, why: &'static str) {
        self.broker(format!("drops {number}: {why}"));
        if let Some(fate) = self.inner().fates.get_mut(&number) {
            fate.excused.get_or_insert(why);
        }
    }

    /// The bridge hears that it shall not ask for these again before this time is over.
    pub(super) fn put_off(&self, numbers: &[u64], wait: Duration) {
        let mut inner = self.inner();
        let until = inner.begun.elapsed() + wait;
        for number in numbers {
            if let Some(fate) = inner.fates.get_mut(number).filter(|fate| !fate.copied) {
                fate.not_before = Some(until);
            }
        }
    }

    /// The bridge hears that the function has failed with it.
    pub(super) fn failed(&self, number: u64, how: Failed) {
        if let Some(fate) = self.inner().fates.get_mut(&number) {
            (fate.taken, fate.passed) = (false, false);
            fate.hopeless |= how == Failed::ForGood;
            // An earlier success counts no more, nor does what came with it; unless it was another copy's.
            if how != Failed::WithItsEvent && !fate.copied {
                fate.answers.clear();
            }
        }
    }

    /// The broker has dropped one of its copies. The bridge cannot know that the other is no spare one.
    pub(super) fn halved(&self, number: u64) {
        if let Some(fate) = self.inner().fates.get_mut(&number) {
            fate.halved = true;
        }
    }

    /// What is owed and has no outcome.
    pub(super) fn waiting(&self) -> Vec<u64> {
        let inner = self.inner();
        let now = inner.begun.elapsed();
        inner.fates.iter().filter(|(_, fate)| fate.waits(now)).map(|(number, _)| *number).collect()
    }

    pub(super) fn fates(&self) -> BTreeMap<u64, Fate> {
        self.inner().fates.clone()
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
