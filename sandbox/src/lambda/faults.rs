//! Faults as data: when one strikes, and what it does. Never carries one out.
//!
//! Faults can be listed and printed with their seeds, so that a failed run can be told and repeated.

mod fault;

pub use fault::{Action, Fault, When};

use std::sync::{Arc, Mutex};

use super::kind::Kind;
use super::lock;

/// Names a fault that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultId(u64);

/// A fault in place, and what it has done.
#[derive(Debug, Clone)]
pub struct Armed {
    /// Its name.
    pub id: FaultId,
    /// The fault.
    pub fault: Fault,
    /// How many invocations fitted it.
    pub seen: u64,
    /// How many it struck.
    pub struck: u64,
    random: fastrand::Rng,
}

impl Armed {
    fn strikes(&mut self) -> bool {
        self.seen += 1;
        let strikes = match self.fault.when {
            When::Always => true,
            When::Nth(n) => self.seen == n,
            When::Next(n) => self.seen <= n,
            When::Every(n) => n > 0 && self.seen.is_multiple_of(n),
            When::Chance { probability, .. } => self.random.f64() < probability,
        };
        self.struck += u64::from(strikes);
        strikes
    }
}

/// A handle on the faults of one local Lambda. The first that strikes is the only one to see the invocation.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    added: u64,
    armed: Vec<Armed>,
}

impl Faults {
    /// Adds a fault, behind those in place.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut state = lock(&self.0);
        state.added += 1;
        let id = FaultId(state.added);
        let seed = if let When::Chance { seed, .. } = fault.when { seed } else { 0 };
        state.armed.push(Armed { id, fault, seen: 0, struck: 0, random: fastrand::Rng::with_seed(seed) });
        id
    }

    /// Removes a fault. What it struck before stays struck.
    pub fn remove(&self, id: FaultId) {
        lock(&self.0).armed.retain(|armed| armed.id != id);
    }

    /// Removes all faults.
    pub fn clear(&self) {
        lock(&self.0).armed.clear();
    }

    /// The faults in place, with their counts.
    #[must_use]
    pub fn armed(&self) -> Vec<Armed> {
        lock(&self.0).armed.clone()
    }

    pub(super) fn strike(&self, function: &str, kind: Kind, payload: &[u8]) -> Option<Action> {
        let mut state = lock(&self.0);
        let mut fitting = state.armed.iter_mut().filter(|armed| armed.fault.fits(function, kind, payload));
        fitting.find_map(|armed| armed.strikes().then(|| armed.fault.action.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(when: When, of: usize) -> Vec<usize> {
        let faults = Faults::default();
        faults.add(Fault::new(when, Action::Cut));
        (1..=of).filter(|_| faults.strike("f", Kind::RequestResponse, b"{}").is_some()).collect()
    }

    #[test]
    fn counts_from_one() {
        assert_eq!(pattern(When::Always, 3), [1, 2, 3]);
        assert_eq!(pattern(When::Nth(2), 4), [2]);
        assert_eq!(pattern(When::Next(2), 4), [1, 2]);
        assert_eq!(pattern(When::Every(3), 7), [3, 6]);
        assert!(pattern(When::Every(0), 3).is_empty());
    }

    #[test]
    fn a_seed_repeats_itself() {
        let chance = |seed| pattern(When::Chance { probability: 0.3, seed }, 200);
        assert_eq!(chance(7), chance(7));
        assert_ne!(chance(7), chance(8));
        assert!((30..90).contains(&chance(7).len()), "{}", chance(7).len());
    }

    #[test]
    fn a_needle_a_function_and_a_kind_narrow_it() {
        let faults = Faults::default();
        faults.add(Fault::new(When::Next(1), Action::Hang).function("f").containing("poison"));
        let id = faults.add(Fault::new(When::Always, Action::status(403)).kind(Kind::DryRun));
        assert_eq!(faults.strike("g", Kind::RequestResponse, b"poison"), None);
        assert_eq!(faults.strike("f", Kind::RequestResponse, b"fine"), None);
        assert_eq!(faults.strike("f", Kind::DryRun, b"poison"), Some(Action::status(403)));
        assert_eq!(faults.strike("f", Kind::Event, b"the poison"), Some(Action::Hang));
        assert_eq!(faults.strike("f", Kind::Event, b"the poison"), None);
        faults.remove(id);
        assert_eq!(faults.strike("f", Kind::DryRun, b""), None);
        let counts: Vec<_> = faults.armed().iter().map(|armed| (armed.seen, armed.struck)).collect();
        assert_eq!(counts, [(2, 1)]);
    }
}
