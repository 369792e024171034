//! Runs many seeds on all cores, and reports those that broke a promise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::plan::{Plan, Profile};
use super::record::Violation;
use super::stage::{Outcome, run};

/// What many worlds came to.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Worlds that were played.
    pub worlds: u64,
    /// Messages that were owed in them.
    pub messages: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Invocations.
    pub invocations: u64,
    /// By the worlds' own clocks.
    pub lasted: Duration,
    /// By ours.
    pub took: Duration,
    /// Seeds that broke a promise, and the first one that each broke.
    pub broken: Vec<(u64, Violation)>,
}

/// Plays this many seeds from `first` on. `shown` hears now and then of how far it is; it stops at the first broken
/// promise unless it is to go on.
pub fn play(first: u64, seeds: u64, profile: Profile, go_on: bool, shown: impl Fn(&Tally) + Sync) -> Tally {
    let begun = Instant::now();
    let (next, stop, tally) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= seeds || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let seed = first + index;
                    let outcome = survive(seed, profile);
                    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                    tally.worlds += 1;
                    tally.messages += outcome.messages;
                    tally.faults += outcome.faults;
                    tally.invocations += outcome.invocations;
                    tally.lasted += outcome.lasted;
                    tally.took = begun.elapsed();
                    if let Some(violation) = outcome.violations.into_iter().next() {
                        tally.broken.push((seed, violation));
                        stop.fetch_or(!go_on, Ordering::Relaxed);
                    }
                    shown(&tally);
                }
            });
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.broken.sort_by_key(|(seed, _)| *seed);
    tally
}

/// Plays a seed; a panic of the world is a broken promise of this one seed.
fn survive(seed: u64, profile: Profile) -> Outcome {
    let played = catch_unwind(AssertUnwindSafe(|| run(&Plan::draw(seed, profile))));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let violation = Violation { promise: "panic", what: text.unwrap_or("of the world itself").to_owned() };
        Outcome { violations: vec![violation], ..Outcome::default() }
    })
}
