//! Draws the runs of a benchmark: the header, and for each case the cost of a message, the messages per second, the
//! memory, and, if messages arrive at a fixed rate, the latency. Pure.

pub(super) mod bars;

use super::case::{Case, Incident, Load};
use super::figures::{Figures, Report};
use bars::{Bars, Column, Row};

/// A figure, how it is written, and the cases that have it.
struct Figure {
    name: &'static str,
    of: fn(&Figures) -> f64,
    digits: usize,
    has: fn(&Case) -> bool,
}

const FIGURES: [Figure; 5] = [
    Figure { name: "CPU a message, µs", of: |run| run.cpu_us_per_message, digits: 1, has: |_| true },
    Figure { name: "messages a second", of: |run| run.per_second, digits: 0, has: is_not_held },
    Figure { name: "memory at most, MiB", of: |run| run.peak_mib, digits: 1, has: |_| true },
    Figure { name: "p50 to invocation, ms", of: |run| milliseconds(run.p50_us), digits: 2, has: is_timed },
    Figure { name: "p99 to invocation, ms", of: |run| milliseconds(run.p99_us), digits: 2, has: is_timed },
];

fn is_not_held(case: &Case) -> bool {
    case.incident != Incident::Hold
}

/// Of a backlog the time is mostly that of the publishers.
fn is_timed(case: &Case) -> bool {
    matches!(case.load, Load::Rate(_)) && case.contender.invokes()
}

#[allow(clippy::cast_precision_loss, reason = "times of a benchmark are far below 2^52")]
fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e3
}

/// The medians of all cases.
pub(super) fn of(report: &Report) -> Bars {
    let cases = report.cases();
    let runs = report.figures.len() / cases.len().max(1);
    let medians = if runs == 1 { "one run".to_owned() } else { format!("medians of {runs} runs") };
    let lost = report.losses().count();
    let lost = (lost > 0).then(|| format!("LOST: {lost} of {} runs lost messages, those in red", report.figures.len()));
    Bars {
        title: format!("What a message costs: {medians}; only ratios within one run mean something"),
        lines: report.header.lines().into(),
        loud: report.header.warning().into_iter().chain(lost).collect(),
        rows: cases.iter().map(|case| row(report, case)).collect(),
        columns: FIGURES
            .iter()
            .filter(|figure| cases.iter().any(figure.has))
            .map(|figure| figure.column(report, &cases))
            .collect(),
    }
}

fn row(report: &Report, case: &Case) -> Row {
    Row {
        label: format!("{}: {case}", case.contender),
        is_own: case.contender.is_bridge(),
        is_loud: report.losses().any(|run| run.case == *case),
    }
}

impl Figure {
    fn column(&self, report: &Report, cases: &[Case]) -> Column {
        let value = |case| report.median(case, self.of).filter(|value| (self.has)(case) && value.is_finite());
        Column { name: self.name.to_owned(), digits: self.digits, values: cases.iter().map(value).collect() }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::super::case::Contender;
    use super::super::figures::tests::{report, run};
    use super::super::header::tests::header;
    use super::super::scenario::{IDLE_RATE, PER_MESSAGE, PER_MESSAGE_SDK, Scenario};
    use super::*;

    #[test]
    fn what_takes_away_from_the_figures_is_in_red() {
        let mut loses = run(PER_MESSAGE, 5);
        loses.lost = 1;
        let bars = of(&Report { header: header("debug"), figures: vec![loses, run(PER_MESSAGE_SDK, 5)] });
        assert!(bars.loud[0].contains("DEBUG BUILD") && bars.loud[1].contains("LOST: 1 of 2 runs"), "{bars:?}");
        assert_eq!(bars.rows.iter().map(|row| row.is_loud).collect::<Vec<_>>(), [true, false]);
        assert_eq!(bars.draw().unwrap().matches("#BE1E1E").count(), 3);
    }

    #[test]
    fn the_header_is_in_the_picture() {
        let svg = of(&report(vec![run(PER_MESSAGE, 5)])).draw().unwrap();
        for part in ["Mosquitto 2.0.11", "0123456789ab", "one run", "bridge, lean: 40,000 queued"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("to invocation"), "{svg}");
    }

    #[test]
    fn times_are_shown_where_messages_come_at_a_rate() {
        let bars = of(&report(vec![run(IDLE_RATE, 5), run(IDLE_RATE.by(Contender::Raw), 5)]));
        let times = bars.columns.iter().find(|column| column.name.contains("p50")).unwrap();
        assert_eq!(times.values, [Some(0.0), None]);
    }

    #[test]
    fn every_scenario_has_a_picture_within_its_bounds() {
        for scenario in Scenario::value_variants() {
            let runs = scenario.cases().into_iter().map(|case| run(case, 20)).collect();
            let svg = of(&report(runs)).draw().unwrap();
            let number = |line: &str, name: &str| -> Option<u32> {
                line.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?.parse().ok()
            };
            let first = svg.lines().next().unwrap();
            let (width, height) = (number(first, "width").unwrap(), number(first, "height").unwrap());
            for line in svg.lines().skip(1).filter(|line| line.starts_with("<text")) {
                let (x, y) = (number(line, "x").unwrap(), number(line, "y").unwrap());
                assert!(x < width && y < height, "{scenario:?}: {line}");
            }
        }
    }
}
