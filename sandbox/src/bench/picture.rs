//! The runs of a benchmark as bars, in SVG: what a message costs, and how many there are in a second.

use plotters::prelude::*;

use super::BenchError;
use super::case::Case;
use super::figures::{Figures, Report};

const WIDTH: u32 = 1100;
const ROW: u32 = 26;
const LEFT: i32 = 460;
const TOP: i32 = 64;
const BAR: i32 = 250;
const BETWEEN: i32 = 330;
const LETTERS: i32 = 13;

/// A figure, and how it is written.
type Column = (&'static str, fn(&Figures) -> f64);

const COLUMNS: [Column; 2] =
    [("CPU a message, µs", |run| run.cpu_us_per_message), ("messages a second", |run| run.per_second)];

/// Draws the medians of all cases into a document.
///
/// # Errors
/// When a shape cannot be drawn.
pub(super) fn draw(report: &Report) -> Result<String, BenchError> {
    let cases = report.cases();
    let rows = u32::try_from(cases.len()).unwrap_or(u32::MAX);
    let mut svg = String::new();
    {
        let area =
            SVGBackend::with_string(&mut svg, (WIDTH, TOP.unsigned_abs() + rows * ROW + ROW)).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        let broker = report.figures.first().map_or("", |run| run.broker.as_str());
        write(&area, "What a message costs, medians", (16, 14), 18)?;
        write(
            &area,
            &format!("broker: {broker}; logarithmic; only ratios within one run mean something"),
            (16, 38),
            LETTERS,
        )?;
        for (column, (name, figure)) in (0..).zip(COLUMNS) {
            bars(&area, report, &cases, name, figure, LEFT + column * BETWEEN)?;
        }
        for (row, case) in (0..).zip(&cases) {
            let place = (16, TOP + row * 26 + 6);
            write(&area, &format!("{}: {case}", case.contender), place, LETTERS)?;
        }
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn bars(
    area: &Area<'_>,
    report: &Report,
    cases: &[Case],
    name: &str,
    figure: fn(&Figures) -> f64,
    left: i32,
) -> Result<(), BenchError> {
    write(area, name, (left, 38), LETTERS)?;
    let values: Vec<_> = cases.iter().map(|case| report.median(case, figure).unwrap_or_default()).collect();
    let largest = values.iter().copied().fold(1.0, f64::max).ln_1p();
    for (row, (case, value)) in (0..).zip(cases.iter().zip(&values)) {
        #[allow(clippy::cast_possible_truncation, reason = "within a bar")]
        let width = (f64::from(BAR) * value.ln_1p() / largest) as i32;
        let colour = if case.contender.is_bridge() { RGBColor(31, 111, 139) } else { RGBColor(170, 170, 170) };
        let top = TOP + row * 26 + 4;
        area.draw(&Rectangle::new([(left, top), (left + width.max(1), top + 18)], colour.filled())).map_err(drawing)?;
        write(area, &format!("{value:.1}"), (left + width + 6, top + 2), LETTERS)?;
    }
    Ok(())
}

fn write(area: &Area<'_>, text: &str, place: (i32, i32), size: i32) -> Result<(), BenchError> {
    area.draw_text(text, &("sans-serif", size).into_text_style(area), place).map_err(drawing)
}

fn drawing(error: impl std::fmt::Display) -> BenchError {
    BenchError::Picture(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::case::Contender;
    use super::super::figures::tests::run;
    use super::*;

    #[test]
    fn a_longer_bar_is_a_larger_figure() {
        let (cheap, dear) = (Case::backlog(Contender::Lean, 10), Case::backlog(Contender::Sdk, 10));
        let svg = draw(&Report { figures: vec![run(cheap, 5), run(dear, 500)] }).unwrap();
        let widths: Vec<u32> = svg
            .lines()
            .filter(|line| line.contains("#1F6F8B"))
            .filter_map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        assert!(widths.len() == 4 && widths[0] < widths[1], "{widths:?}\n{svg}");
        assert!(svg.contains("bridge, lean: 10 queued"), "{svg}");
    }
}
