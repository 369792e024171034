//! Sends dead letters through their functions again. A letter leaves its file, queue or bucket only when the function
//! has accepted it. Connects to no broker, so it does not publish the function's answers.

mod bucket;
mod error;
mod file;
mod journal;
mod progress;
mod queue;
mod route;
mod source;
mod summary;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::aws::Aws;
use crate::config::{Config, Rate};
use crate::dead_letter::DeadLetter;
use crate::delivery::Delivery;
use crate::foreign::Foreign;
use crate::lambda::Failure;
use crate::mapping::filter::Filters;
use crate::payload::Look;
use progress::Progress;
pub(crate) use route::delivery;
use route::{Route, Sent};

pub use error::RedriveError;
pub use source::{NoSource, Source};
pub use summary::Summary;

/// How many letters are sent in parallel, and after how many the progress is recorded.
const BATCH: usize = 10;

/// Which letters to send again.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the letters are.
    pub from: Source,
    /// The mapping that all letters go through, whichever they name.
    pub mapping: Option<String>,
    /// Only count what would be sent.
    pub dry_run: bool,
    /// Which letters; by what they were as messages.
    pub filter: Filters,
    /// At most so many.
    pub limit: Option<u64>,
    /// No faster than this.
    pub rate: Option<Rate>,
}

/// Sends letters again until there are none left, the limit is reached, or SIGINT or SIGTERM asks for an end; what is
/// under way then is finished.
///
/// # Errors
/// When file, queue or bucket fail. Then nothing is lost, and to run it again takes it up where it ended.
pub async fn redrive(config: &Config, aws: &Aws, options: Options) -> Result<Summary, RedriveError> {
    let ended = run(config, aws, options).await;
    match &ended {
        Ok(Summary { redriven, failed, skipped, left, unsendable, broken, trouble }) => {
            let event = "redrive.ended";
            info!(event, redriven, failed, skipped, left, unsendable, broken, trouble, "redrive ended");
        }
        // A usage error is found before the redrive starts, so it has no end to log.
        Err(reason) if reason.is_usage() => {}
        Err(reason) => error!(event = "redrive.failed", %reason, "redrive failed"),
    }
    ended
}

async fn run(config: &Config, aws: &Aws, options: Options) -> Result<Summary, RedriveError> {
    let from = options.from.clone();
    let mut redrive = Redrive::new(config, aws, options)?;
    // Dropped, and so aborted, at the end of this function.
    let mut signals = JoinSet::new();
    signals.spawn(stop_at_signal(Arc::clone(&redrive.stop)));
    match from {
        Source::File(path) if redrive.options.dry_run => file::look(&mut redrive, &path).await?,
        Source::File(path) => file::run(&mut redrive, &path).await?,
        Source::Sqs(url) => queue::run(&mut redrive, aws, &url).await?,
        Source::S3(url) => bucket::run(&mut redrive, aws, &url).await?,
    }
    redrive.progress.end();
    Ok(redrive.summary)
}

/// One run.
struct Redrive {
    options: Options,
    routes: BTreeMap<String, Arc<Route>>,
    /// Mappings that letters name and the configuration does not; said once.
    unknown: BTreeSet<String>,
    /// Whether a function wanted something published; said once.
    unpublished: bool,
    pace: Option<Interval>,
    /// Letters under way at once: one, where a mapping keeps an order.
    width: usize,
    stop: Arc<AtomicBool>,
    sent: u64,
    summary: Summary,
    progress: Progress,
}

/// What to do with one letter at its place.
#[derive(Debug)]
enum Verdict {
    /// It may go.
    Redriven,
    /// It stays, with the new failure and the attempts that were made now.
    Failed(Failure, u32),
    /// It stays without a verdict, after so many attempts that were made now.
    Tried(u32),
    /// It stays as it is.
    Stays,
    /// It is none.
    Broken,
}

impl Redrive {
    fn new(config: &Config, aws: &Aws, options: Options) -> Result<Self, RedriveError> {
        let aws = aws.invoking(config.lambda.client);
        let route = |mapping| Route::new(mapping, &aws);
        let routes: BTreeMap<_, _> =
            config.mappings.iter().map(|mapping| (mapping.name.clone(), Arc::new(route(mapping)))).collect();
        if let Some(name) = options.mapping.as_ref().filter(|name| !routes.contains_key(*name)) {
            let known: Vec<_> = routes.keys().map(|name| format!("`{name}`")).collect();
            return Err(RedriveError::NoMapping(name.clone(), known.join(", ")));
        }
        let pace = options.rate.map(|rate| {
            let mut pace = interval(rate.interval());
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        let width = if config.mappings.iter().any(|mapping| mapping.ordering_key.is_some()) { 1 } else { BATCH };
        let (unknown, stop) = (BTreeSet::new(), Arc::new(AtomicBool::new(false)));
        let (summary, progress) = (Summary::default(), Progress::start());
        Ok(Self { options, routes, unknown, unpublished: false, pace, width, stop, sent: 0, summary, progress })
    }

    /// Says that the letters are there, and that it begins.
    fn log_beginning(&self) {
        let Options { from, mapping, dry_run, .. } = &self.options;
        info!(event = "redrive.started", %from, mapping, dry_run, "redrive started");
    }

    /// Whether the letter is one of those that are asked for, by what it was as a message.
    fn passes(&self, delivery: &Delivery) -> bool {
        self.options.filter.matches_as(&delivery.message, || Look::at(delivery.payload()))
    }

    /// Whether nothing more is to be sent.
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.summary.trouble.is_some()
            || self.options.limit.is_some_and(|limit| self.sent >= limit)
    }

    /// Sends those of the letters that are to be sent, and returns what becomes of each, in their order. `None` stands
    /// for what is no letter.
    async fn batch(&mut self, letters: &[Option<DeadLetter>]) -> Vec<Verdict> {
        let mut verdicts: Vec<_> = letters.iter().map(|_| Verdict::Stays).collect();
        let mut under_way = JoinSet::new();
        for (index, letter) in letters.iter().enumerate() {
            match self.plan(letter.as_ref()) {
                Plan::Send(route, delivery) if !self.options.dry_run => {
                    if let Some(pace) = &mut self.pace {
                        pace.tick().await;
                    }
                    under_way.spawn(async move { (index, route.send(delivery).await) });
                    if under_way.len() >= self.width {
                        self.book(&mut under_way, letters, &mut verdicts).await;
                    }
                }
                Plan::Send(..) => self.summary.redriven += 1,
                Plan::Stays => {}
                Plan::Broken => {
                    self.summary.broken += 1;
                    verdicts[index] = Verdict::Broken;
                }
            }
        }
        while !under_way.is_empty() {
            self.book(&mut under_way, letters, &mut verdicts).await;
        }
        if self.stop.load(Ordering::Relaxed) && self.summary.trouble.is_none() {
            self.summary.trouble = Some("interrupted".into());
        }
        self.progress.tell(&self.summary);
        verdicts
    }

    fn plan(&mut self, letter: Option<&DeadLetter>) -> Plan {
        let Some((letter, delivery)) = letter.and_then(|letter| Some((letter, delivery(letter)?))) else {
            return Plan::Broken;
        };
        if self.is_over() {
            self.summary.left += 1;
            return Plan::Stays;
        }
        let name = self.options.mapping.as_ref().unwrap_or(&letter.mapping);
        let route = self.routes.get(name).cloned();
        if route.is_none() && self.unknown.insert(name.clone()) {
            let mapping = Foreign::of(name);
            warn!(event = "redrive.no_mapping", %mapping, "not in the configuration: its letters are skipped; --mapping names another one");
        }
        let Some(route) = route.filter(|_| self.passes(&delivery)) else {
            self.summary.skipped += 1;
            return Plan::Stays;
        };
        if let Some(reason) = letter.lacks() {
            self.summary.unsendable += 1;
            let event = "redrive.letter_unsendable";
            let (mapping, record, topic) = names_of(letter);
            warn!(event, %mapping, %record, %topic, reason, "dead letter cannot be redriven; it stays");
            return Plan::Stays;
        }
        self.sent += 1;
        Plan::Send(route, delivery)
    }

    /// Waits for the next one to end.
    async fn book(
        &mut self,
        under_way: &mut JoinSet<(usize, Sent)>,
        letters: &[Option<DeadLetter>],
        verdicts: &mut [Verdict],
    ) {
        let Some(ended) = under_way.join_next().await else { return };
        let Ok((index, sent)) = ended else {
            // It panicked, and its letter stays.
            self.summary.left += 1;
            return;
        };
        verdicts[index] = match sent {
            Sent::Taken { unpublished } => {
                self.summary.redriven += 1;
                if unpublished && !std::mem::replace(&mut self.unpublished, true) {
                    warn!(
                        event = "redrive.answers_dropped",
                        "a function has answers for devices: a redrive publishes none, as nobody waits for them any more"
                    );
                }
                Verdict::Redriven
            }
            Sent::Failed { failure, attempts, reason } => {
                self.summary.failed += 1;
                log_failed(letters[index].as_ref(), &failure.kind, attempts, &reason);
                Verdict::Failed(failure, attempts)
            }
            Sent::Refused { cause, attempts } => {
                self.summary.left += 1;
                log_failed(letters[index].as_ref(), "Misconfigured", attempts, &cause);
                self.summary.trouble = Some(cause);
                Verdict::Tried(attempts)
            }
        };
    }
}

/// Names the letter, and never says what was in it.
fn log_failed(letter: Option<&DeadLetter>, error_type: &str, attempts: u32, reason: &str) {
    let Some(letter) = letter else { return };
    let event = "redrive.letter_failed";
    let (mapping, record, topic) = names_of(letter);
    warn!(event, %mapping, %record, %topic, attempts, error_type, reason, "dead letter not redriven; it stays");
}

/// Mapping, record id and topic: a file of letters may come from anywhere.
fn names_of(letter: &DeadLetter) -> (Foreign, Foreign, Foreign) {
    (Foreign::of(&letter.mapping), Foreign::of(&letter.id), Foreign::of(&letter.topic))
}

async fn stop_at_signal(stop: Arc<AtomicBool>) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers a signal ends the process at once, which loses nothing either.
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.store(true, Ordering::Relaxed);
}

enum Plan {
    Send(Arc<Route>, Delivery),
    Stays,
    Broken,
}
