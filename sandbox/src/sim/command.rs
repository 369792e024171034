//! `cargo sandbox sim`: runs seeds, or repeats one seed and prints all its events.

mod profile;
mod summary;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::campaign::{Campaign, play};
use super::plan::{Plan, Profile};
use super::shrink::{Less, shrink};
use super::stage::{Outcome, run};
use crate::progress::Progress;
use crate::soak::write_whole;

/// How many of its last events a seed that fails shows.
const LAST: usize = 100;

/// Simulate worlds: the bridge's real code with a model broker, a model AWS and faults that a seed decides, on a virtual
/// clock. A seed that fails is shown with its last events and as a picture; `--seed` repeats it, event for event.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Begin no other seed after this time, such as `60s` or `8h`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    at_most: Option<Duration>,
    /// Run only this seed.
    #[arg(long, conflicts_with_all = ["seeds", "from", "all", "at_most"])]
    seed: Option<u64>,
    /// With `--seed`: print every event.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// With `--trace`: print only events that contain this text.
    #[arg(long, value_name = "TEXT", requires = "trace")]
    grep: Option<String>,
    /// After a failure, search for fewer faults that still break the promise.
    #[arg(long)]
    shrink: bool,
    /// With `--seed`: keep only these of its faults, by the numbers that it prints, or `none`; all by default.
    #[arg(long, value_name = "NUMBERS", value_parser = profile::keep, requires = "seed")]
    keep: Option<Keep>,
    /// With `--seed`: leave out these other parts of its world, for example `lies` (invalid responses of the
    /// function); an unknown name lists them all.
    #[arg(long, value_name = "NAMES", value_parser = profile::part, value_delimiter = ',', requires = "seed")]
    without: Vec<&'static str>,
    /// Continue after a seed that fails.
    #[arg(long)]
    all: bool,
    /// The kind of worlds: `broker=NAME`, `faults=none|usual|heavy`, `filters=several`, `mappings=two`,
    /// `brokers=two`, `lambda=strange`, `devices=careless` and `worlds=plain`, separated by commas; any broker by default.
    #[arg(long, value_parser = profile::profile, default_value = "faults=usual")]
    profile: Profile,
    /// The file for the picture of the first seed that fails, as SVG.
    #[arg(long, value_name = "FILE", default_value = "target/sim.svg")]
    plot: PathBuf,
}

/// Worlds between two lines that say how far it is, where nobody looks.
const SAID: u64 = 1_000;

/// The numbers of the faults that stay.
type Keep = Vec<usize>;

const EXAMPLES: &str = "\
Examples:
  A thousand seeds; `cargo sim` is the same, optimised:
    cargo sandbox sim

  As many as a night allows, and all that fail:
    cargo sim --seeds 10000000 --at-most 8h --all

  Worlds in which the broker behaves like VerneMQ, with many faults:
    cargo sandbox sim --profile broker=vernemq,faults=heavy

  One seed, event for event:
    cargo sandbox sim --seed 17 --trace

  The fewest faults with which it still fails; and to repeat them:
    cargo sandbox sim --seed 17 --shrink
    cargo sandbox sim --seed 17 --keep 2,5 --without lies

Exit codes: 0 no promise was broken, 1 one was, 2 wrong usage.";

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
        // As numbered in the whole plan.
        let keep = least.keep.as_ref().map(|kept| match &less.keep {
            Some(given) => kept.iter().filter_map(|index| given.get(*index).copied()).collect(),
            None => kept.clone(),
        });
        let without = less.without.iter().chain(&least.without).copied().collect();
        let least = Less { keep, without };
        write!(out, "at least it takes\n{}", least.of(whole))?;
        let (kind, less) = (profile::chosen(flags.profile), least.arguments());
        writeln!(out, "again: cargo sandbox sim --seed {seed}{kind}{less} --trace")?;
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
    let Flags { from, seeds, at_most, profile, all, .. } = *flags;
    let campaign = Campaign { first: from, seeds, at_most, profile, goes_on: all };
    let tally = play(campaign, |tally| {
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
    println!("again: cargo sandbox sim --seed {seed}{} --trace", profile::chosen(flags.profile));
    Ok(false)
}
