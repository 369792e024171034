//! Plays a plan from its first event to rest, and says what came of it.

use std::time::Duration;

use bridge::aws::Aws;
use bridge::config::Config;
use bridge::mqtt::InMemory;
use tokio::time::{Instant, sleep, sleep_until};
use tracing_subscriber::layer::SubscriberExt;

use super::broker::Broker;
use super::chance::Chance;
use super::cloud::{self, Cloud, Weather};
use super::link::{Links, Pace, State};
use super::oracle;
use super::plan::{Fault, Plan};
use super::process::{End, Numbers, Order, Process};
use super::record::{Line, Record, Violation};
use super::settings;
use super::watcher::{MARKER, Watcher};

/// When nothing breaks any more, all must be settled within this: the longest back-off, the longest hold, and as many
/// invocations, one behind the other, as a full window of the slowest function takes.
const REST_WITHIN: Duration = Duration::from_hours(3);
/// How long leaving for good may take.
const LEAVE_WITHIN: Duration = Duration::from_hours(1);

/// What became of a world.
#[derive(Debug)]
pub struct Outcome {
    /// Every event.
    pub lines: Vec<Line>,
    /// What was broken.
    pub violations: Vec<Violation>,
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
        let record = Record::new(plan.ordered);
        let watched = tracing_subscriber::registry().with(Watcher(record.clone()));
        let _guard = tracing::subscriber::set_default(watched);
        Stage::new(plan, record).play().await
    })
}

struct Stage<'a> {
    plan: &'a Plan,
    record: Record,
    broker: Broker,
    cloud: Cloud,
    links: Links,
    /// By replica; `None` while one is away.
    processes: Vec<Option<Process>>,
    /// When a replica starts again.
    starts: Vec<Option<Instant>>,
    /// When an operator lets go.
    resumes: Option<Instant>,
    reloads: u64,
    chance: Chance,
}

impl<'a> Stage<'a> {
    fn new(plan: &'a Plan, record: Record) -> Self {
        let broker = Broker::new(plan.habits, plan.protocol, settings::SESSION_EXPIRY, record.clone());
        let cloud = Cloud::new(record.clone(), Chance::of(plan.seed, 2), plan.moods, plan.ordered);
        Self {
            plan,
            record,
            broker,
            cloud,
            links: Links::default(),
            processes: (0..plan.replicas).map(|_| None).collect(),
            starts: vec![None; plan.replicas],
            resumes: None,
            reloads: 0,
            chance: Chance::of(plan.seed, 3),
        }
    }

    async fn play(mut self) -> Outcome {
        for replica in 0..self.plan.replicas {
            self.start(replica);
        }
        self.until(|stage| stage.broker.is_subscribed(), Duration::from_mins(10)).await;
        self.trouble().await;
        self.mend();
        let rested = self.until(Self::is_at_rest, REST_WITHIN).await;
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

    fn publish(&self, number: u64, chance: &mut Chance) {
        let device = chance.number(0..self.plan.devices);
        let payload = format!("{{\"n\":{number},\"id\":\"m-{number}\",\"text\":\"{MARKER}\"}}");
        self.broker.publish(&format!("devices/{device}/data"), number, device, payload.as_bytes());
    }

    async fn strike(&mut self, fault: Fault) {
        self.record.fault(format!("{fault:?}"));
        if matches!(fault, Fault::Killed(_) | Fault::Stopped(_) | Fault::Reloaded) {
            self.record.forgotten();
        }
        match fault {
            Fault::Cut => drop(self.links.set(State::Cut)),
            Fault::HalfClose => drop(self.links.set(State::HalfClosed)),
            Fault::Vanished => drop(self.links.set(State::Gone)),
            Fault::BlackHole(how_long) => {
                self.links.set(State::BlackHole);
                let links = self.links.clone();
                // Those that are made meanwhile are not in it, and stay whole.
                tokio::spawn(async move {
                    sleep(how_long).await;
                    links.reopen();
                });
            }
            Fault::BrokerRestarts(away) => self.broker.restart(away),
            Fault::BrokerRefuses(how_long) => {
                self.broker.refuse(how_long);
                self.links.set(State::Cut);
            }
            Fault::TakenOver => self.broker.take_over(),
            Fault::Killed(away) => {
                let replica = self.chance.index(self.plan.replicas);
                if let Some(process) = self.processes[replica].take() {
                    process.kill().await;
                    self.starts[replica] = Some(Instant::now() + away);
                }
            }
            Fault::Stopped(away) => {
                let replica = self.chance.index(self.plan.replicas);
                if let Some(process) = &self.processes[replica] {
                    process.ask(Order::Stop);
                    self.starts[replica] = Some(Instant::now() + away);
                }
            }
            Fault::Paused(how_long) => {
                self.resumes = Some(Instant::now() + how_long);
                self.ask_all(|| Order::Pause(true));
            }
            Fault::Reloaded => {
                self.reloads += 1;
                for replica in 0..self.plan.replicas {
                    let config = self.config(replica);
                    if let Some(process) = &self.processes[replica] {
                        process.ask(Order::Reload(Box::new(config)));
                    }
                }
            }
            Fault::Throttles(how_long) => self.cloud.set(Weather::Throttles, how_long),
            Fault::ServiceErrors(how_long) => self.cloud.set(Weather::ServiceErrors, how_long),
            Fault::SetUpWrong(how_long) => self.cloud.set(Weather::SetUpWrong, how_long),
            Fault::Silence(how_long) => self.cloud.set(Weather::Silence, how_long),
            Fault::DestinationsFail(how_long) => self.cloud.set(Weather::QueueFails, how_long),
        }
    }

    fn ask_all(&self, order: impl Fn() -> Order) {
        self.processes.iter().flatten().for_each(|process| process.ask(order()));
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

    /// Starts who is due, and notes who has ended.
    async fn tend(&mut self) {
        let now = Instant::now();
        for replica in 0..self.plan.replicas {
            if let Some(process) = &mut self.processes[replica]
                && process.has_ended()
            {
                let end = process.ended().await;
                self.record.say("process", format!("replica {replica} has ended: {end:?}"));
                if end == End::Broken {
                    self.record.violated("panic", format!("replica {replica} has ended by itself"));
                }
                self.processes[replica] = None;
                self.starts[replica].get_or_insert(now + Duration::from_secs(1));
            }
            if self.processes[replica].is_none() && self.starts[replica].is_some_and(|at| at <= now) {
                self.starts[replica] = None;
                self.start(replica);
            }
            // One that drains takes its time: it starts when it has ended.
            if self.processes[replica].is_some() && self.starts[replica].is_some_and(|at| at <= now) {
                self.starts[replica] = Some(now + Duration::from_secs(1));
            }
        }
        if self.resumes.is_some_and(|at| at <= now) {
            self.resumes = None;
            self.ask_all(|| Order::Pause(false));
        }
        for (topic, payload) in self.broker.take_published() {
            if let Some(number) = cloud::letter(&payload) {
                self.record.say("topic", format!("{topic} has {number}"));
            }
        }
    }

    fn start(&mut self, replica: usize) {
        self.record.say("process", format!("replica {replica} starts"));
        let aws = Aws::in_memory(self.cloud.clone());
        let (broker, links) = (self.broker.clone(), self.links.clone());
        let pace = Pace { delay: self.plan.delay, piece: self.plan.piece };
        let seeds = std::sync::atomic::AtomicU64::new(self.chance.number(0..u64::MAX / 2));
        let connect = move || {
            if !broker.is_there() {
                return Err(std::io::ErrorKind::ConnectionRefused.into());
            }
            let seed = seeds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (near, far) = links.connect(pace, Chance::of(seed, 5));
            broker.accept(far);
            Ok(near)
        };
        let config = self.config(replica);
        let process = Process::start(config, aws, InMemory::new(connect), self.record.clone());
        self.processes[replica] = Some(process);
    }

    fn config(&self, replica: usize) -> Config {
        // Each reload has other batches.
        settings::of(self.plan, replica, 10 * (1 + self.reloads))
    }

    /// Everything works from now on.
    fn mend(&mut self) {
        self.record.say("fault", "nothing breaks any more");
        self.links.reopen();
        let now = Instant::now();
        self.starts.iter_mut().flatten().for_each(|at| *at = now);
        if self.resumes.is_some() {
            self.resumes = Some(now);
        }
    }

    fn is_at_rest(&self) -> bool {
        self.broker.is_empty()
            && self.record.waiting().is_empty()
            && self.starts.iter().all(Option::is_none)
            && self.processes.iter().all(Option::is_some)
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

    async fn judge(&mut self, rested: bool) {
        oracle::nothing_lost(&self.record);
        oracle::no_needless_invocations(&self.record);
        if !rested {
            let waiting = self.record.waiting().len();
            let what =
                format!("after {REST_WITHIN:?}: {waiting} wait, the broker is empty: {}", self.broker.is_empty());
            self.record.violated("rest", what);
            return;
        }
        // What the broker has dropped may still run, and an acknowledgement be on its way.
        let begun = Instant::now();
        loop {
            self.sleep_until(Instant::now() + Duration::from_mins(2)).await;
            let busy = self.busy().await;
            if busy.is_none() {
                return;
            }
            if begun.elapsed() >= REST_WITHIN {
                return oracle::at_rest(&self.record, busy);
            }
        }
    }

    /// The numbers of a process that holds something.
    async fn busy(&self) -> Option<Numbers> {
        for process in self.processes.iter().flatten() {
            let numbers = process.look().await;
            if numbers.is_some_and(|numbers| !numbers.are_at_rest()) {
                return numbers;
            }
        }
        None
    }

    /// The bridge leaves for good, and nothing stays behind.
    async fn retire(&mut self, burst: u64) {
        let mut chance = Chance::of(self.plan.seed, 6);
        (self.plan.messages + 1..=self.plan.messages + burst).for_each(|number| self.publish(number, &mut chance));
        self.record.say("operator", "retires");
        let mut unproven = false;
        self.ask_all(|| Order::Retire);
        for replica in 0..self.plan.replicas {
            let Some(process) = &mut self.processes[replica] else { continue };
            match tokio::time::timeout(LEAVE_WITHIN, process.ended()).await {
                Ok(End::Retired { unproven: said }) => unproven |= said,
                Ok(end) => self.record.violated("retire", format!("replica {replica} has ended: {end:?}")),
                Err(_) => self.record.violated("retire", format!("replica {replica} does not end")),
            }
            self.processes[replica] = None;
        }
        // What the bridge says that it cannot prove, it may lose.
        if !unproven {
            oracle::nothing_lost(&self.record);
        }
    }

    fn outcome(self) -> Outcome {
        let (lasted, faults, invocations) = (self.record.elapsed(), self.record.faults(), self.cloud.invocations());
        let messages = self.record.fates().values().filter(|fate| fate.owed).count() as u64;
        let (lines, violations) = self.record.take();
        Outcome { lines, violations, messages, faults, invocations, lasted }
    }
}
