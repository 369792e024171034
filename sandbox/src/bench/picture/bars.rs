//! Rows of bars in SVG, with a head above them. Knows nothing of what they mean. Pure.

use plotters::prelude::*;

use super::super::BenchError;
use super::super::case::grouped;

const ROW: i32 = 26;
const LEFT: i32 = 20;
/// A letter of this size is about half as wide.
const LETTERS: i32 = 13;
const LETTER: i32 = 7;
const LINE: i32 = 20;
const TITLE: i32 = 42;
const BAR: i32 = 170;
/// Bar, figure and air.
const COLUMN: i32 = 260;
/// A head has room beside few columns.
const LEAST_WIDTH: i32 = 900;
/// Bars that differ more than so many times cannot be seen beside each other on one scale from zero.
const SPAN: f64 = 50.0;
const OWN: RGBColor = RGBColor(31, 111, 139);
const OTHER: RGBColor = RGBColor(170, 170, 170);
const INK: RGBColor = RGBColor(34, 34, 34);
const LOUD: RGBColor = RGBColor(190, 30, 30);

/// A picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct Bars {
    pub(in super::super) title: String,
    /// Below the title.
    pub(in super::super) lines: Vec<String>,
    /// Below those, in red.
    pub(in super::super) loud: Vec<String>,
    pub(in super::super) rows: Vec<Row>,
    pub(in super::super) columns: Vec<Column>,
}

/// What the bars of a row are about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct Row {
    pub(in super::super) label: String,
    /// Ours, not what ours is compared with.
    pub(in super::super) is_own: bool,
    /// In red.
    pub(in super::super) is_loud: bool,
}

/// One figure of all rows; `None` where a row has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct Column {
    pub(in super::super) name: String,
    /// Behind the point.
    pub(in super::super) digits: usize,
    pub(in super::super) values: Vec<Option<f64>>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

impl Bars {
    /// As a whole document.
    ///
    /// # Errors
    /// When a shape cannot be drawn.
    pub(in super::super) fn draw(&self) -> Result<String, BenchError> {
        let longest = self.rows.iter().map(|row| size(row.label.chars().count())).max().unwrap_or_default();
        let (bars, top) = (LEFT + longest * LETTER + 20, TITLE + size(self.lines.len() + self.loud.len() + 2) * LINE);
        let (width, height) = (bars + size(self.columns.len()) * COLUMN, top + size(self.rows.len()) * ROW + LINE);
        let mut svg = String::new();
        {
            let extent = (width.max(LEAST_WIDTH).unsigned_abs(), height.unsigned_abs());
            let area = SVGBackend::with_string(&mut svg, extent).into_drawing_area();
            area.fill(&WHITE).map_err(drawing)?;
            self.head(&area)?;
            for (place, row) in (0..).zip(&self.rows) {
                let colour = if row.is_loud { LOUD } else { INK };
                write(&area, &row.label, (LEFT, top + place * ROW + 6), LETTERS, colour)?;
            }
            for (place, column) in (0..).zip(&self.columns) {
                column.draw(&area, &self.rows, (bars + place * COLUMN, top))?;
            }
            area.present().map_err(drawing)?;
        }
        Ok(svg)
    }

    fn head(&self, area: &Area<'_>) -> Result<(), BenchError> {
        write(area, &self.title, (LEFT, 14), 18, INK)?;
        let loud = self.loud.iter().map(|line| (line, LOUD));
        for (number, (line, colour)) in (0..).zip(self.lines.iter().map(|line| (line, INK)).chain(loud)) {
            write(area, line, (LEFT, TITLE + number * LINE), LETTERS, colour)?;
        }
        Ok(())
    }
}

impl Column {
    fn draw(&self, area: &Area<'_>, rows: &[Row], (left, top): (i32, i32)) -> Result<(), BenchError> {
        let scale = Scale::of(self.values.iter().flatten().copied());
        let remark = if scale.is_logarithmic { " (log)" } else { "" };
        write(area, &format!("{}{remark}", self.name), (left, top - LINE), LETTERS, INK)?;
        for (place, (row, value)) in (0..).zip(rows.iter().zip(&self.values)) {
            let top = top + place * ROW + 4;
            let Some(value) = *value else {
                write(area, "–", (left, top + 2), LETTERS, INK)?;
                continue;
            };
            let width = scale.width(value);
            let colour = if row.is_own { OWN } else { OTHER };
            let bar = Rectangle::new([(left, top), (left + width, top + 18)], colour.filled());
            area.draw(&bar).map_err(drawing)?;
            write(area, &number(value, self.digits), (left + width + 6, top + 2), LETTERS, INK)?;
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
    whole.parse().map_or_else(|_| text.clone(), |whole| grouped(whole) + rest)
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
    use super::*;

    fn bars(values: [f64; 2]) -> Bars {
        let row = |label: &str| Row { label: label.to_owned(), is_own: true, is_loud: false };
        let column = Column { name: "a figure".to_owned(), digits: 1, values: values.map(Some).into() };
        Bars { rows: vec![row("one"), row("other")], columns: vec![column], ..Bars::default() }
    }

    fn widths(svg: &str) -> Vec<u32> {
        svg.lines()
            .filter(|line| line.contains("#1F6F8B"))
            .filter_map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect()
    }

    #[test]
    fn a_bar_is_as_long_as_its_figure() {
        let svg = bars([50.0, 500.0]).draw().unwrap();
        assert_eq!(widths(&svg), [17, 170], "{svg}");
        assert!(!svg.contains("(log)"), "{svg}");
    }

    #[test]
    fn figures_that_lie_far_apart_are_on_a_scale_that_says_so() {
        let svg = bars([5.0, 5_000.0]).draw().unwrap();
        assert!(svg.contains("a figure (log)"), "{svg}");
        let widths = widths(&svg);
        assert!(widths[0] > 17 && widths[0] < widths[1], "{widths:?}");
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!([number(1_234_567.8, 0), number(0.256, 2), number(4_096.04, 1)], ["1,234,568", "0.26", "4,096.0"]);
    }
}
