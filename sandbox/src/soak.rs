//! `cargo sandbox soak`: applies random faults, for hours if needed, and reports the outcome of every message at the
//! end.
//!
//! The real bridge runs in a process of its own, so that it can be killed and its memory be measured.

mod letters;
mod plan;
mod report;
mod stage;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bridge::config::Protocol;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::leftovers;
use crate::proxy::Quality;
use crate::sensors::Registry;
use crate::world::{MAPPING, Usage};
use letters::Letters;
use stage::{PATIENCE, Stage};

pub use plan::{Kind, Plan, Strike};
pub use report::{Report, Sample, Struck};

/// The bridge's Keep Alive: the shortest there is, so that three of them fit into a soak.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const SAMPLE: Duration = Duration::from_secs(1);
/// How often it is said where the run stands.
const PROGRESS: Duration = Duration::from_secs(10);
/// How long things are left to flow after a fault, however long that one took.
const BREATH: Duration = Duration::from_secs(2);

/// What to do.
#[derive(Debug, Clone)]
pub struct Soak {
    /// How long faults strike.
    pub duration: Duration,
    /// How far apart they are, more or less.
    pub interval: Duration,
    /// Decides which and when.
    pub seed: u64,
    /// Messages a second.
    pub rate: f64,
    /// Which version of MQTT bridge and sensors speak.
    pub protocol: Protocol,
    /// Which kinds of faults.
    pub kinds: Vec<Kind>,
}

/// Runs it; says on the way what happens. Ctrl-C ends it early, with its accounts.
///
/// # Errors
/// When a part of the world does not start or does not do as told, or the books cannot be right.
pub async fn run(soak: Soak, say: impl Fn(&str) + Clone + Send + 'static) -> Result<Report> {
    say(&format!("seed {}: the same seed has the same faults", soak.seed));
    let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be heard")?;
    let mut stage = Stage::set(&soak).await?;
    let begun = Instant::now();
    let books = (Arc::clone(&stage.registry), Arc::clone(&stage.letters));
    let watch = Watch::start(begun, books, Arc::clone(&stage.id), say.clone());
    let kinds: Vec<_> = soak.kinds.iter().copied().filter(|kind| stage.can(*kind)).collect();
    let mut faults = Vec::new();
    let mut next = begun;
    for strike in Plan::new(soak.seed, soak.interval, &kinds) {
        next = (next + strike.after).max(Instant::now() + BREATH);
        if next - begun > soak.duration || !waited(next, &mut interrupt).await {
            break;
        }
        note_duplicates(&mut faults, &stage.registry);
        let at_s = begun.elapsed().as_secs_f64();
        say(&format!("{at_s:7.1} s  {} {}", strike.kind, strike.kind.words()));
        let carried_out = stage.strike(strike).await;
        carried_out.with_context(|| format!("{} at {at_s:.0} s, seed {}", strike.kind, soak.seed))?;
        let recovered_s = stage.recovered().await.map(|took| took.as_secs_f64());
        faults.push(Struck { at_s, kind: strike.kind, recovered_s, duplicates: stage.registry.counts().duplicates });
    }
    let _ = waited(begun + soak.duration, &mut interrupt).await;
    say("no more faults; waiting for the last messages ...");
    let mut report = Box::pin(account(stage, &soak, begun, &say)).await?;
    note_last_duplicates(&mut faults, report.duplicated);
    (report.faults, report.samples) = (faults, watch.samples());
    Ok(report)
}

/// False when Ctrl-C came first.
async fn waited(until: Instant, interrupt: &mut Signal) -> bool {
    tokio::select! {
        () = sleep_until(until.into()) => true,
        _ = interrupt.recv() => false,
    }
}

/// Until the next fault a fault holds the count of duplicates at its own time; then it is told how many came since.
fn note_duplicates(faults: &mut [Struck], registry: &Registry) {
    note_last_duplicates(faults, registry.counts().duplicates);
}

fn note_last_duplicates(faults: &mut [Struck], now: u64) {
    let earlier: u64 = faults.iter().rev().skip(1).map(|struck| struck.duplicates).sum();
    if let Some(last) = faults.last_mut() {
        last.duplicates = now - earlier;
    }
}

/// Repairs everything, waits for the last outcomes, ends the bridge, and asks the broker for what is missing.
async fn account(mut stage: Stage, soak: &Soak, begun: Instant, say: &impl Fn(&str)) -> Result<Report> {
    stage.proxy.set(Quality::default());
    stage.world.lambda.faults().clear();
    stage.sensors.hold(true);
    if stage.process.exited(Duration::ZERO).await?.is_some() {
        // A Ctrl-C on the terminal is for the bridge too.
        stage.start_bridge()?;
    }
    if !stage.quiet().await? {
        let log = stage.process.log();
        say(&format!("not all has its outcome; the bridge's last words: {:#?}", &log[log.len().saturating_sub(20)..]));
    }
    let duration_s = begun.elapsed().as_secs_f64();
    stage.process.signal("TERM").await?;
    let status = stage.process.exited(PATIENCE).await?.context("the bridge does not end")?;
    ensure!(status.success(), "the bridge ended with {status}: {:#?}", stage.process.log().last());
    stage.letters.book(&stage.registry)?;
    let Stage { world, proxy, mut sensors, registry, observer, starts, .. } = stage;
    sensors.stop(PATIENCE).await;
    let closing = registry.close();
    let mut held = BTreeSet::new();
    if !closing.waiting.is_empty() {
        let tls = Arc::new(world.files.client_config(&world.files.bridge)?);
        let session = format!("sandbox-{MAPPING}");
        held = leftovers::take(world.url(), tls, soak.protocol, &session, &closing.waiting, PATIENCE).await;
    }
    let missed = observer.read(|seen| seen.missed);
    ensure!(missed == 0, "{missed} invocations went by unseen: the rate is too high for these accounts");
    let (counts, totals) = (closing.counts, world.lambda.log().totals());
    let (unacknowledged, lost) = closing.split(&held);
    Ok(Report {
        seed: soak.seed,
        broker: world.broker.as_ref().map_or_else(String::new, |broker| broker.name().to_owned()),
        protocol: soak.protocol.to_string(),
        duration_s,
        published: counts.published,
        handled: counts.handled,
        dead_lettered: counts.dead_lettered,
        unacknowledged,
        lost,
        duplicated: counts.duplicates,
        invocations: totals.invoked,
        failed_invocations: totals.invoked - totals.succeeded - totals.in_flight,
        reconnects: proxy.connections().saturating_sub(starts),
        bridge_starts: starts,
        ..Report::default()
    })
}

/// Looks at the run once a second, and says now and then how it stands. Ends when it is dropped.
struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

impl Watch {
    fn start(
        begun: Instant,
        (registry, letters): (Arc<Registry>, Arc<Letters>),
        id: Arc<AtomicU32>,
        say: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&samples);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SAMPLE);
            let (mut last, mut said) = ((begun, 0), begun);
            loop {
                ticks.tick().await;
                // A file that cannot be read now is read again for the accounts, which report an error.
                let _ = letters.book(&registry);
                let sample = look(begun, &mut last, &registry, id.load(Ordering::Relaxed));
                lock(&book).push(sample);
                if said.elapsed() >= PROGRESS {
                    said = Instant::now();
                    say(&line(&sample, &registry));
                }
            }
        });
        Self { samples, task }
    }

    fn samples(self) -> Vec<Sample> {
        std::mem::take(&mut lock(&self.samples))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn look(begun: Instant, last: &mut (Instant, u64), registry: &Registry, id: u32) -> Sample {
    let (now, counts) = (Instant::now(), registry.counts());
    let since = now.saturating_duration_since(last.0).as_secs_f64().max(f64::EPSILON);
    #[allow(clippy::cast_precision_loss, reason = "messages of one second")]
    let rate = ((counts.handled - last.1) as f64 / since * 10.0).round() / 10.0;
    *last = (now, counts.handled);
    let usage = Usage::of(id).ok();
    Sample {
        at_s: (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        rate,
        in_flight: counts.published.saturating_sub(counts.handled + counts.dead_lettered),
        resident_bytes: usage.map(|usage| usage.resident),
        descriptors: usage.map(|usage| usage.descriptors as u64),
    }
}

fn line(sample: &Sample, registry: &Registry) -> String {
    let counts = registry.counts();
    let memory = sample.resident_bytes.unwrap_or_default() / (1024 * 1024);
    let descriptors = sample.descriptors.unwrap_or_default();
    format!(
        "{:7.1} s  published {} handled {} again {} rate {:.0}/s memory {memory} MiB descriptors {descriptors}",
        sample.at_s, counts.published, counts.handled, counts.duplicates, sample.rate,
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file that is there as a whole or not at all, whenever this ends.
///
/// # Errors
/// When the directory cannot be written to.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let readable = std::fs::Permissions::from_mode(0o644);
    let mut file = tempfile::Builder::new().prefix(".soak-").permissions(readable).tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("soak.svg");
        write_whole(&path, "one").unwrap();
        write_whole(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "something is left behind");
        assert!(write_whole(&directory.path().join("gone/soak.svg"), "three").is_err());
    }

    #[test]
    fn duplicates_belong_to_the_fault_before_them() {
        let struck = |duplicates| Struck { at_s: 0.0, kind: Kind::F1, recovered_s: None, duplicates };
        let mut faults = vec![struck(3), struck(4), struck(9)];
        note_last_duplicates(&mut faults, 12);
        assert_eq!(faults.iter().map(|struck| struck.duplicates).collect::<Vec<_>>(), [3, 4, 5]);
    }
}
