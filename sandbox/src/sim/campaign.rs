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

/// Which worlds to play.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// The first seed.
    pub first: u64,
    /// How many, the first included.
    pub seeds: u64,
    /// No more once this time is over.
    pub at_most: Option<Duration>,
    /// Of what kind.
    pub profile: Profile,
    /// Whether it goes on after a broken promise.
    pub goes_on: bool,
}

/// Plays all its seeds. `shown` hears of each how far it is.
pub fn play(campaign: Campaign, shown: impl Fn(&Tally) + Sync) -> Tally {
    let Campaign { first, seeds, at_most, profile, goes_on } = campaign;
    let begun = Instant::now();
    let is_over = || at_most.is_some_and(|most| begun.elapsed() >= most);
    let (next, stop, tally) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= seeds || stop.load(Ordering::Relaxed) || is_over() {
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
                        stop.fetch_or(!goes_on, Ordering::Relaxed);
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
