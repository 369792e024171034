//! The state of a mapping's failure destinations, for the log, the notes of `/readyz` and the metrics. Writes no
//! letter.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;
use tracing::{error, info, warn};

use super::{DeadLetter, DestinationError};
use crate::clock::now;
use crate::metrics::{About, MappingMetrics};
use crate::repeats::Repeats;

/// How the destinations of a chain stand.
#[derive(Debug)]
pub(super) struct Standing {
    mapping: String,
    metrics: MappingMetrics,
    state: Mutex<State>,
    note: watch::Sender<Option<String>>,
}

#[derive(Debug)]
struct State {
    links: Vec<Link>,
    /// Letters that none of them took.
    none: Repeats,
}

#[derive(Debug, Default)]
struct Link {
    failures: Repeats,
    /// Why, while it refuses.
    reason: Option<DestinationError>,
    taken: u64,
    refused: u64,
    last_taken: Option<SystemTime>,
    refuses_since: Option<SystemTime>,
}

/// How one destination of a chain stands, counted since the chain was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkState {
    /// Letters that are safe there.
    pub taken: u64,
    /// Attempts that brought none there.
    pub refused: u64,
    /// When it last took one.
    pub last_taken: Option<SystemTime>,
    /// Why it takes none, while it does not.
    pub reason: Option<String>,
    /// Since when it takes none.
    pub refuses_since: Option<SystemTime>,
}

impl Standing {
    /// For a chain of `links` destinations, which are assumed to work.
    pub(super) fn new(mapping: &str, metrics: MappingMetrics, links: usize) -> Self {
        let links = (0..links).map(|_| Link::default()).collect();
        let state = Mutex::new(State { links, none: Repeats::default() });
        Self { mapping: mapping.to_owned(), metrics, state, note: watch::Sender::new(None) }
    }

    /// The note about it, if there is one.
    pub(super) fn note(&self) -> watch::Receiver<Option<String>> {
        self.note.subscribe()
    }

    /// How each of them stands, in their order.
    pub(super) fn links(&self) -> Vec<LinkState> {
        self.state().links.iter().map(Link::state).collect()
    }

    /// This one has failed. One that a letter is too large for works for the others.
    pub(super) fn refused(&self, link: usize, reason: &DestinationError) {
        self.metrics.dead_letter_failures.inc();
        self.metrics.live.failed(About::Destination, &reason.to_string());
        let mut state = self.state();
        let Some(link) = state.links.get_mut(link) else { return };
        link.refused += 1;
        if reason.is_final {
            return;
        }
        link.refuses_since.get_or_insert_with(SystemTime::now);
        if link.reason.replace(reason.clone()).is_none() {
            self.metrics.failing_destinations.inc();
        }
        if let Some(failures) = link.failures.failed(now()) {
            let event = "dead_letter.destination_failing";
            warn!(event, mapping = self.mapping, failures, %reason, "failure destination failing");
        }
        self.show(&state);
    }

    /// This one has taken a letter.
    pub(super) fn taken(&self, link: usize, destination: &impl fmt::Display) {
        self.metrics.live.went_well(About::Destination);
        let mut state = self.state();
        let State { links, none } = &mut *state;
        let (mapping, now) = (&self.mapping, now());
        if let Some(link) = links.get_mut(link) {
            link.taken += 1;
            (link.last_taken, link.refuses_since) = (Some(SystemTime::now()), None);
            if link.reason.take().is_some() {
                self.metrics.failing_destinations.dec();
            }
            if let Some(recovery) = link.failures.worked(now) {
                let event = "dead_letter.destination_restored";
                let (failures, after_seconds) = (recovery.failures, recovery.after.as_secs());
                info!(event, mapping, %destination, failures, after_seconds, "failure destination works again");
            }
        }
        if let Some(recovery) = none.worked(now) {
            let event = "dead_letter.restored";
            let (failures, after_seconds) = (recovery.failures, recovery.after.as_secs());
            info!(event, mapping, %destination, failures, after_seconds, "dead letters are written again");
        }
        self.show(&state);
    }

    /// None of them has taken this letter, and its message is held.
    pub(super) fn refused_by_all(&self, letter: &DeadLetter, cause: &DestinationError) {
        let mut state = self.state();
        if let Some(failures) = state.none.failed(now()) {
            let event = "dead_letter.failed";
            let (mapping, record, error_type) = (&self.mapping, &letter.id, &letter.error_type);
            error!(event, mapping, record, error_type, failures, %cause, "dead letter not written; holding it");
        }
        self.show(&state);
    }

    fn show(&self, state: &State) {
        let note = state.note();
        self.note.send_if_modified(|shown| std::mem::replace(shown, note.clone()) != note);
    }

    /// Locks, also after a panic elsewhere: nothing here is left half-written.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        // The mapping's next chain counts its own failing destinations.
        let failing = self.state().links.iter().filter(|link| link.reason.is_some()).count();
        self.metrics.failing_destinations.dec_by(i64::try_from(failing).unwrap_or_default());
    }
}

impl Link {
    fn state(&self) -> LinkState {
        let reason = self.reason.as_ref().map(|reason| reason.cause.clone());
        let Self { taken, refused, last_taken, refuses_since, .. } = *self;
        LinkState { taken, refused, last_taken, reason, refuses_since }
    }
}

impl State {
    fn note(&self) -> Option<String> {
        let reasons: Vec<_> = self.links.iter().filter_map(|link| Some(link.reason.as_ref()?.to_string())).collect();
        if reasons.is_empty() {
            return None;
        }
        let none = if self.none.is_failing() { "messages are held as no failure destination takes them: " } else { "" };
        Some(format!("{none}{}", reasons.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::letter;
    use super::*;
    use crate::metrics::Metrics;

    fn refusal(of: &str) -> DestinationError {
        DestinationError::new(of, "no such queue")
    }

    #[test]
    fn f38_a_note_stands_while_a_destination_refuses() {
        let metrics = Metrics::new().mapping("m");
        let standing = Standing::new("m", metrics.clone(), 2);
        let note = standing.note();
        let shows = |expected: Option<&str>, failing: i64| {
            assert_eq!((note.borrow().as_deref(), metrics.failing_destinations.get()), (expected, failing));
        };
        standing.refused(0, &DestinationError::lasting("a", "too large"));
        shows(None, 0);
        standing.refused(0, &refusal("a"));
        standing.refused(0, &refusal("a"));
        standing.taken(1, &"b");
        shows(Some("failure destination a: no such queue"), 1);
        standing.refused(1, &refusal("b"));
        standing.refused_by_all(&letter(), &refusal("a"));
        let both = "failure destination a: no such queue; failure destination b: no such queue";
        shows(Some(&format!("messages are held as no failure destination takes them: {both}")), 2);
        standing.taken(1, &"b");
        shows(Some("failure destination a: no such queue"), 1);
        standing.taken(0, &"a");
        shows(None, 0);
        assert_eq!(metrics.dead_letter_failures.get(), 4, "each is counted");
    }

    #[test]
    fn each_destination_says_what_it_took_and_why_it_takes_nothing() {
        let standing = Standing::new("m", Metrics::new().mapping("m"), 2);
        assert_eq!(standing.links(), [LinkState::default(), LinkState::default()]);
        standing.refused(0, &DestinationError::lasting("a", "too large"));
        assert_eq!(standing.links()[0], LinkState { refused: 1, ..LinkState::default() }, "it works for smaller ones");
        standing.refused(0, &refusal("a"));
        standing.taken(1, &"b");
        let links = standing.links();
        assert_eq!((links[0].taken, links[0].refused, links[0].reason.as_deref()), (0, 2, Some("no such queue")));
        assert!(links[0].refuses_since.is_some());
        assert_eq!((links[1].taken, links[1].refused, links[1].last_taken.is_some()), (1, 0, true));
        standing.taken(0, &"a");
        let first = standing.links().remove(0);
        assert_eq!((first.taken, first.refused, first.reason, first.refuses_since), (1, 2, None, None));
    }

    #[test]
    fn a_chain_that_goes_takes_its_part_of_the_number_along() {
        let metrics = Metrics::new().mapping("m");
        let standing = Standing::new("m", metrics.clone(), 1);
        standing.refused(0, &refusal("a"));
        drop(standing);
        assert_eq!(metrics.failing_destinations.get(), 0);
    }
}
