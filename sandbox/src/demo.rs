//! What `cargo sandbox` does: starts a world, lets sensors publish into it, shows what flows, ends it in good order and
//! accounts for every message.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bridge::config::Protocol;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::mpsc;

use crate::lambda::{Fault, Function, Invocation, Settings};
use crate::leftovers;
use crate::observer::Observer;
use crate::oracle;
use crate::report::{Report, Snapshot, Style, Summary};
use crate::scene::{self, Hubs, Scene};
use crate::sensors::{Registry, Sensors};
use crate::world::{BrokerKind, MAPPING, World};

/// How often the block moves.
const FRAME: Duration = Duration::from_millis(200);
/// How long the broker may take to confirm the last messages.
const LAST_PUBACKS: Duration = Duration::from_secs(10);
/// How long the bridge may take to finish what has been published, and then to drain.
const LAST_MESSAGES: Duration = Duration::from_secs(30);
/// How long the broker may take to show what it still holds.
const LEFTOVERS: Duration = Duration::from_secs(15);

/// What to show.
#[derive(Debug)]
pub struct Demo {
    /// Which broker.
    pub broker: BrokerKind,
    /// Which version of MQTT bridge and sensors speak.
    pub protocol: Protocol,
    /// What is played.
    pub scene: Scene,
    /// How many sensors.
    pub sensors: usize,
    /// Messages a second of all sensors together.
    pub rate: f64,
    /// Every how many messages one is a bad reading.
    pub bad_every: Option<u64>,
    /// How long; until Ctrl-C without it.
    pub duration: Option<Duration>,
    /// What goes wrong at the local Lambda.
    pub fault: Option<Fault>,
    /// The function, in place of the real handler.
    pub function: Option<Function>,
    /// How many invocations at once.
    pub concurrency: usize,
}

/// Runs the demo and returns its accounts. `remarks` are shown above the block.
///
/// # Errors
/// When a part of the world does not start.
pub async fn run(demo: Demo, style: Style, remarks: mpsc::Receiver<String>, live: bool) -> Result<Summary> {
    let title = format!("sandbox: sensors -> MQTT {} over mutual TLS -> bridge -> local Lambda", demo.protocol);
    let (commands, heard) = mpsc::channel(20);
    let mut screen = Screen { report: Report::new(io::stderr(), style, &title), remarks, heard, live };
    screen.say("starting broker, function and bridge ...")?;
    // A broker that others use must not confuse two sandboxes.
    let client_id = format!("sandbox-{:08x}", fastrand::u32(..));
    let (duration, fault) = (demo.duration, demo.fault.clone());
    let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be heard")?;
    let session = format!("{client_id}-{MAPPING}");
    let mut world = tokio::select! {
        world = world(&demo, &client_id) => world?,
        _ = interrupt.recv() => anyhow::bail!("interrupted before anything was published"),
    };
    if let Some(fault) = fault {
        screen.say(&format!("fault: {fault}"))?;
        world.lambda.faults().add(fault);
    }
    let device = Arc::new(world.files.client_config(&world.files.device)?);
    let _hubs = matches!(demo.scene, Scene::Hub).then(|| Hubs::listen(world.url(), device, commands));
    // Before the first message is published, so that none goes by unseen.
    let invocations = world.lambda.log().subscribe();
    let mut sensors = world.sensors(|options| {
        (options.protocol, options.topic) = (demo.protocol, demo.scene.published_to());
        (options.count, options.rate, options.bad_every) = (demo.sensors, demo.rate, demo.bad_every);
    })?;
    let mut run = Run::begin(&sensors, invocations);
    screen.say("running; Ctrl-C ends it")?;
    run.watch(&world, duration, &mut interrupt, &mut screen).await?;
    screen.say("stopping ...")?;
    let unconfirmed = sensors.stop(LAST_PUBACKS).await;
    run.settle(&world, unconfirmed, &mut interrupt, &mut screen).await?;
    let drained = world.drain_bridge(LAST_MESSAGES).await;
    if !drained {
        screen.say("the bridge did not finish in time; the rest stays with the broker")?;
    }
    let summary = run.account(&world, &demo, &session, &mut screen).await;
    if world.broker.is_none() {
        let tls = Arc::new(world.files.client_config(&world.files.bridge)?);
        if !leftovers::forget(world.url(), tls, demo.protocol, &session, LEFTOVERS).await {
            screen.say(&format!("the broker may still hold the session `{session}`: delete it there"))?;
        }
    }
    summary
}

async fn world(demo: &Demo, client_id: &str) -> Result<World> {
    let lambda = Settings { history: 16_384, output_lines: 100, ..Settings::default() };
    let mut builder = World::builder()
        .broker(demo.broker.clone())
        .protocol(demo.protocol)
        .lambda(lambda)
        .set("mqtt.client_id", client_id)
        .set("mapping.topic_filter", demo.scene.subscribed_to())
        .set("mapping.concurrency", &demo.concurrency.to_string());
    if let Scene::Hub = demo.scene {
        builder =
            builder.environment(scene::THRESHOLD.0, scene::THRESHOLD.1).set("mapping.response.allow", scene::COMMAND);
    }
    if let Some(function) = &demo.function {
        builder = builder.function(function.clone());
    }
    builder.start().await.context("the sandbox cannot start")
}

/// The terminal, with what is said above the block.
struct Screen {
    report: Report<io::Stderr>,
    remarks: mpsc::Receiver<String>,
    /// Commands that hubs have heard.
    heard: mpsc::Receiver<String>,
    live: bool,
}

impl Screen {
    fn say(&mut self, remark: &str) -> io::Result<()> {
        if self.live { self.report.say(remark) } else { writeln!(io::stderr(), "{remark}") }
    }

    fn show(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        while let Ok(remark) = self.remarks.try_recv().or_else(|_| self.heard.try_recv()) {
            self.say(&remark)?;
        }
        if self.live { self.report.show(snapshot) } else { Ok(()) }
    }
}

/// The books of one run.
struct Run {
    registry: Arc<Registry>,
    observer: Observer,
    begun: Instant,
    /// Handled messages at the last look, and when that was.
    last: (u64, Instant),
    rate: f64,
}

impl Run {
    fn begin(sensors: &Sensors, invocations: Receiver<Arc<Invocation>>) -> Self {
        let registry = sensors.registry();
        let observer = Observer::start(invocations, Arc::clone(&registry));
        let begun = Instant::now();
        Self { registry, observer, begun, last: (0, begun), rate: 0.0 }
    }

    /// Shows what flows until the time is over or Ctrl-C.
    async fn watch(
        &mut self,
        world: &World,
        duration: Option<Duration>,
        interrupt: &mut Signal,
        screen: &mut Screen,
    ) -> Result<()> {
        let mut frames = tokio::time::interval(FRAME);
        loop {
            tokio::select! {
                _ = frames.tick() => screen.show(&self.snapshot(world))?,
                _ = interrupt.recv() => return Ok(()),
            }
            if duration.is_some_and(|duration| self.begun.elapsed() >= duration) {
                return Ok(());
            }
        }
    }

    /// Waits until all that the broker has is handled or dead-lettered, for as long as that goes on. A second Ctrl-C
    /// ends the waiting.
    async fn settle(
        &mut self,
        world: &World,
        unconfirmed: u64,
        interrupt: &mut Signal,
        screen: &mut Screen,
    ) -> Result<()> {
        let mut frames = tokio::time::interval(FRAME);
        let deadline = Instant::now() + LAST_MESSAGES;
        while Instant::now() < deadline {
            let snapshot = self.snapshot(world);
            screen.show(&snapshot)?;
            if snapshot.in_flight <= unconfirmed {
                break;
            }
            tokio::select! {
                _ = frames.tick() => {}
                _ = interrupt.recv() => break,
            }
        }
        Ok(())
    }

    fn snapshot(&mut self, world: &World) -> Snapshot {
        let (counts, counters) = (self.registry.counts(), world.counters());
        let totals = world.lambda.log().totals();
        let now = Instant::now();
        let since = now.saturating_duration_since(self.last.1);
        if since >= Duration::from_secs(1) {
            #[allow(clippy::cast_precision_loss, reason = "message counts are far below 2^52")]
            let handled = (counts.handled - self.last.0) as f64;
            (self.rate, self.last) = (handled / since.as_secs_f64(), (counts.handled, now));
        }
        let dead_lettered = counters.dead_lettered.get();
        self.observer.read(|seen| Snapshot {
            elapsed: self.begun.elapsed(),
            published: counts.published,
            invoked: totals.invoked,
            acknowledged: counters.acknowledged.get(),
            failed: totals.invoked - totals.succeeded - totals.in_flight,
            dead_lettered,
            in_flight: counts.published.saturating_sub(counts.handled + dead_lettered),
            rate: self.rate,
            p50: seen.latency.percentile(50.0),
            p99: seen.latency.percentile(99.0),
            last_readings: seen.readings.iter().cloned().collect(),
        })
    }

    /// Accounts for every message: what the function has taken, what lies in the failure destination, and what the
    /// broker still holds, which is asked of the broker itself.
    async fn account(self, world: &World, demo: &Demo, session: &str, screen: &mut Screen) -> Result<Summary> {
        let duration = self.begun.elapsed();
        for letter in world.dead_letters().context("dead letters cannot be read")? {
            if let Some(id) = oracle::message_id(&letter) {
                self.registry.dead_letter(&id, Instant::now());
            }
        }
        let (waiting, unconfirmed) = (self.registry.waiting(), self.registry.unconfirmed());
        let mut unacknowledged = unconfirmed.len();
        if !waiting.is_empty() {
            screen.say(&format!("asking the broker for {} messages without an outcome ...", waiting.len()))?;
            let tls = Arc::new(world.files.client_config(&world.files.bridge)?);
            let held = leftovers::waiting(world.url(), tls, demo.protocol, session, LEFTOVERS).await;
            unacknowledged += waiting.iter().filter(|id| held.contains(*id)).count();
        }
        let missed = self.observer.read(|seen| seen.missed);
        anyhow::ensure!(missed == 0, "{missed} invocations went by unseen: the rate is too high for these accounts");
        let (counts, totals) = (self.registry.counts(), world.lambda.log().totals());
        let unacknowledged = unacknowledged as u64;
        #[allow(clippy::cast_precision_loss, reason = "message counts are far below 2^52")]
        let rate = counts.handled as f64 / duration.as_secs_f64();
        let summary = Summary {
            broker: world.broker.as_ref().map_or_else(|| world.url().to_string(), |broker| broker.name().to_owned()),
            protocol: demo.protocol.to_string(),
            duration_s: duration.as_secs_f64(),
            published: counts.published,
            handled: counts.handled,
            dead_lettered: counts.dead_lettered,
            unacknowledged,
            lost: counts.published - counts.handled - counts.dead_lettered - unacknowledged,
            duplicates: counts.duplicates,
            invocations: totals.invoked,
            failed_invocations: totals.invoked - totals.succeeded - totals.in_flight,
            rate,
            ..Summary::default()
        };
        Ok(self.observer.read(|seen| summary.with_latency(&seen.latency)))
    }
}

/// How the run is shown: never when its result is for a program and nobody watches.
#[must_use]
pub fn style(json: bool) -> (Style, bool) {
    let stderr = io::stderr();
    (Style::detect(&stderr), !json || stderr.is_terminal())
}
