//! The goals of a release, each a ratio within one run. Pure.

use std::fmt;

use serde::Serialize;

use super::case::{Case, Incident};
use super::figures::{Figures, Report};
use super::scenario::{
    BATCHES, FIFTY_PUBLISHERS, FIVE_MILLISECONDS, HELD, HUNDRED_THOUSAND, IDLE_RATE, KILLED, LOOKS_INSIDE,
    ONE_PUBLISHER, PER_MESSAGE, PER_MESSAGE_SDK_LOOP, PYTHON, RAW, TEN_THOUSAND, THREE_HUNDRED_THOUSAND,
    TWENTY_MILLISECONDS,
};

/// On which side of its bound a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Side {
    AtMost,
    AtLeast,
}
use Side::{AtLeast, AtMost};

/// One goal, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Goal {
    name: &'static str,
    what: &'static str,
    side: Side,
    bound: f64,
    /// `None` where its cases were not played.
    figure: Option<f64>,
}

impl Goal {
    fn is_reached(&self) -> Option<bool> {
        self.figure.map(|figure| match self.side {
            AtMost => figure <= self.bound,
            AtLeast => figure >= self.bound,
        })
    }
}

/// All of them, after a run in which cases were made so many times smaller.
pub(super) fn goals(report: &Report, scale: f64) -> Vec<Goal> {
    let of = |case: Case, figure: fn(&Figures) -> f64| report.median(&case.scaled(scale), figure);
    let ratio = |above: Case, below: Case, figure: fn(&Figures) -> f64| Some(of(above, figure)? / of(below, figure)?);
    let goal = |name, what, figure, side, bound| Goal { name, what, side, bound, figure };
    // N invocations at once, each 20 ms and 1 ms of everything else.
    let limit = f64::from(TWENTY_MILLISECONDS.concurrency) / (TWENTY_MILLISECONDS.latency.as_secs_f64() + 0.001);
    let in_flight = f64::from(KILLED.concurrency * KILLED.batch);
    let copied = report.worst(Case::is_faultless_bridge, copies);
    let after_a_kill = report.worst(|case| case.incident == Incident::Kill, copies).map(|copies| copies / in_flight);
    vec![
        goal(
            "P1",
            "CPU a message, bridge ÷ bare SDK loop",
            ratio(PER_MESSAGE, PER_MESSAGE_SDK_LOOP, cpu),
            AtMost,
            0.25,
        ),
        goal(
            "P2",
            "throughput at 5 ms, bridge with 256 at once ÷ Python with 32 threads",
            ratio(FIVE_MILLISECONDS, PYTHON, rate),
            AtLeast,
            30.0,
        ),
        goal("P3", "CPU a message in batches of 100, bridge ÷ raw subscriber", ratio(BATCHES, RAW, cpu), AtMost, 1.2),
        goal("P3", "the same with filter, ordering key and message id", ratio(LOOKS_INSIDE, RAW, cpu), AtMost, 2.0),
        goal(
            "P4",
            "publication to invocation at 500/s, median, ms",
            of(IDLE_RATE, |run| milliseconds(run.p50_us)),
            AtMost,
            0.25,
        ),
        goal("P4", "the same, 99th percentile, ms", of(IDLE_RATE, |run| milliseconds(run.p99_us)), AtMost, 1.0),
        goal("P4", "CPU a message at 500/s, µs", of(IDLE_RATE, cpu), AtMost, 60.0),
        goal("P5", "memory at rest, MiB", of(PER_MESSAGE, |run| run.rest_mib), AtMost, 10.0),
        goal("P5", "memory under full load, MiB", of(PER_MESSAGE, peak), AtMost, 16.0),
        goal(
            "P5",
            "65,000 small messages held: memory ÷ what the metric says",
            of(HELD, |run| run.weighed.unwrap_or(f64::NAN)),
            AtMost,
            2.0,
        ),
        goal(
            "P6",
            "peak memory, backlog of 100,000 ÷ of 10,000",
            ratio(HUNDRED_THOUSAND, TEN_THOUSAND, peak),
            AtMost,
            1.1,
        ),
        goal("P6", "drain in batches of 100 ÷ raw subscriber's", ratio(BATCHES, RAW, rate), AtLeast, 0.6),
        goal("P6", "drain message by message ÷ raw subscriber's", ratio(HUNDRED_THOUSAND, RAW, rate), AtLeast, 0.3),
        goal("P7", "CPU a message, 300,000 ÷ 10,000", ratio(THREE_HUNDRED_THOUSAND, TEN_THOUSAND, cpu), AtMost, 1.1),
        goal(
            "P7",
            "CPU a message, saturated by 50 publishers ÷ by 1",
            ratio(FIFTY_PUBLISHERS, ONE_PUBLISHER, cpu),
            AtMost,
            1.1,
        ),
        // Zero means zero in each run of each case; so these two are no medians.
        goal("P8", "copies without a fault, at most in any run", copied, AtMost, 0.0),
        goal("P8", "copies after a kill ÷ messages in flight, at most in any run", after_a_kill, AtMost, 1.0),
        goal(
            "P9",
            "throughput at 20 ms ÷ what 64 at once could do",
            of(TWENTY_MILLISECONDS, rate).map(|rate| rate / limit),
            AtLeast,
            0.95,
        ),
    ]
}

fn cpu(run: &Figures) -> f64 {
    run.cpu_us_per_message
}

fn rate(run: &Figures) -> f64 {
    run.per_second
}

fn peak(run: &Figures) -> f64 {
    run.peak_mib
}

#[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
fn copies(run: &Figures) -> f64 {
    run.duplicates as f64
}

#[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e3
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, what, side, bound, figure } = self;
        let sign = if *side == AtMost { "≤" } else { "≥" };
        let verdict = match self.is_reached() {
            Some(true) => "reached",
            Some(false) => "missed",
            None => "not played",
        };
        let figure = figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.2}"));
        write!(f, "{name}  {figure:>9}  {sign} {bound:<5}  {verdict:<10}  {what}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::{report, run};
    use super::super::scenario::Scenario;
    use super::*;

    #[test]
    fn a_ratio_is_of_one_run_and_says_whether_it_is_reached() {
        for (cost, verdict) in [(10, "reached"), (11, "missed")] {
            let figures = vec![run(PER_MESSAGE_SDK_LOOP, 40), run(PER_MESSAGE, cost)];
            let goals = goals(&report(figures), 1.0);
            let first = goals[0].to_string();
            assert!(first.starts_with("P1") && first.contains(verdict), "{first}");
            assert_eq!(goals[1].figure, None);
            assert!(goals[1].to_string().contains("not played"));
        }
    }

    #[test]
    fn one_copy_in_one_run_is_too_many() {
        let (clean, mut copied) = (run(TEN_THOUSAND, 5), run(TEN_THOUSAND, 5));
        copied.duplicates = 1;
        let mut killed = [0, 7, 320].map(|duplicates| Figures { duplicates, ..run(KILLED, 5) }).to_vec();
        killed.extend([clean.clone(), copied, clean]);
        let goals = goals(&report(killed), 1.0);
        let found: Vec<_> = goals.iter().filter(|goal| goal.name == "P8").map(|goal| goal.figure.unwrap()).collect();
        assert_eq!(found, [1.0, 2.0]);
        assert!(goals.iter().filter(|goal| goal.name == "P8").all(|goal| goal.is_reached() == Some(false)));
    }

    #[test]
    fn the_scenario_of_the_goals_plays_all_that_they_need() {
        for scale in [1.0, 0.01] {
            let figures = Scenario::Goals.cases().into_iter().map(|case| run(case.scaled(scale), 5)).collect();
            let open: Vec<_> =
                goals(&report(figures), scale).into_iter().filter(|goal| goal.figure.is_none()).collect();
            assert_eq!(open, []);
        }
    }
}
