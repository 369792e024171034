//! The world of a soak: a broker that keeps its sessions, a connection that can be disturbed, the real bridge in a
//! separate process, sensors, and records. Applies faults; does not choose them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use tokio::time::sleep;

use super::letters::Letters;
use super::plan::{Kind, Strike};
use super::{KEEP_ALIVE, Soak};
use crate::broker::{Broker, BrokerOptions, Mosquitto};
use crate::lambda::{Action, Fault, Settings, When};
use crate::observer::Observer;
use crate::proxy::{Loss, Proxy, Quality};
use crate::sensors::{Registry, Sensors};
use crate::tools;
use crate::world::{BridgeProcess, BrokerKind, World};

/// How long anything may take that should take moments.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// How long a bad line and a bad Lambda last.
const SPELL: Duration = Duration::from_secs(10);
/// How long a stop of the bridge may take; a function that hangs uses all of it.
const DRAIN: Duration = Duration::from_secs(3);
const READING_EVERY: Duration = Duration::from_millis(20);

pub(super) struct Stage {
    pub(super) world: World,
    pub(super) proxy: Proxy,
    pub(super) process: BridgeProcess,
    pub(super) sensors: Sensors,
    pub(super) registry: Arc<Registry>,
    pub(super) observer: Observer,
    pub(super) letters: Arc<Letters>,
    /// Bridges started so far.
    pub(super) starts: u64,
    /// The bridge's process id, for whoever watches what it uses.
    pub(super) id: Arc<AtomicU32>,
}

impl Stage {
    /// Sets everything up, with the bridge subscribed and sensors publishing.
    pub(super) async fn set(soak: &Soak) -> Result<Self> {
        let kind = if tools::find_tool("mosquitto").is_ok() { BrokerKind::Mosquitto } else { BrokerKind::Embedded };
        let world = World::builder()
            .broker(kind)
            .broker_options(BrokerOptions { persistence: true, ..BrokerOptions::default() })
            .protocol(soak.protocol)
            .lambda(Settings { history: 16_384, output_lines: 100, ..Settings::default() })
            .set("drain_timeout", &humantime::format_duration(DRAIN).to_string())
            .set("mqtt.keep_alive", &humantime::format_duration(KEEP_ALIVE).to_string())
            .set("mapping.timeout", "5s")
            // Unlimited attempts, so that all but the bad readings are handled in the end, whatever Lambda does.
            .set("mapping.retry.max_attempts", "1000000")
            .set("mapping.retry.max_age", "1day");
        let mut world = world.without_bridge().await.context("the soak cannot start")?;
        let proxy = Proxy::start(world.url()).await.context("the proxy cannot start")?;
        world.set("mqtt.url", &proxy.url().to_string());
        let mut process = world.spawn_bridge()?;
        ensure!(process.logged("subscribed", PATIENCE).await, "the bridge is not subscribed: {:#?}", process.log());
        let invocations = world.lambda.log().subscribe();
        let sensors = world.sensors(|options| {
            (options.protocol, options.rate, options.bad_every) = (soak.protocol, soak.rate, Some(100));
        })?;
        let registry = sensors.registry();
        let observer = Observer::start(invocations, Arc::clone(&registry));
        let letters = Arc::new(Letters::of(world.dead_letter_file()));
        let id = Arc::new(AtomicU32::new(process.id().unwrap_or_default()));
        Ok(Self { world, proxy, process, sensors, registry, observer, letters, starts: 1, id })
    }

    /// Whether this kind can be carried out here: only Mosquitto forgets on request.
    pub(super) fn can(&self, kind: Kind) -> bool {
        kind != Kind::F8 || matches!(self.world.broker, Some(Broker::Mosquitto(_)))
    }

    /// Carries it out, from the fault to its end. Afterwards everything should flow again.
    pub(super) async fn strike(&mut self, strike: Strike) -> Result<()> {
        let mut random = Rng::with_seed(strike.seed);
        match strike.kind {
            Kind::F1 => {
                self.process.kill().await?;
                self.start_bridge()
            }
            Kind::F2 => self.restart_bridge().await,
            Kind::F3 => {
                let hang = self.world.lambda.faults().add(Fault::new(When::Always, Action::Hang));
                sleep(Duration::from_secs(1)).await;
                let restarted = self.restart_bridge().await;
                self.world.lambda.faults().remove(hang);
                restarted
            }
            Kind::F4 => {
                self.proxy.reset();
                Ok(())
            }
            Kind::F5 => self.bad_line(Quality { silent: true, ..Quality::default() }, KEEP_ALIVE * 3).await,
            Kind::F6 => {
                let loss = Loss { probability: 0.05, timeout: Duration::from_millis(200), seed: random.u64(..) };
                let delay = Duration::from_millis(20);
                let slow = Quality { delay, bytes_per_second: Some(125_000), loss: Some(loss), silent: false };
                self.bad_line(slow, SPELL).await
            }
            Kind::F7 if random.bool() => Ok(self.broker()?.restart().await?),
            Kind::F7 => self.kill_broker().await,
            Kind::F8 => self.lose_session().await,
            Kind::F9 => {
                self.bad_lambda(When::Always, Action::throttle(Some(Duration::from_secs(1)))).await;
                Ok(())
            }
            Kind::F10 => {
                let status = [500, 502, 503][random.usize(..3)];
                let when = When::Chance { probability: 0.2, seed: random.u64(..) };
                self.bad_lambda(when, Action::status(status)).await;
                Ok(())
            }
        }
    }

    /// Waits until the function has taken something more; how long that took, or none when it took too long.
    pub(super) async fn recovered(&self) -> Option<Duration> {
        let (begun, log) = (Instant::now(), self.world.lambda.log());
        let before = log.totals().succeeded;
        log.wait_for(PATIENCE, |log| log.totals().succeeded > before).await.ok().map(|()| begun.elapsed())
    }

    /// Waits until everything published is confirmed and has its outcome. False when nothing has moved for too long.
    pub(super) async fn quiet(&self) -> Result<bool> {
        let mut moved = (Instant::now(), self.registry.counts());
        loop {
            self.letters.book(&self.registry)?;
            let counts = self.registry.counts();
            if counts != moved.1 {
                moved = (Instant::now(), counts);
            }
            if counts.acked == counts.published && self.registry.close().waiting.is_empty() {
                return Ok(true);
            }
            if moved.0.elapsed() > PATIENCE {
                return Ok(false);
            }
            sleep(READING_EVERY).await;
        }
    }

    /// Starts a bridge where the last one has ended.
    pub(super) fn start_bridge(&mut self) -> Result<()> {
        self.process = self.world.spawn_bridge()?;
        self.starts += 1;
        self.id.store(self.process.id().unwrap_or_default(), Ordering::Relaxed);
        Ok(())
    }

    async fn restart_bridge(&mut self) -> Result<()> {
        self.process.signal("TERM").await?;
        let status = self.process.exited(PATIENCE).await?.context("the bridge does not end")?;
        ensure!(status.success(), "the bridge ended with {status}: {:#?}", self.process.log().last());
        self.start_bridge()
    }

    async fn bad_line(&self, quality: Quality, length: Duration) -> Result<()> {
        self.proxy.set(quality);
        sleep(length).await;
        self.proxy.set(Quality::default());
        Ok(())
    }

    async fn bad_lambda(&self, when: When, action: Action) {
        let fault = self.world.lambda.faults().add(Fault::new(when, action));
        sleep(SPELL).await;
        self.world.lambda.faults().remove(fault);
    }

    /// SIGKILL, once the broker has saved what it has confirmed: what it had not is its own loss.
    async fn kill_broker(&mut self) -> Result<()> {
        self.sensors.hold(true);
        let begun = Instant::now();
        while self.registry.counts().acked < self.registry.counts().published {
            ensure!(begun.elapsed() < PATIENCE, "the broker does not confirm what is published");
            sleep(READING_EVERY).await;
        }
        if let Some(mosquitto) = self.mosquitto() {
            mosquitto.save().await?;
        }
        let broker = self.broker()?;
        broker.kill().await?;
        broker.restart().await?;
        self.sensors.hold(false);
        Ok(())
    }

    /// The broker comes back without its sessions, when there was nothing in them to lose.
    async fn lose_session(&mut self) -> Result<()> {
        self.sensors.hold(true);
        ensure!(self.quiet().await?, "what was published has no outcome");
        let subscribed = self.process.count("subscribed");
        self.broker()?.stop().await?;
        if let Some(mosquitto) = self.mosquitto() {
            mosquitto.forget()?;
        }
        self.broker()?.restart().await?;
        let begun = Instant::now();
        while self.process.count("subscribed") == subscribed {
            ensure!(begun.elapsed() < PATIENCE, "the bridge does not subscribe again");
            sleep(READING_EVERY).await;
        }
        ensure!(self.process.count("session lost") > 0, "the bridge has raised no alarm for its lost session");
        self.sensors.hold(false);
        Ok(())
    }

    fn broker(&mut self) -> Result<&mut Broker> {
        self.world.broker.as_mut().context("the broker is somebody else's")
    }

    fn mosquitto(&mut self) -> Option<&mut Mosquitto> {
        match self.world.broker.as_mut() {
            Some(Broker::Mosquitto(mosquitto)) => Some(mosquitto),
            _ => None,
        }
    }
}
