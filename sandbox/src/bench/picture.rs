//! The runs of a benchmark as bars, in SVG: the header, and of each case what a message costs, how many there are in a second, the
//! memory, and where messages come at a rate, how long they take.

use plotters::prelude::*;

use super::BenchError;
use super::case::{Case, Incident, Load};
use super::figures::{Figures, Report};

const ROW: i32 = 26;
const LEFT: i32 = 20;
/// A letter of this size is about half as wide.
const LETTERS: i32 = 13;
const LETTER: i32 = 7;
const LINE: i32 = 20;
const BAR: i32 = 170;
/// Bar, figure and air.
const COLUMN: i32 = 260;
/// Bars that differ more than so many times cannot be seen beside each other on one scale from zero.
const SPAN: f64 = 50.0;
const BRIDGE: RGBColor = RGBColor(31, 111, 139);
const OTHER: RGBColor = RGBColor(170, 170, 170);
const INK: RGBColor = RGBColor(34, 34, 34);
const LOUD: RGBColor = RGBColor(190, 30, 30);

/// A figure, how it is written, and the cases that have it.
#[derive(Debug, Clone, Copy)]
struct Column {
    name: &'static str,
    figure: fn(&Figures) -> f64,
    digits: usize,
    of: fn(&Case) -> bool,
}

const COLUMNS: [Column; 5] = [
    Column { name: "CPU a message, µs", figure: |run| run.cpu_us_per_message, digits: 1, of: |_| true },
    Column { name: "messages a second", figure: |run| run.per_second, digits: 0, of: is_not_held },
    Column { name: "memory at most, MiB", figure: |run| run.peak_mib, digits: 1, of: |_| true },
    Column { name: "p50 to invocation, ms", figure: |run| milliseconds(run.p50_us), digits: 2, of: is_timed },
    Column { name: "p99 to invocation, ms", figure: |run| milliseconds(run.p99_us), digits: 2, of: is_timed },
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

/// Draws the medians of all cases into a document.
///
/// # Errors
/// When a shape cannot be drawn.
pub(super) fn draw(report: &Report) -> Result<String, BenchError> {
    let cases = report.cases();
    let columns: Vec<_> = COLUMNS.into_iter().filter(|column| cases.iter().any(column.of)).collect();
    let labels: Vec<_> = cases.iter().map(|case| format!("{}: {case}", case.contender)).collect();
    let longest = labels.iter().map(|label| size(label.chars().count())).max().unwrap_or_default();
    let (bars, top) = (LEFT + longest * LETTER + 20, head_height(report));
    let (width, height) = (bars + size(columns.len()) * COLUMN, top + size(cases.len()) * ROW + LINE);
    let mut svg = String::new();
    {
        let extent = (width.max(900).unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, extent).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        head(&area, report)?;
        for (row, (case, label)) in (0..).zip(cases.iter().zip(&labels)) {
            let lost = report.worst(|other| other == case, |run| if run.lost > 0 { 1.0 } else { 0.0 }) > Some(0.0);
            write(&area, label, (LEFT, top + row * ROW + 6), LETTERS, if lost { LOUD } else { INK })?;
        }
        for (place, column) in (0..).zip(columns) {
            column.draw(&area, report, &cases, (bars + place * COLUMN, top))?;
        }
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// The header's lines below the title; in red what takes away from the figures.
fn head(area: &Area<'_>, report: &Report) -> Result<(), BenchError> {
    write(area, "What a message costs: medians; only ratios within one run mean something", (LEFT, 14), 18, INK)?;
    let lines = report.header.lines();
    let loud = loud(report);
    let lines = lines.iter().map(|line| (line, INK)).chain(loud.iter().map(|line| (line, LOUD)));
    for (number, (line, colour)) in (0..).zip(lines) {
        write(area, line, (LEFT, 42 + number * LINE), LETTERS, colour)?;
    }
    Ok(())
}

fn loud(report: &Report) -> Vec<String> {
    let lost = report.losses().count();
    let lost = (lost > 0).then(|| format!("LOST: {lost} of {} runs lost messages, those in red", report.figures.len()));
    report.header.warning().into_iter().chain(lost).collect()
}

/// With the line of the columns' names.
fn head_height(report: &Report) -> i32 {
    42 + size(report.header.lines().len() + loud(report).len()) * LINE + 2 * LINE
}

impl Column {
    fn draw(
        &self,
        area: &Area<'_>,
        report: &Report,
        cases: &[Case],
        (left, top): (i32, i32),
    ) -> Result<(), BenchError> {
        let Self { name, figure, digits, of } = self;
        let values: Vec<_> = cases
            .iter()
            .map(|case| report.median(case, figure).filter(|value| of(case) && value.is_finite()))
            .collect();
        let scale = Scale::of(values.iter().flatten().copied());
        let name = if scale.is_logarithmic { format!("{name} (log)") } else { (*name).to_owned() };
        write(area, &name, (left, top - LINE), LETTERS, INK)?;
        for (row, (case, value)) in (0..).zip(cases.iter().zip(values)) {
            let place = top + row * ROW + 4;
            let Some(value) = value else {
                write(area, "–", (left, place + 2), LETTERS, INK)?;
                continue;
            };
            let width = scale.width(value);
            let colour = if case.contender.is_bridge() { BRIDGE } else { OTHER };
            let bar = Rectangle::new([(left, place), (left + width, place + 18)], colour.filled());
            area.draw(&bar).map_err(drawing)?;
            write(area, &number(value, *digits), (left + width + 6, place + 2), LETTERS, INK)?;
        }
        Ok(())
    }
}

/// How long a bar is.
#[derive(Debug, Clone, Copy)]
struct Scale {
    largest: f64,
    is_logarithmic: bool,
}

impl Scale {
    /// From zero, unless the smallest could not be seen.
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let largest = values.clone().fold(0.0, f64::max);
        let smallest = values.filter(|value| *value > 0.0).fold(largest, f64::min);
        Self { largest, is_logarithmic: largest > smallest * SPAN }
    }

    fn width(self, value: f64) -> i32 {
        let part = |value: f64| if self.is_logarithmic { value.ln_1p() } else { value };
        let width = f64::from(BAR) * part(value) / part(self.largest).max(f64::MIN_POSITIVE);
        #[allow(clippy::cast_possible_truncation, reason = "within a bar")]
        let width = width as i32;
        width.max(1)
    }
}

/// With commas between thousands.
fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    whole.parse().map_or_else(|_| text.clone(), |whole| super::case::grouped(whole) + rest)
}

fn size(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn write(area: &Area<'_>, text: &str, place: (i32, i32), size: i32, colour: RGBColor) -> Result<(), BenchError> {
    let style = ("sans-serif", size).into_text_style(area).color(&colour);
    area.draw_text(text, &style, place).map_err(drawing)
}

fn drawing(error: impl std::fmt::Display) -> BenchError {
    BenchError::Picture(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::case::Contender;
    use super::super::figures::tests::{report, run};
    use super::super::header::tests::header;
    use super::super::scenario::{IDLE_RATE, PER_MESSAGE, PER_MESSAGE_SDK, Scenario};
    use super::*;
    use clap::ValueEnum;

    fn widths(svg: &str) -> Vec<u32> {
        svg.lines()
            .filter(|line| line.contains("#1F6F8B"))
            .filter_map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect()
    }

    #[test]
    fn a_bar_is_as_long_as_its_figure() {
        let svg = draw(&report(vec![run(PER_MESSAGE, 50), run(PER_MESSAGE_SDK, 500)])).unwrap();
        assert_eq!(widths(&svg)[..2], [17, 170], "{svg}");
        assert!(svg.contains("bridge, lean: 40,000 queued") && !svg.contains("(log)"), "{svg}");
        assert!(svg.contains("Mosquitto 2.0.11") && svg.contains("0123456789ab"), "{svg}");
        assert!(!svg.contains("to invocation"), "{svg}");
    }

    #[test]
    fn figures_that_lie_far_apart_are_on_a_scale_that_says_so() {
        let svg = draw(&report(vec![run(PER_MESSAGE, 5), run(PER_MESSAGE_SDK, 5_000)])).unwrap();
        assert!(svg.contains("CPU a message, µs (log)"), "{svg}");
        let widths = widths(&svg);
        assert!(widths[0] > 17 && widths[0] < widths[1], "{widths:?}");
    }

    #[test]
    fn what_takes_away_from_the_figures_is_in_red() {
        let mut loses = run(PER_MESSAGE, 5);
        loses.lost = 1;
        let svg = draw(&Report { header: header("debug"), figures: vec![loses, run(PER_MESSAGE_SDK, 5)] }).unwrap();
        assert!(svg.contains("DEBUG BUILD") && svg.contains("LOST: 1 of 2 runs"), "{svg}");
        assert_eq!(svg.matches("#BE1E1E").count(), 3, "{svg}");
    }

    #[test]
    fn every_scenario_has_a_picture_within_its_bounds() {
        for scenario in Scenario::value_variants() {
            let svg = draw(&report(scenario.cases().into_iter().map(|case| run(case, 20)).collect())).unwrap();
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

    #[test]
    fn times_are_shown_where_messages_come_at_a_rate() {
        let svg = draw(&report(vec![run(IDLE_RATE, 5), run(IDLE_RATE.by(Contender::Raw), 5)])).unwrap();
        assert!(svg.contains("p50 to invocation, ms") && svg.contains('–'), "{svg}");
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!([number(1_234_567.8, 0), number(0.256, 2), number(4_096.04, 1)], ["1,234,568", "0.26", "4,096.0"]);
    }
}
