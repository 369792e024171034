//! `cargo sandbox sim`: runs seeds, or repeats one seed and prints all its events.

mod profile;
mod summary;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::campaign::play;
use super::plan::{Plan, Profile};
use super::shrink::{Less, shrink};
use super::stage::{Outcome, run};
use crate::progress::Progress;
use crate::soak::write_whole;

/// How many of its last events a seed that fails shows.
const LAST: usize = 100;

/// Plays simulated worlds: the bridge's real code with a model broker, a model AWS and every fault drawn from a seed,
/// on a virtual clock. A seed that fails is shown with its last events and as a picture, and is played again, event for
/// event, with `--seed`.
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
    /// Find fewer faults that still break the promise.
    #[arg(long)]
    shrink: bool,
    /// Only these faults of the seed, by the numbers that it shows; or `none`.
    #[arg(long, value_name = "NUMBERS", value_parser = profile::keep, requires = "seed")]
    keep: Option<Keep>,
    /// Leave out what else the seed has drawn.
    #[arg(long, value_name = "NAMES", value_parser = profile::part, value_delimiter = ',', requires = "seed")]
    without: Vec<&'static str>,
    /// Go on after a seed that fails.
    #[arg(long)]
    all: bool,
    /// What kind of worlds: `broker=NAME`, `faults=none|usual|heavy`, `filters=several`, `mappings=two`,
    /// `lambda=strange` and `worlds=plain`, parted by commas.
    #[arg(long, value_parser = profile::profile, default_value = "faults=usual")]
    profile: Profile,
    /// Where the picture of the first seed that fails goes.
    #[arg(long, value_name = "FILE", default_value = "target/sim.svg")]
    plot: PathBuf,
}

/// Worlds between two lines that say how far it is, where nobody looks.
const SAID: u64 = 1_000;

/// The numbers of the faults that stay.
type Keep = Vec<usize>;

const EXAMPLES: &str = "\
Examples:
  cargo sandbox sim                                     a thousand seeds
  cargo sandbox sim --profile broker=vernemq,faults=heavy
  cargo sandbox sim --seed 17 --trace                   one seed, event for event
  cargo sandbox sim --seed 17 --shrink                  what it takes at least
  cargo sandbox sim --seed 17 --keep 2,5 --without lies the same, smaller";

/// True when no promise was broken.
///
/// # Errors
/// When nothing can be written.
pub fn execute(flags: &Flags) -> io::Result<bool> {
    match flags.seed {
        Some(seed) => {
            let less = Less { keep: flags.keep.clone(), without: flags.without.clone() };
            one(seed, &less, flags)
        }
        None => many(flags),
    }
}

fn one(seed: u64, less: &Less, flags: &Flags) -> io::Result<bool> {
    let whole = Plan::draw(seed, flags.profile);
    let plan = less.of(whole.clone());
    let outcome = run(&plan);
    let mut out = io::stdout().lock();
    write!(out, "{plan}")?;
    show(&mut out, &outcome, flags)?;
    let Some(first) = outcome.violations.first() else { return Ok(true) };
    if let Some(picture) = &outcome.picture {
        draw(&mut out, &picture.to_svg()?, &flags.plot)?;
    }
    if flags.shrink {
        let fails = |plan: &Plan| run(plan).violations.iter().any(|violation| violation.promise == first.promise);
        let least = shrink(&plan, fails);
        // The numbers of the whole plan.
        let keep = least.keep.as_ref().map(|kept| match &less.keep {
            Some(given) => kept.iter().filter_map(|index| given.get(*index).copied()).collect(),
            None => kept.clone(),
        });
        let without = less.without.iter().chain(&least.without).copied().collect();
        let least = Less { keep, without };
        write!(out, "at least it takes\n{}", least.of(whole))?;
        writeln!(out, "again: cargo sandbox sim --seed {seed}{} --trace", least.arguments())?;
    }
    Ok(false)
}

fn show(out: &mut impl Write, outcome: &Outcome, flags: &Flags) -> io::Result<()> {
    let skipped = if flags.trace { 0 } else { outcome.lines.len().saturating_sub(LAST) };
    if flags.trace || !outcome.violations.is_empty() {
        if skipped > 0 {
            writeln!(out, "  … {skipped} events before; --trace shows them")?;
        }
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
    let (messages, faults, lasted) = (outcome.messages, outcome.faults, summary::round(outcome.lasted));
    let invocations = outcome.invocations;
    writeln!(out, "{messages} messages, {faults} faults, {invocations} invocations in {lasted:?} of its time")
}

fn draw(out: &mut impl Write, svg: &str, file: &Path) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    write_whole(file, svg)?;
    writeln!(out, "picture: {}", file.display())
}

fn many(flags: &Flags) -> io::Result<bool> {
    let progress = Progress::of("worlds", flags.seeds);
    let tally = play(flags.from, flags.seeds, flags.profile, flags.all, |tally| {
        progress.reached(tally.worlds, || summary::so_far(tally));
        // Into a file a line now and then: a night that is cut short has its sum there.
        if !progress.is_shown() && tally.worlds.is_multiple_of(SAID) {
            progress.say(&summary::progress(tally, flags.seeds));
        }
    });
    progress.finish();
    let mut out = io::stdout().lock();
    writeln!(out, "{}", summary::of(&tally))?;
    for (seed, violation) in &tally.broken {
        writeln!(out, "seed {seed}: {violation}")?;
    }
    let Some((seed, _)) = tally.broken.first() else { return Ok(true) };
    drop(out);
    one(*seed, &Less::default(), flags)?;
    println!("again: cargo sandbox sim --seed {seed} --trace");
    Ok(false)
}
