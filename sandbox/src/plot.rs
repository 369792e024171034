//! Draws numbers over time: panels one above the other, in SVG, with a line for each event. Pure.

use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;

const WIDTH: u32 = 1200;
const LEFT: u32 = 90;
const RIGHT: u32 = 24;
const TOP: u32 = 80;
const PANEL: u32 = 200;
/// Above each panel for its name, and below for the time.
const NAME: u32 = 22;
const TIMES: u32 = 28;
/// More points than this a panel cannot show; of neighbours the largest stays.
const POINTS: usize = 1_000;
const LETTERS: u32 = 13;
const COLOURS: [RGBColor; 4] =
    [RGBColor(31, 111, 139), RGBColor(184, 87, 42), RGBColor(75, 127, 63), RGBColor(106, 76, 147)];
const MARK: RGBColor = RGBColor(204, 51, 51);
const INK: RGBColor = RGBColor(34, 34, 34);
const FAINT: RGBColor = RGBColor(221, 221, 221);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plot {
    /// What is above it all.
    pub title: String,
    /// A line below the title.
    pub subtitle: String,
    /// One above the other.
    pub panels: Vec<Panel>,
    /// What happened when: seconds from the start, and a few letters.
    pub marks: Vec<(f64, String)>,
}

/// One series of numbers, from zero upwards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Panel {
    /// What it shows, with its unit.
    pub name: String,
    /// Seconds from the start, rising, and the number then.
    pub points: Vec<(f64, f64)>,
}

impl Plot {
    /// The picture as a whole SVG document.
    ///
    /// # Errors
    /// When a shape cannot be drawn.
    pub fn to_svg(&self) -> io::Result<String> {
        let panels = u32::try_from(self.panels.len()).unwrap_or(u32::MAX);
        let mut svg = String::new();
        self.draw(&SVGBackend::with_string(&mut svg, (WIDTH, TOP + panels * PANEL)).into_drawing_area())?;
        Ok(svg)
    }

    fn draw(&self, area: &Area<'_>) -> io::Result<()> {
        area.fill(&WHITE).map_err(drawing)?;
        write(area, &self.title, (LEFT, 10), 18)?;
        write(area, &self.subtitle, (LEFT, 36), LETTERS)?;
        let last = self.panels.iter().filter_map(|panel| panel.points.last()).map(|(at, _)| *at);
        let seconds = last.chain(self.marks.iter().map(|(at, _)| *at)).fold(1.0, f64::max);
        let places = area.margin(TOP, 0, 0, RIGHT).split_evenly((self.panels.len().max(1), 1));
        for ((panel, place), colour) in self.panels.iter().zip(&places).zip(COLOURS.iter().cycle()) {
            panel.draw(place, seconds, &self.marks, *colour)?;
        }
        self.name_marks(area, seconds)
    }

    /// Names that would lie over each other are left out; their lines are there.
    fn name_marks(&self, area: &Area<'_>, seconds: f64) -> io::Result<()> {
        let mut free = 0;
        for (at, name) in &self.marks {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the picture")]
            let x = LEFT + (f64::from(WIDTH - LEFT - RIGHT) * at / seconds) as u32;
            let half = u32::try_from(name.len()).unwrap_or(u32::MAX).saturating_mul(7) / 2;
            if x.saturating_sub(half) >= free {
                let style = ("sans-serif", 11).into_text_style(area).color(&MARK);
                area.draw_text(name, &style, place(x.saturating_sub(half), TOP - 14)).map_err(drawing)?;
                free = x + half + 4;
            }
        }
        Ok(())
    }
}

impl Panel {
    fn draw(&self, area: &Area<'_>, seconds: f64, marks: &[(f64, String)], colour: RGBColor) -> io::Result<()> {
        let most = self.points.iter().map(|(_, value)| *value).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .margin_top(NAME)
            .set_label_area_size(LabelAreaPosition::Left, LEFT)
            .set_label_area_size(LabelAreaPosition::Bottom, TIMES)
            .build_cartesian_2d(0.0..seconds, 0.0..most * 1.05)
            .map_err(drawing)?;
        write(area, &self.name, (LEFT, 3), LETTERS)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().light_line_style(TRANSPARENT).bold_line_style(FAINT).axis_style(FAINT);
        mesh.x_labels(8).y_labels(5).x_label_formatter(&clock).y_label_formatter(&number);
        mesh.label_style(("sans-serif", LETTERS)).draw().map_err(drawing)?;
        let lines = marks.iter().map(|(at, _)| PathElement::new([(*at, 0.0), (*at, most * 1.05)], MARK.mix(0.4)));
        chart.draw_series(lines).map_err(drawing)?;
        let curve = PathElement::new(thinned(&self.points).collect::<Vec<_>>(), colour.stroke_width(2));
        chart.draw_series([curve]).map_err(drawing)?;
        Ok(())
    }
}

fn write(area: &Area<'_>, text: &str, (x, y): (u32, u32), size: u32) -> io::Result<()> {
    let style = ("sans-serif", size).into_text_style(area).color(&INK);
    area.draw_text(text, &style, place(x, y)).map_err(drawing)
}

fn place(x: u32, y: u32) -> (i32, i32) {
    (i32::try_from(x).unwrap_or(i32::MAX), i32::try_from(y).unwrap_or(i32::MAX))
}

fn drawing(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("the picture cannot be drawn: {error}"))
}

/// Minutes and seconds since the start.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "as the axis asks")]
fn clock(at: &f64) -> String {
    format!("{}:{:02}", (at / 60.0).floor(), (at % 60.0).floor())
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as the axis asks")]
fn number(value: &f64) -> String {
    format!("{}", (value * 100.0).round() / 100.0)
}

fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + '_ {
    points
        .chunks(points.len().div_ceil(POINTS).max(1))
        .filter_map(|chunk| chunk.iter().copied().max_by(|(_, one), (_, other)| one.total_cmp(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let points = (0..5_000).map(|n| (f64::from(n), f64::from(n % 97))).collect();
        Plot {
            title: "a < b & c".to_owned(),
            subtitle: String::new(),
            panels: vec![Panel { name: "messages/s".to_owned(), points }, Panel::default()],
            marks: vec![(20.0, "F1".to_owned()), (20.5, "F2".to_owned()), (2_000.0, "F3".to_owned())],
        }
    }

    #[test]
    fn text_is_escaped_and_names_do_not_overlap() {
        let svg = plot().to_svg().unwrap();
        assert!(svg.contains("a &lt; b &amp; c") && !svg.contains("a < b"));
        let is_shown = |name: &str| svg.lines().any(|line| line.trim() == name);
        assert_eq!(["F1", "F2", "F3", "messages/s"].map(is_shown), [true, false, true, true], "{svg}");
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn everything_lies_within_its_panel() {
        let svg = plot().to_svg().unwrap();
        let lines = svg.lines().filter_map(|line| line.strip_prefix("<polyline ")?.split("points=\"").nth(1));
        let curve = lines.map(|line| line.split('"').next().unwrap().trim()).max_by_key(|line| line.len()).unwrap();
        let points: Vec<(u32, u32)> = curve
            .split_whitespace()
            .map(|point| point.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        assert!(points.len() > POINTS / 2 && points.len() <= POINTS, "{}", points.len());
        let (across, down) = (LEFT..=WIDTH - RIGHT, TOP + NAME..=TOP + PANEL - TIMES);
        assert!(points.iter().all(|(x, y)| across.contains(x) && down.contains(y)), "{points:?}");
    }

    #[test]
    fn labels_are_short() {
        assert_eq!(
            [0.0, 0.25, 2.5, 0.1 + 0.2, 1_000.0].map(|value| number(&value)),
            ["0", "0.25", "2.5", "0.3", "1000"]
        );
        assert_eq!([0.0, 61.0, 3_725.9].map(|at| clock(&at)), ["0:00", "1:01", "62:05"]);
    }
}
