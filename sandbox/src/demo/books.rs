//! The books of one run: the current message flow, and at the end the place of each message.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::Signal;
use tokio::sync::broadcast::Receiver;

use super::screen::Screen;
use super::{Demo, Patience};
use crate::lambda::Invocation;
use crate::leftovers;
use crate::observer::Observer;
use crate::oracle;
use crate::report::{Snapshot, Summary};
use crate::sensors::{Registry, Sensors};
use crate::world::World;

/// How often the block moves.
const FRAME: Duration = Duration::from_millis(200);

/// The books of one run.
pub(super) struct Books {
    registry: Arc<Registry>,
    observer: Observer,
    begun: Instant,
    patience: Patience,
    /// Handled messages at the last look, and when that was.
    last: (u64, Instant),
    rate: f64,
}

impl Books {
    pub(super) fn open(sensors: &Sensors, invocations: Receiver<Arc<Invocation>>, patience: Patience) -> Self {
        let registry = sensors.registry();
        let observer = Observer::start(invocations, Arc::clone(&registry));
        let begun = Instant::now();
        Self { registry, observer, begun, patience, last: (0, begun), rate: 0.0 }
    }

    /// Shows what flows until the time is over or Ctrl-C.
    pub(super) async fn watch(
        &mut self,
        world: &World,
        duration: Option<Duration>,
        interrupt: &mut Signal,
        screen: &mut Screen,
    ) -> Result<()> {
        let mut frames = tokio::time::interval(FRAME);
        loop {
            tokio::select! {
                _ = frames.tick() => screen.show(&self.snapshot(world, screen.commands()))?,
                _ = interrupt.recv() => return Ok(()),
            }
            if duration.is_some_and(|duration| self.begun.elapsed() >= duration) {
                return Ok(());
            }
        }
    }

    /// Waits until all that the broker has is handled or dead-lettered. A second Ctrl-C ends the waiting.
    pub(super) async fn settle(
        &mut self,
        world: &World,
        unconfirmed: u64,
        interrupt: &mut Signal,
        screen: &mut Screen,
    ) -> Result<()> {
        let mut frames = tokio::time::interval(FRAME);
        let deadline = Instant::now() + self.patience.messages;
        let mut said = false;
        while Instant::now() < deadline {
            let snapshot = self.snapshot(world, screen.commands());
            screen.show(&snapshot)?;
            if snapshot.in_flight <= unconfirmed {
                break;
            }
            if !std::mem::replace(&mut said, true) {
                let (left, seconds) = (snapshot.in_flight, self.patience.messages.as_secs());
                screen.say(&format!("without an outcome yet: {left}; waiting up to {seconds} s; Ctrl-C ends it"))?;
            }
            tokio::select! {
                _ = frames.tick() => {}
                _ = interrupt.recv() => break,
            }
        }
        Ok(())
    }

    fn snapshot(&mut self, world: &World, commands: Option<u64>) -> Snapshot {
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
        self.observer.read(|seen| {
            let lately = seen.recent.at(now);
            Snapshot {
                elapsed: self.begun.elapsed(),
                published: counts.published,
                invoked: totals.invoked,
                acknowledged: counters.acknowledged.get(),
                failed: totals.invoked.saturating_sub(totals.succeeded + totals.in_flight),
                dead_lettered,
                in_flight: counts.published.saturating_sub(counts.handled + dead_lettered),
                rate: self.rate,
                p50: seen.latency.percentile(50.0),
                p99: seen.latency.percentile(99.0),
                recent_p50: lately.percentile(50.0),
                recent_p99: lately.percentile(99.0),
                commands,
                last_readings: seen.readings.values().cloned().collect(),
            }
        })
    }

    /// Accounts for every message: what the function has taken, what lies in the failure destination, and what the
    /// broker still holds, which is asked of the broker itself. The bridge has ended.
    pub(super) async fn account(
        self,
        world: &World,
        demo: &Demo,
        session: &str,
        screen: &mut Screen,
    ) -> Result<Summary> {
        let duration = self.begun.elapsed();
        // An invocation can outlive the bridge that made it, and may still answer.
        let log = world.lambda.log();
        log.wait_for(self.patience.invocations, |log| log.totals().in_flight == 0)
            .await
            .context("an invocation does not end: the function hangs")?;
        let totals = log.totals();
        let missed = self.observer.caught_up(totals.invoked).await;
        anyhow::ensure!(missed == 0, "{missed} invocations went by unseen: the rate is too high for these accounts");
        for letter in world.dead_letters().context("dead letters cannot be read")? {
            if let Some(id) = oracle::message_id(&letter) {
                self.registry.dead_letter(&id, Instant::now());
            }
        }
        let closing = self.registry.close();
        let mut held = BTreeSet::new();
        if !closing.waiting.is_empty() {
            screen.say(&format!("asking the broker for {} messages without an outcome ...", closing.waiting.len()))?;
            let tls = Arc::new(world.files.client_config(&world.files.bridge)?);
            let (protocol, within) = (demo.protocol, self.patience.leftovers);
            held = leftovers::take(world.url(), tls, protocol, session, &closing.waiting, within).await;
        }
        let (unacknowledged, lost) = closing.split(&held);
        let counts = closing.counts;
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
            lost,
            duplicates: counts.duplicates,
            invocations: totals.invoked,
            failed_invocations: totals.invoked - totals.succeeded,
            commands: screen.commands(),
            rate,
            ..Summary::default()
        };
        Ok(self.observer.read(|seen| summary.with_latency(&seen.latency)))
    }
}
