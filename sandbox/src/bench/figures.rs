//! The result of one run of one case, and the results of several runs together. Pure.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::case::{Case, Incident};
use super::header::Header;
use super::stub::Seen;
use crate::world::Usage;

/// What a process has spent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    /// User and system time, for the messages alone.
    pub(super) cpu: Duration,
    /// Memory at rest, in bytes.
    pub(super) rest: u64,
    pub(super) usage: Usage,
}

/// One run of one case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    #[serde(skip)]
    pub(super) case: Case,
    pub(super) contender: String,
    pub(super) what: String,
    pub(super) broker: String,
    pub(super) per_second: f64,
    /// User and system time of the contender alone.
    pub(super) cpu_us_per_message: f64,
    /// Its memory at rest, at the end, and at most.
    pub(super) rest_mib: f64,
    pub(super) resident_mib: f64,
    pub(super) peak_mib: f64,
    /// From publication to invocation; of a backlog, mostly the time that it lay there.
    pub(super) p50_us: u64,
    pub(super) p90_us: u64,
    pub(super) p99_us: u64,
    pub(super) invocations: u64,
    /// Invoked more often than once.
    pub(super) duplicates: u64,
    /// Published and confirmed, and never invoked.
    pub(super) lost: u64,
    /// Memory above that at rest, by what the bridge says that it holds.
    pub(super) weighed: Option<f64>,
}

impl Figures {
    /// Of what has come: rate and cost are those of the messages that are there, however many are lost.
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    pub(super) fn of(case: &Case, seen: &Seen, spent: Spent, weighed: Option<f64>, broker: String) -> Self {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let there = seen.different as f64;
        let took = Duration::from_micros(seen.took).as_secs_f64();
        Self {
            case: *case,
            contender: case.contender.to_string(),
            what: case.to_string(),
            broker,
            // The messages of the first invocation are outside of the measured time.
            per_second: if seen.took == 0 { 0.0 } else { seen.different.saturating_sub(seen.head) as f64 / took },
            cpu_us_per_message: spent.cpu.as_secs_f64() * 1e6 / there.max(1.0),
            rest_mib: mib(spent.rest),
            resident_mib: mib(spent.usage.resident),
            peak_mib: mib(spent.usage.peak),
            p50_us: seen.p50,
            p90_us: seen.p90,
            p99_us: seen.p99,
            invocations: seen.invocations,
            duplicates: seen.messages.saturating_sub(seen.different),
            lost: case.messages.saturating_sub(seen.different),
            weighed,
        }
    }
}

/// All runs of a scenario.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) header: Header,
    pub(super) figures: Vec<Figures>,
}

impl Report {
    /// The median over the runs of this case; `None` where it was not played.
    pub(super) fn median(&self, case: &Case, figure: impl Fn(&Figures) -> f64) -> Option<f64> {
        let mut all: Vec<_> = self.figures.iter().filter(|run| run.case == *case).map(figure).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    }

    /// The largest over all runs of all these cases, for what must not happen in any; `None` where none was played.
    pub(super) fn worst(&self, of: impl Fn(&Case) -> bool, figure: impl Fn(&Figures) -> f64) -> Option<f64> {
        self.figures.iter().filter(|run| of(&run.case)).map(figure).max_by(f64::total_cmp)
    }

    /// Each case once, in the order of the runs.
    pub(super) fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for Figures { case, .. } in &self.figures {
            if !cases.contains(case) {
                cases.push(*case);
            }
        }
        cases
    }

    /// Runs that have lost something.
    pub(super) fn losses(&self) -> impl Iterator<Item = &Figures> {
        self.figures.iter().filter(|run| run.lost > 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header)?;
        writeln!(
            f,
            "{:<15}{:>10}{:>10}{:>8}{:>8}{:>10}{:>10}{:>7}{:>6}  what",
            "who", "msg/s", "CPU µs/m", "RSS MiB", "peak", "p50 µs", "p99 µs", "twice", "lost"
        )?;
        for run in &self.figures {
            // A held window, and a subscriber that invokes nothing, have no times.
            let timed = run.case.contender.invokes() && run.case.incident != Incident::Hold;
            let time = |at: u64| if timed { at.to_string() } else { "–".to_owned() };
            writeln!(
                f,
                "{:<15}{:>10.0}{:>10.1}{:>8.1}{:>8.1}{:>10}{:>10}{:>7}{:>6}  {}",
                run.contender,
                run.per_second,
                run.cpu_us_per_message,
                run.rest_mib,
                run.peak_mib,
                time(run.p50_us),
                time(run.p99_us),
                run.duplicates,
                run.lost,
                run.what
            )?;
        }
        for run in self.losses() {
            writeln!(f, "lost: {} of {} messages: {}, {}", run.lost, run.case.messages, run.contender, run.what)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::case::Contender;
    use super::super::header::tests::header;
    use super::*;

    /// A run of this case that has cost so much.
    pub(in super::super) fn run(case: Case, cpu_us_per_message: u64) -> Figures {
        let usage = Usage { resident: 2 << 20, peak: 3 << 20, descriptors: 9 };
        let cpu = Duration::from_micros(cpu_us_per_message * case.messages);
        let seen = Seen { different: case.messages, messages: case.messages, took: 2_000_000, ..Seen::default() };
        Figures::of(&case, &seen, Spent { cpu, rest: 1 << 20, usage }, None, "b".into())
    }

    /// A report of these runs.
    pub(in super::super) fn report(figures: Vec<Figures>) -> Report {
        Report { header: header("release"), figures }
    }

    #[test]
    fn a_case_has_the_median_and_the_worst_of_its_runs() {
        let (one, other) = (Case::backlog(Contender::Lean, 100), Case::backlog(Contender::Sdk, 100));
        let figures = [(one, 40), (other, 7), (one, 90), (one, 44)].map(|(case, cost)| run(case, cost)).to_vec();
        let report = report(figures);
        assert_eq!(report.median(&one, |run| run.cpu_us_per_message), Some(44.0));
        assert_eq!(report.worst(|case| *case == one, |run| run.cpu_us_per_message), Some(90.0));
        assert_eq!(report.median(&Case::backlog(Contender::Raw, 100), |run| run.per_second), None);
        assert_eq!(report.worst(|_| false, |run| run.per_second), None);
        assert_eq!(report.cases(), [one, other]);
        assert!(report.to_string().starts_with("2026-01-02") && report.to_string().contains("bridge, sdk"), "{report}");
        assert!(!report.to_string().contains("lost:") && report.losses().next().is_none(), "{report}");
    }

    #[test]
    fn what_is_missing_is_lost_and_what_came_again_is_a_copy() {
        let case = Case::backlog(Contender::Lean, 100);
        let seen = Seen { different: 98, messages: 103, took: 1_000_000, head: 10, ..Seen::default() };
        let spent =
            Spent { cpu: Duration::from_micros(980), rest: 0, usage: Usage { resident: 0, peak: 0, descriptors: 0 } };
        let run = Figures::of(&case, &seen, spent, None, "b".into());
        assert_eq!((run.lost, run.duplicates), (2, 5));
        // Lost messages must not make a program look faster or cheaper.
        assert!((run.per_second - 88.0).abs() < 1e-9 && (run.cpu_us_per_message - 10.0).abs() < 1e-9, "{run:?}");
        let report = report(vec![run]);
        assert_eq!(report.losses().count(), 1);
        assert!(report.to_string().contains("lost: 2 of 100 messages: bridge, lean, 100 queued"), "{report}");
    }

    #[test]
    fn nothing_at_all_is_a_row_too() {
        let case = Case::backlog(Contender::Raw, 100);
        let usage = Usage { resident: 0, peak: 0, descriptors: 0 };
        let run = Figures::of(&case, &Seen::default(), Spent { cpu: Duration::ZERO, rest: 0, usage }, None, "b".into());
        assert_eq!((run.lost, run.duplicates), (100, 0));
        assert!(run.per_second.abs() < 1e-9, "{run:?}");
    }
}
