//! `cargo sandbox sim`: plays seeds, or one seed again with all that happens in it.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;

use super::Habits;
use super::campaign::{Tally, play};
use super::plan::{Faults, Plan, Profile};
use super::stage::run;

/// How many of its last events a seed that fails shows.
const LAST: usize = 100;

/// Plays simulated worlds: the bridge's real code with a model broker, a model AWS and every fault drawn from a seed, on a
/// virtual clock. A seed that fails is played again, event for event, with `--seed`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from", "all"])]
    seed: Option<u64>,
    /// Show every event of it.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Only events with this text.
    #[arg(long, value_name = "TEXT", requires = "trace")]
    grep: Option<String>,
    /// Go on after a seed that fails.
    #[arg(long)]
    all: bool,
    /// What kind of worlds: `broker=NAME` and `faults=none|usual|heavy`, parted by commas.
    #[arg(long, value_parser = profile, default_value = "faults=usual")]
    profile: Profile,
}

const EXAMPLES: &str = "\
Examples:
  cargo sandbox sim                                     a thousand seeds
  cargo sandbox sim --profile broker=vernemq,faults=heavy
  cargo sandbox sim --seed 17 --trace                   one seed, event for event";

fn profile(text: &str) -> Result<Profile, String> {
    let mut profile = Profile::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("broker", name)) => {
                let known: Vec<_> = Habits::names().collect();
                let found = known.iter().find(|known| **known == name);
                profile.broker =
                    Some(found.ok_or_else(|| format!("broker `{name}`: unknown; one of {}", known.join(", ")))?);
            }
            Some(("faults", "none")) => profile.faults = Faults::None,
            Some(("faults", "usual")) => profile.faults = Faults::Usual,
            Some(("faults", "heavy")) => profile.faults = Faults::Heavy,
            _ => return Err(format!("`{part}`: unknown; write broker=NAME or faults=none|usual|heavy")),
        }
    }
    Ok(profile)
}

/// True when no promise was broken.
///
/// # Errors
/// When nothing can be written.
pub fn execute(flags: &Flags) -> io::Result<bool> {
    match flags.seed {
        Some(seed) => one(seed, flags),
        None => many(flags),
    }
}

fn one(seed: u64, flags: &Flags) -> io::Result<bool> {
    let plan = Plan::draw(seed, flags.profile);
    let outcome = run(&plan);
    let mut out = io::stdout().lock();
    write!(out, "{plan}")?;
    let skipped = if flags.trace { 0 } else { outcome.lines.len().saturating_sub(LAST) };
    if skipped > 0 && !outcome.violations.is_empty() {
        writeln!(out, "  … {skipped} events before; --trace shows them")?;
    }
    if flags.trace || !outcome.violations.is_empty() {
        for line in outcome.lines.iter().skip(skipped) {
            let line = line.to_string();
            if flags.grep.as_ref().is_none_or(|text| line.contains(text.as_str())) {
                writeln!(out, "{line}")?;
            }
        }
    }
    for violation in &outcome.violations {
        writeln!(out, "broken: {violation}")?;
    }
    let (messages, faults, lasted) = (outcome.messages, outcome.faults, round(outcome.lasted));
    writeln!(
        out,
        "{messages} messages, {faults} faults, {} invocations in {lasted:?} of its time",
        outcome.invocations
    )?;
    Ok(outcome.violations.is_empty())
}

fn many(flags: &Flags) -> io::Result<bool> {
    let live = io::stderr().is_terminal();
    let tally = play(flags.from, flags.seeds, flags.profile, flags.all, |tally| {
        if live && tally.worlds.is_multiple_of(20) {
            let _ = write!(io::stderr(), "\r{}/{} seeds, {} failed  ", tally.worlds, flags.seeds, tally.broken.len());
        }
    });
    if live {
        let _ = writeln!(io::stderr());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", summary(&tally))?;
    for (seed, violation) in &tally.broken {
        writeln!(out, "seed {seed}: {violation}")?;
    }
    if let Some((seed, _)) = tally.broken.first() {
        writeln!(out, "again: cargo sandbox sim --seed {seed} --trace")?;
    }
    Ok(tally.broken.is_empty())
}

fn summary(tally: &Tally) -> String {
    let Tally { worlds, messages, faults, invocations, lasted, took, broken, .. } = tally;
    let seconds = took.as_secs_f64().max(0.001);
    let rate = |number: u64| {
        #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
        let rate = number as f64 / seconds;
        rate
    };
    format!(
        "{worlds} seeds in {:?}, {} failed: {messages} messages, {faults} faults, {invocations} invocations, {:.1} hours of \
         their time; {:.1} seeds, {:.0} messages, {:.1} faults and {:.2} hours a second",
        round(*took),
        broken.len(),
        lasted.as_secs_f64() / 3600.0,
        rate(*worlds),
        rate(*messages),
        rate(*faults),
        lasted.as_secs_f64() / 3600.0 / seconds,
    )
}

fn round(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
