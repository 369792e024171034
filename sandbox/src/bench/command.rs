//! `cargo sandbox bench`: which scenario, how large, and with which binary.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::BenchError;
use super::figures::Report;
use super::goals::goals;
use super::picture;
use super::play::Stage;
use super::scenario::Scenario;
use crate::progress::Progress;
use crate::soak::write_whole;
use crate::world::BrokerKind;
use crate::{binaries, tools};

/// Measures what a message costs: throughput, CPU of the bridge alone, memory, and the time from publication to invocation; beside
/// it, in the same run, what others cost. Only ratios within one run mean something.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// What is played.
    #[arg(long, value_enum, default_value = "per-message")]
    scenario: Scenario,
    /// Runs of each case, in turn; medians are compared.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Times as many messages as usual in each case; 0.1 for a quick look.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// The bridge's binary; the one of this profile unless given.
    #[arg(long, value_name = "FILE")]
    bridge: Option<PathBuf>,
    /// The broker in this process, also where there is Mosquitto.
    #[arg(long)]
    embedded: bool,
    /// How long nothing new may come before the messages that are missing count as lost.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "15s")]
    patience: Duration,
    /// Draw the medians into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print the figures as JSON on stdout, and nothing else there.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo bench-sandbox                                    a backlog, message by message, by both clients
  cargo bench-sandbox --scenario goals --runs 1          everything that a goal needs: about five minutes
  cargo bench-sandbox --scenario peers --plot peers.svg  beside Python and Node, which it installs below target/bench
  cargo bench-sandbox --scenario idle-rate --json        500 messages a second, and how long they take

`cargo bench-sandbox` is `cargo sandbox bench` with everything optimised as in a release, which takes ten minutes to build.";

/// Plays it and prints what came of it. False when a message was lost.
///
/// # Errors
/// When a part of the world does not start.
pub async fn execute(flags: &Flags) -> Result<bool, BenchError> {
    let binary = match &flags.bridge {
        Some(path) => path.clone(),
        None => {
            tokio::task::spawn_blocking(binaries::build)
                .await
                .map_err(io::Error::other)?
                .map_err(io::Error::other)?
                .bridge
        }
    };
    let stage = Stage { bridge: std::path::absolute(binary)?, broker: broker(flags), patience: flags.patience };
    let mut report = Report { figures: Vec::new() };
    let cases = flags.scenario.cases();
    let progress = Progress::of("cases", u64::from(flags.runs) * cases.len() as u64);
    for run in 1..=flags.runs {
        for (number, case) in (1..).zip(&cases) {
            let case = case.scaled(flags.scale);
            progress.say(&format!(
                "run {run} of {}, case {number} of {}: {}, {case}",
                flags.runs,
                cases.len(),
                case.contender
            ));
            report.figures.push(stage.play(&case).await?);
            progress.reached(report.figures.len() as u64, String::new);
        }
    }
    progress.finish();
    if let Some(path) = &flags.plot {
        write_whole(path, &picture::draw(&report)?)?;
    }
    let goals = if flags.scenario == Scenario::Goals { goals(&report, flags.scale) } else { Vec::new() };
    let text = if flags.json {
        serde_json::to_string_pretty(&serde_json::json!({ "figures": report.figures, "goals": goals }))?
    } else {
        goals.iter().fold(report.to_string(), |text, goal| format!("{text}\n{goal}"))
    };
    writeln!(io::stdout(), "{}", text.trim_end())?;
    let lost = report.losses().next().is_some();
    Ok(!lost)
}

fn broker(flags: &Flags) -> BrokerKind {
    let is_there = tools::find_tool("mosquitto").is_ok();
    if is_there && !flags.embedded { BrokerKind::Mosquitto } else { BrokerKind::Embedded }
}
