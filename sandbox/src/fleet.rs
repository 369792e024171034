//! `cargo sandbox fleet`: the size and the cost of a fleet of bridges for a message rate, and its behaviour when a part
//! of it fails. A model with a seed; docs/scaling.md lists its assumptions. It starts nothing.

mod model;
mod prices;
mod size;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Args, ValueEnum};

pub use model::{Deals, Incident};
use model::{Played, play};
use prices::Prices;
use size::{Fleet, Load};

/// Calculate how many replicas and how much concurrency a rate takes, what a month costs, and what an incident does: a
/// model, whose assumptions are in docs/scaling.md.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// Messages a second.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000), default_value_t = 10_000)]
    rate: u32,
    /// Messages in one invocation.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000), default_value_t = 100)]
    batch: u32,
    /// How long an invocation takes.
    #[arg(long, value_parser = a_duration, default_value = "50ms")]
    invocation: Duration,
    /// Memory of the function, in MiB.
    #[arg(long, value_parser = clap::value_parser!(u32).range(128..=10_240), default_value_t = 256)]
    memory: u32,
    /// The account's concurrency quota, or what is reserved for the function.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), default_value_t = 1_000)]
    quota: u32,
    /// What happens a minute after the start.
    #[arg(long, value_enum, default_value = "none")]
    incident: Incident,
    /// What the broker does with the share of a replica that is away: docs/scaling.md says which broker does what.
    #[arg(long, value_enum, default_value = "waits")]
    broker_deals: Deals,
    /// Decides which replicas get more than their share, and when bursts come.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const EXAMPLES: &str = "\
Examples:
  The fleet for 100,000 messages a second, and what it costs:
    cargo sandbox fleet --rate 100000 --batch 100

  A replica dies, and comes back after a minute:
    cargo sandbox fleet --rate 100000 --batch 100 --incident loss

  Restarts, with a broker that deals the share of a replica to the others:
    cargo sandbox fleet --incident deploy --broker-deals redistributes

  A function without environments at the start:
    cargo sandbox fleet --rate 10000 --batch 1 --invocation 10ms --incident cold";

fn a_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let is_good = (Duration::from_millis(1)..=Duration::from_mins(15)).contains(&duration);
    if is_good { Ok(duration) } else { Err("must be 1ms at least, and 15m at most".to_owned()) }
}

/// Sizes the fleet and plays ten minutes of it.
///
/// # Errors
/// When the prices cannot be read.
pub fn execute(flags: &Flags) -> Result<Answer, serde_json::Error> {
    let Flags { rate, batch, invocation, memory, quota, incident, broker_deals, seed } = *flags;
    let load = Load { rate: f64::from(rate), batch: f64::from(batch), invocation: invocation.as_secs_f64() };
    let fleet = Fleet::of(load);
    let played = play(fleet, f64::from(quota), incident, broker_deals, seed);
    Ok(Answer { fleet, month: Prices::known()?.month(&fleet, f64::from(memory) / 1024.0), quota, incident, played })
}

/// What the model says of a replica that is killed and comes back, for real runs to be held against.
#[derive(Debug)]
pub struct Killed {
    /// Messages that may come a second time.
    pub copies_at_most: f64,
    /// Which part of what comes meanwhile waits for it: from the least to the most over some seeds.
    pub waits: RangeInclusive<f64>,
}

/// Of two replicas, with so many invocations at once each, that take a tenth of a second.
#[must_use]
pub fn one_of_two_killed(concurrency: u32, deals: Deals) -> Killed {
    let load = Load { rate: f64::from(concurrency) * 10.0, batch: 1.0, invocation: 0.1 };
    let fleet = Fleet { load, replicas: 2, concurrency };
    let runs = (0..50).map(|seed| play(fleet, fleet.quota(), Incident::Kill, deals, seed));
    let shares: Vec<f64> = runs.map(|played| played.dealt_to_absent / played.came_meanwhile).collect();
    let (least, most) =
        shares.iter().fold((1.0_f64, 0.0_f64), |(least, most), share| (least.min(*share), most.max(*share)));
    Killed { copies_at_most: play(fleet, fleet.quota(), Incident::Kill, deals, 0).copies, waits: least..=most }
}

/// What is said of it.
#[derive(Debug)]
pub struct Answer {
    fleet: Fleet,
    month: prices::Month,
    quota: u32,
    incident: Incident,
    played: Played,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fleet, month, quota, incident, played } = self;
        writeln!(f, "replicas          {:>14}   of one vCPU each, one of them to spare", fleet.replicas)?;
        writeln!(f, "concurrency       {:>14}   a replica; {:.0} in all", fleet.concurrency, fleet.environments())?;
        writeln!(f, "invocations       {:>14.0}   a second", fleet.invocations())?;
        writeln!(
            f,
            "a month           {:>14}   Lambda {}, replicas {}",
            dollars(month.all()),
            dollars(month.lambda),
            dollars(month.replicas)
        )?;
        let least = if fleet.is_for_requests() {
            format!("a tenth of {:.0} requests a second", fleet.quota() * size::REQUESTS)
        } else {
            "for the concurrency".to_owned()
        };
        writeln!(f, "quota             {:>14.0}   at least, {least}", fleet.quota())?;
        if fleet.quota() > f64::from(*quota) {
            writeln!(
                f,
                "                  {quota:>14}   is too low: ask for {:.0}, or make larger batches",
                fleet.quota()
            )?;
        }
        let name = incident.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        writeln!(f, "\nten minutes, incident: {name}")?;
        writeln!(f, "most at the broker{:>14.0}   messages", played.backlog)?;
        writeln!(f, "longest wait      {:>14.1}   seconds", played.wait)?;
        writeln!(f, "throttled         {:>14.0}   invocations, tried again", played.throttled)?;
        write!(f, "copies, at most   {:>14.0}   messages", played.copies)
    }
}

/// In whole dollars.
fn dollars(amount: f64) -> String {
    format!("${amount:.0}")
}

#[cfg(test)]
mod tests;
