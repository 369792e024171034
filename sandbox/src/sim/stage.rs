//! Runs a plan from its first event to the end, and returns the result.

mod replicas;
mod rest;
mod strike;

use std::time::Duration;

use bridge::config::Protocol;
use tokio::time::{Instant, sleep_until};
use tracing_subscriber::layer::SubscriberExt;

use super::broker::Published;
use super::chance::Chance;
use super::cloud::Cloud;
use super::link::Links;
use super::oracle;
use super::plan::{Fault, Plan};
use super::process::{End, Order, Process};
use super::record::{Line, Record, Violation};
use super::sites::Sites;
use super::timeline;
use super::watcher::{MARKER, Watcher};
use crate::plot::Plot;

/// When nothing breaks any more, all must be settled within this: the longest back-off, the longest hold, and as many
/// invocations, one behind the other, as a full window of the slowest function takes.
const REST_WITHIN: Duration = Duration::from_hours(3);
/// How many messages show that the world works again.
const PROBES: u64 = 20;
/// How long leaving for good may take.
const LEAVE_WITHIN: Duration = Duration::from_hours(1);

/// What became of a world.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Every event.
    pub lines: Vec<Line>,
    /// What was broken.
    pub violations: Vec<Violation>,
    /// The world as a picture, when anything was.
    pub picture: Option<Plot>,
    /// Messages that were owed.
    pub messages: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Invocations.
    pub invocations: u64,
    /// How long it took, by the world's own clock.
    pub lasted: Duration,
}

/// Plays a plan. The same plan gives the same outcome, event for event.
///
/// # Panics
/// When no runtime can be made, which needs no descriptor and no thread.
#[must_use]
#[expect(clippy::expect_used, reason = "a runtime without I/O needs nothing that could be missing")]
pub fn run(plan: &Plan) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O");
    fastrand::seed(plan.seed);
    runtime.block_on(async {
        let record = Record::new(plan.ordered, !plan.places.is_empty());
        let watched = tracing_subscriber::registry().with(Watcher(record.clone()));
        let _guard = tracing::subscriber::set_default(watched);
        Stage::new(plan, record).play().await
    })
}

struct Stage<'a> {
    plan: &'a Plan,
    record: Record,
    sites: Sites,
    cloud: Cloud,
    /// By replica; `None` while one is away.
    processes: Vec<Option<Process>>,
    /// When a replica starts again.
    starts: Vec<Option<Instant>>,
    /// When an operator lets go.
    resumes: Option<Instant>,
    reloads: u64,
    /// The filter that the mapping is without.
    without: Option<usize>,
    /// When there were new TLS files last.
    rotated: Option<Instant>,
    chance: Chance,
}

impl<'a> Stage<'a> {
    fn new(plan: &'a Plan, record: Record) -> Self {
        let sites = Sites::new(plan, &record);
        let cloud = Cloud::new(record.clone(), plan);
        Self {
            plan,
            record,
            sites,
            cloud,
            processes: (0..plan.replicas).map(|_| None).collect(),
            starts: vec![None; plan.replicas],
            resumes: None,
            reloads: 0,
            without: None,
            rotated: None,
            chance: Chance::of(plan.seed, 3),
        }
    }

    async fn play(mut self) -> Outcome {
        for replica in 0..self.plan.replicas {
            self.start(replica);
        }
        self.until(Self::is_subscribed, Duration::from_mins(10)).await;
        self.trouble().await;
        self.repair();
        self.probe().await;
        let rested = self.rest().await;
        self.judge(rested).await;
        if let Some(burst) = self.plan.retires.filter(|_| rested) {
            self.retire(burst).await;
        }
        self.outcome()
    }

    /// Publishes, and lets break what the plan says, each at its time.
    async fn trouble(&mut self) {
        let begun = Instant::now();
        let Plan { messages, publishing, .. } = *self.plan;
        let mut chance = Chance::of(self.plan.seed, 4);
        let within = u64::try_from(publishing.as_millis()).unwrap_or(u64::MAX);
        let mut times: Vec<_> = (0..messages).map(|_| chance.millis(0..within)).collect();
        // Half come in a burst.
        let burst = chance.millis(0..within);
        times.iter_mut().step_by(2).for_each(|at| *at = burst);
        times.sort_unstable();
        let mut publishes = times.into_iter().zip(1..).peekable();
        let mut faults = self.plan.faults.iter().copied().peekable();
        loop {
            let next_publish = publishes.peek().map(|(at, _)| *at);
            let next_fault = faults.peek().map(|(at, _)| *at);
            let Some(next) = next_publish.into_iter().chain(next_fault).min() else { return };
            self.sleep_until(begun + next).await;
            if next_fault == Some(next)
                && let Some((_, fault)) = faults.next()
            {
                self.strike(fault).await;
            } else if let Some((_, number)) = publishes.next() {
                self.publish(number, &mut chance);
            }
        }
    }

    /// When nothing breaks any more, a message is taken again: whoever connects and never subscribes loses nothing.
    async fn probe(&mut self) {
        // A session that leaves for good holds a message that a proxy refuses until somebody looks at it.
        let leaves = self.plan.faults.iter().any(|(_, fault)| *fault == Fault::Retired);
        let may_be_held = leaves && self.plan.moods.blocked_every > 0;
        if may_be_held && !self.until(Self::is_subscribed, Duration::from_mins(30)).await {
            self.cloud.let_all_pass();
        }
        if !self.until(Self::is_subscribed, REST_WITHIN).await {
            let what = format!("{} sessions are subscribed after {REST_WITHIN:?}", self.subscribed());
            return self.record.violated("rest", what);
        }
        let mut chance = Chance::of(self.plan.seed, 7);
        let first = self.plan.messages + 1;
        (first..first + PROBES).for_each(|number| self.publish(number, &mut chance));
    }

    fn publish(&mut self, number: u64, chance: &mut Chance) {
        let key = chance.number(0..self.plan.devices);
        let payload = format!("{{\"n\":{number},\"id\":\"m-{number}\",\"text\":\"{MARKER}\"}}").into_bytes();
        let expires_after = chance.percent(self.plan.expiring).then(|| Duration::from_secs(chance.number(1..60)));
        let asks = self.plan.answers.replies && self.plan.protocol == Protocol::V5 && chance.percent(50);
        // Some ask for a reply where none is allowed.
        let response_topic =
            asks.then(|| if chance.percent(10) { "secrets".to_owned() } else { format!("replies/{key}") });
        let (topic, retain) = (self.plan.filters.topic(number, key), chance.percent(self.plan.retained));
        let every = self.plan.ill_formed_every;
        let ill_formed = every > 0 && number.is_multiple_of(every);
        let published = Published { number, key, payload, topic, retain, expires_after, response_topic, ill_formed };
        self.sites.publish(published);
    }

    /// Sleeps, and sees to what is due meanwhile.
    async fn sleep_until(&mut self, until: Instant) {
        loop {
            self.tend().await;
            let due = self.starts.iter().flatten().chain(self.resumes.iter()).copied().min();
            let next = due.map_or(until, |due| due.min(until));
            if next > Instant::now() {
                sleep_until(next).await;
            }
            if next == until {
                return self.tend().await;
            }
        }
    }

    /// Everything works from now on.
    fn repair(&mut self) {
        self.record.say("fault", "nothing breaks any more");
        self.sites.links().for_each(Links::reopen);
        let now = Instant::now();
        self.starts.iter_mut().flatten().for_each(|at| *at = now);
        if self.resumes.is_some() {
            self.resumes = Some(now);
        }
    }

    /// Waits for this, a second at a time. False when it took too long.
    async fn until(&mut self, done: impl Fn(&Self) -> bool, patience: Duration) -> bool {
        let begun = Instant::now();
        while !done(self) {
            if begun.elapsed() >= patience {
                return false;
            }
            self.sleep_until(Instant::now() + Duration::from_secs(1)).await;
        }
        true
    }

    /// The bridge leaves for good, and nothing stays behind.
    async fn retire(&mut self, burst: u64) {
        let mut chance = Chance::of(self.plan.seed, 6);
        let first = self.plan.messages + PROBES + 1;
        (first..first + burst).for_each(|number| self.publish(number, &mut chance));
        self.record.say("operator", "retires");
        self.ask_all(|| Order::Retire);
        for replica in 0..self.plan.replicas {
            let Some(process) = &mut self.processes[replica] else { continue };
            match tokio::time::timeout(LEAVE_WITHIN, process.ended()).await {
                Ok(End::Retired { unproven }) => self.has_retired(unproven),
                Ok(end) => self.record.violated("retire", format!("replica {replica} has ended: {end:?}")),
                Err(_) => self.record.violated("retire", format!("replica {replica} does not end")),
            }
            self.processes[replica] = None;
        }
        oracle::nothing_lost(&self.record);
    }

    /// What the bridge says that it cannot prove, it may lose.
    fn has_retired(&self, unproven: bool) {
        if unproven {
            self.record.excuse_dropped();
        }
    }

    fn outcome(self) -> Outcome {
        let (lasted, faults, invocations) = (self.record.elapsed(), self.record.faults(), self.cloud.invocations());
        let fates = self.record.fates();
        let messages = fates.values().filter(|fate| fate.owed).count() as u64;
        let (lines, violations) = self.record.take();
        let broken = !violations.is_empty();
        let picture = broken.then(|| timeline::of(self.plan, fates.values(), &lines, &violations));
        Outcome { lines, violations, picture, messages, faults, invocations, lasted }
    }
}
