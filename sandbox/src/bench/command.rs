//! `cargo sandbox bench`: which scenario, how large, and with which binary and broker.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::case::Case;
use super::choice::{BrokerName, choose};
use super::decompression::{self, Decompression};
use super::exchange::{self, Exchange};
use super::figures::Report;
use super::goals::goals;
use super::header::Header;
use super::picture::bars::Bars;
use super::play::Stage;
use super::scenario::Scenario;
use super::{BenchError, pace, picture};
use crate::binaries;
use crate::progress::Progress;
use crate::soak::write_whole;

/// Measure what a message costs: throughput, CPU of the bridge alone, memory, and the time from publication to
/// invocation; and, in the same run, what other programs cost. Only ratios within one run mean something.
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub struct Flags {
    /// What to measure.
    #[arg(long, value_enum, default_value = "per-message")]
    scenario: Scenario,
    /// How often each case runs, in turn; the medians are compared, and the worst run where something must never happen.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Multiplies the number of messages of each case; 0.1 for a quick look.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// The bridge's executable; by default the one built with this program.
    #[arg(long, value_name = "FILE")]
    bridge: Option<PathBuf>,
    /// The broker; by default Mosquitto if it is installed, else the embedded one.
    #[arg(long, value_enum)]
    broker: Option<BrokerName>,
    /// Mosquitto's executable; by default the one in PATH.
    #[arg(long, value_name = "FILE")]
    mosquitto: Option<PathBuf>,
    /// How long nothing may arrive before the missing messages count as lost.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "15s")]
    patience: Duration,
    /// Draw the medians into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print header, figures and goals as JSON on stdout, and nothing else there.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  A backlog, message by message, by both clients for Lambda:
    cargo bench-sandbox

  Everything that a goal needs:
    cargo bench-sandbox --scenario goals --runs 1

  Beside Python and Node, which it installs below target/bench:
    cargo bench-sandbox --scenario peers --plot peers.svg

  500 messages a second, and how long they take:
    cargo bench-sandbox --scenario idle-rate --json

  With another Mosquitto:
    cargo bench-sandbox --mosquitto ~/mosquitto-2.1/src/mosquitto

`cargo bench-sandbox` is `cargo sandbox bench` with everything optimised as in a
release, which takes ten minutes and more to build.
HTTP/2 is no case: the bridge calls Lambda over HTTP/1.1 with both clients;
docs/performance.md says why (\"What was tried\").

Exit codes: 0 every message arrived, 1 some did not or a case could not be
played, 2 wrong usage.";

/// In seconds.
const PREPARED: f64 = 5.0;

/// The examples, and how long each scenario takes.
fn after_help() -> String {
    let runs = 3.0;
    let mut text = format!("{EXAMPLES}\n\nThree runs of an optimised build take about, on two cores:");
    for scenario in Scenario::value_variants() {
        let Some(value) = scenario.to_possible_value().filter(|value| !value.is_hide_set()) else { continue };
        // The cases, and the preparation before them.
        let time = Duration::from_secs_f64(runs * total(&scenario.cases()) + PREPARED);
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {:<14} {}", value.get_name(), pace::about(time));
    }
    text
}

fn total(cases: &[Case]) -> f64 {
    cases.iter().map(pace::seconds).sum()
}

impl Flags {
    /// What is wrong with them, though each alone is right.
    ///
    /// # Errors
    /// When they contradict each other.
    pub fn check(&self) -> Result<(), String> {
        if self.mosquitto.is_some() && self.broker == Some(BrokerName::Embedded) {
            return Err("--mosquitto names an executable that --broker embedded does not start; leave one of them out"
                .to_owned());
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(format!("--scale {}: must be above 0", self.scale));
        }
        Ok(())
    }
}

/// Plays it and prints what came of it. False when a message was lost.
///
/// # Errors
/// When the broker that was asked for is not there, or a part of the world does not start.
pub async fn execute(flags: &Flags) -> Result<bool, BenchError> {
    match flags.scenario {
        Scenario::Decompression => return decompress(flags).await.map(|()| true),
        Scenario::Exchange => return exchange(flags).await.map(|()| true),
        _ => {}
    }
    let broker = choose(flags.broker, flags.mosquitto.as_deref()).await?;
    let bridge = std::path::absolute(bridge(flags).await?)?;
    let header = Header::now(&bridge, broker.name.clone()).await?;
    let stage = Stage { bridge, broker, patience: flags.patience };
    let cases: Vec<_> = flags.scenario.cases().into_iter().map(|case| case.scaled(flags.scale)).collect();
    let mut report = Report { header, figures: Vec::new() };
    play_all(&stage, &cases, flags.runs, &mut report).await?;
    if let Some(path) = &flags.plot {
        write_whole(path, &picture::of(&report).draw()?)?;
    }
    writeln!(io::stdout(), "{}", told(&report, flags)?.trim_end())?;
    let lost = report.losses().next().is_some();
    Ok(!lost)
}

/// It is the bridge's code in this process, so that no binary and no broker are asked for.
async fn decompress(flags: &Flags) -> Result<(), BenchError> {
    let header = Header::now(&std::env::current_exe()?, "none".to_owned()).await?;
    let whole = Decompression { header, decompression: decompression::measure(flags.runs)? };
    print(&whole, &whole.picture(), flags)
}

async fn exchange(flags: &Flags) -> Result<(), BenchError> {
    let header = Header::now(&std::env::current_exe()?, "none".to_owned()).await?;
    let runs = flags.runs;
    let measured = tokio::task::spawn_blocking(move || exchange::measure(runs)).await.map_err(io::Error::other)?;
    let whole = Exchange { header, exchange_us: measured? };
    print(&whole, &whole.picture(), flags)
}

fn print(whole: &(impl Serialize + Display), picture: &Bars, flags: &Flags) -> Result<(), BenchError> {
    if let Some(path) = &flags.plot {
        write_whole(path, &picture.draw()?)?;
    }
    let text = if flags.json { serde_json::to_string_pretty(whole)? } else { whole.to_string() };
    Ok(writeln!(io::stdout(), "{}", text.trim_end())?)
}

async fn bridge(flags: &Flags) -> Result<PathBuf, BenchError> {
    if let Some(path) = &flags.bridge {
        let failed = |cause| BenchError::Bridge(path.clone(), cause);
        return tokio::fs::metadata(path).await.map(|_| path.clone()).map_err(failed);
    }
    let built = tokio::task::spawn_blocking(binaries::build).await.map_err(io::Error::other)?;
    Ok(built.map_err(io::Error::other)?.bridge)
}

/// Each case so often, the cases in turn, so that what else the machine does hits all of them.
async fn play_all(stage: &Stage, cases: &[Case], runs: u32, report: &mut Report) -> Result<(), BenchError> {
    let (all, begun, mut done) = (f64::from(runs) * total(cases), Instant::now(), 0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a benchmark")]
    let whole = |seconds: f64| seconds as u64;
    let progress = Progress::of_parts(whole(all));
    if let Some(warning) = report.header.warning() {
        progress.say(&warning);
    }
    for run in 1..=runs {
        for (number, case) in (1..).zip(cases) {
            let left = pace::about(pace::left(all, done, begun.elapsed()));
            let place = format!("run {run} of {runs}, case {number} of {}, about {left} left", cases.len());
            progress.say(&format!("{place}: {}, {case}", case.contender));
            progress.reached(whole(done), || place);
            report.figures.push(stage.play(case).await?);
            done += pace::seconds(case);
        }
    }
    progress.finish();
    Ok(())
}

fn told(report: &Report, flags: &Flags) -> Result<String, BenchError> {
    let goals = if flags.scenario == Scenario::Goals { goals(report, flags.scale) } else { Vec::new() };
    if flags.json {
        let Report { header, figures } = report;
        let whole = serde_json::json!({ "header": header, "figures": figures, "goals": goals });
        return Ok(serde_json::to_string_pretty(&whole)?);
    }
    Ok(goals.iter().fold(report.to_string(), |text, goal| format!("{text}\n{goal}")))
}
