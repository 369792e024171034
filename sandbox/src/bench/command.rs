//! `cargo sandbox bench`: which scenario, how large, and with which binary.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::BenchError;
use super::figures::Report;
use super::scenario::{Scenario, Stub, play};
use crate::broker::BrokerOptions;
use crate::lambda::{Answer, Function};
use crate::world::{BrokerKind, FUNCTION, World};
use crate::{binaries, tools};

/// Measures what a message costs, with both clients for Lambda in one run: throughput, CPU of the bridge alone, memory, and the
/// time from publication to invocation.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// What is played.
    #[arg(long, value_enum, default_value = "per-message")]
    scenario: Name,
    /// How long the endpoint takes.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "0s")]
    latency: Duration,
    /// Messages of each run.
    #[arg(long)]
    messages: Option<u64>,
    /// Invocations at once.
    #[arg(long, default_value_t = 64)]
    concurrency: u32,
    /// Runs of each client, in turn.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// The bridge's binary; the one of this profile unless given.
    #[arg(long, value_name = "FILE")]
    bridge: Option<PathBuf>,
    /// The broker in this process, also where there is Mosquitto.
    #[arg(long)]
    embedded: bool,
    /// Print the figures as JSON on stdout, and nothing else there.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo sandbox bench                                       a backlog, message by message
  cargo sandbox bench --scenario batches                    the same in batches of 100
  cargo sandbox bench --scenario idle-rate                  500 messages a second, and how long they take
  cargo sandbox bench --latency 5ms --concurrency 256 --json

A build without optimisations says little: build the bridge with `--release` first, and name it with --bridge.";

/// A scenario by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// A backlog, one message an invocation.
    PerMessage,
    /// A backlog in batches of 100.
    Batches,
    /// 500 messages a second, one an invocation.
    IdleRate,
}

impl Name {
    /// Its name, messages unless said, messages a second, and messages an invocation.
    fn shape(self) -> (&'static str, u64, Option<f64>, u32) {
        match self {
            Self::PerMessage => ("per-message", 20_000, None, 1),
            Self::Batches => ("batches", 100_000, None, 100),
            Self::IdleRate => ("idle-rate", 5_000, Some(500.0), 1),
        }
    }
}

/// Plays it and prints what came of it.
///
/// # Errors
/// When a part of the world does not start, or a message does not arrive.
pub async fn execute(flags: &Flags) -> Result<(), BenchError> {
    let (name, messages, rate, batch) = flags.scenario.shape();
    let world = world(flags, batch).await?;
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
    let binary = std::path::absolute(binary)?;
    let stub = Stub::start(flags.latency).await?;
    let scenario = Scenario { messages: flags.messages.unwrap_or(messages), rate };
    let mut figures = Vec::new();
    for run in 0..flags.runs {
        for client in ["sdk", "lean"] {
            eprintln!("run {} of {}: {client}", run + 1, flags.runs);
            figures.push(play(&world, &stub, &binary, client, scenario).await?);
        }
    }
    let report = Report {
        scenario: name,
        broker: world.broker.as_ref().map_or("a broker", |broker| broker.name()).to_owned(),
        latency_ms: flags.latency.as_secs_f64() * 1e3,
        concurrency: flags.concurrency,
        batch,
        figures,
    };
    let text = if flags.json { serde_json::to_string_pretty(&report)? } else { report.to_string() };
    Ok(writeln!(io::stdout(), "{text}")?)
}

async fn world(flags: &Flags, batch: u32) -> Result<World, BenchError> {
    let is_there = tools::find_tool("mosquitto").is_ok();
    let broker = if is_there && !flags.embedded { BrokerKind::Mosquitto } else { BrokerKind::Embedded };
    // Nothing may be dropped, nor wait for the broker.
    let options = BrokerOptions { max_queued_messages: 1_000_000, max_inflight: 10_000, ..BrokerOptions::default() };
    let builder = World::builder()
        .broker(broker)
        .broker_options(options)
        .function(Function::inline(FUNCTION, |_| async { Answer::null() }))
        .set("mapping.concurrency", &flags.concurrency.to_string())
        .set("mapping.receive_maximum", "2000")
        .set("mapping.batch.max_records", &batch.to_string());
    let builder = if batch > 1 { builder.set("mapping.batch.max_window", "10ms") } else { builder };
    Ok(builder.without_bridge().await?)
}
