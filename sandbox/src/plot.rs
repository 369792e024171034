//! Numbers over time as a picture: panels one above the other, in SVG, with a line where something happened. Pure.

use std::fmt::Write;

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 92.0;
const PANEL: f64 = 150.0;
const GAP: f64 = 44.0;
const BOTTOM: f64 = 44.0;
/// More points than this a panel cannot show; of neighbours the largest stays.
const POINTS: usize = 1_000;
const COLOURS: [&str; 4] = ["#1f6f8b", "#b8572a", "#4b7f3f", "#6a4c93"];

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
    #[must_use]
    pub fn to_svg(&self) -> String {
        #[allow(clippy::cast_precision_loss, reason = "a few panels")]
        let height = TOP + (PANEL + GAP) * self.panels.len() as f64 - GAP + BOTTOM;
        let last = self.panels.iter().filter_map(|panel| panel.points.last()).map(|(at, _)| *at);
        let seconds = last.chain(self.marks.iter().map(|(at, _)| *at)).fold(1.0, f64::max);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, (LEFT, 26.0), "start", "font-size=\"18\" fill=\"#222222\"", &self.title);
        text(&mut svg, (LEFT, 46.0), "start", "fill=\"#555555\"", &self.subtitle);
        self.draw_marks(&mut svg, seconds, height);
        for (index, panel) in self.panels.iter().enumerate() {
            #[allow(clippy::cast_precision_loss, reason = "a few panels")]
            let top = TOP + (PANEL + GAP) * index as f64;
            panel.draw(&mut svg, top, seconds, COLOURS[index % COLOURS.len()]);
        }
        draw_times(&mut svg, seconds, height - BOTTOM);
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_marks(&self, svg: &mut String, seconds: f64, height: f64) {
        let mut free = f64::MIN;
        for (at, name) in &self.marks {
            let x = place(*at, seconds);
            line(
                svg,
                (x, TOP - 12.0),
                (x, height - BOTTOM),
                "#cc3333\" stroke-opacity=\"0.45\" stroke-dasharray=\"3 3",
            );
            // Names that would lie over each other are left out; their lines are there.
            #[allow(clippy::cast_precision_loss, reason = "a few letters")]
            let half = name.len() as f64 * 3.5;
            if x - half >= free {
                text(svg, (x, TOP - 24.0), "middle", "font-size=\"10\" fill=\"#cc3333\"", name);
                free = x + half + 4.0;
            }
        }
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, top: f64, seconds: f64, colour: &str) {
        let most = ceiling(self.points.iter().map(|(_, value)| *value).fold(0.0, f64::max));
        text(svg, (LEFT, top - 6.0), "start", "fill=\"#222222\"", &self.name);
        for step in 0..=4 {
            let share = f64::from(step) / 4.0;
            let y = top + PANEL * (1.0 - share);
            line(svg, (LEFT, y), (WIDTH - RIGHT, y), "#dddddd");
            text(svg, (LEFT - 8.0, y + 4.0), "end", "fill=\"#555555\"", &number(most * share));
        }
        let _ = write!(svg, "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"");
        for (at, value) in thinned(&self.points) {
            // Writing to a String cannot fail.
            let _ = write!(svg, "{:.1},{:.1} ", place(at, seconds), top + PANEL * (1.0 - value / most));
        }
        svg.push_str("\"/>\n");
    }
}

fn draw_times(svg: &mut String, seconds: f64, y: f64) {
    for step in 0..=6 {
        let at = seconds * f64::from(step) / 6.0;
        let clock = format!("{}:{:02}", (at / 60.0).floor(), (at % 60.0).floor());
        text(svg, (place(at, seconds), y + 20.0), "middle", "fill=\"#555555\"", &clock);
    }
    text(svg, (WIDTH - RIGHT, y + 36.0), "end", "fill=\"#555555\"", "minutes and seconds since the start");
}

fn place(at: f64, seconds: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * at / seconds
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str) {
    let _ = writeln!(svg, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\"/>");
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, style: &str, text: &str) {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {style}>{escaped}</text>");
}

/// The next of 1, 2, 4 and 8 times a power of ten, so that quarters are easy to read.
fn ceiling(most: f64) -> f64 {
    let mut ceiling = 1.0;
    while ceiling < most {
        ceiling = [2.0, 4.0, 8.0, 10.0]
            .map(|factor| factor * ceiling)
            .into_iter()
            .find(|c| *c >= most)
            .unwrap_or(ceiling * 10.0);
    }
    ceiling
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value}") }
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
        let svg = plot().to_svg();
        assert!(svg.contains("a &lt; b &amp; c") && !svg.contains("a < b"));
        assert!(svg.contains(">F1<") && !svg.contains(">F2<") && svg.contains(">F3<"));
        assert_eq!(svg.matches("stroke-dasharray").count(), 3);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn everything_lies_within_the_picture() {
        let svg = plot().to_svg();
        let points = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        let points: Vec<(f64, f64)> = points
            .split_whitespace()
            .map(|point| point.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        assert!(points.len() > POINTS / 2 && points.len() <= POINTS, "{}", points.len());
        assert!(points.iter().all(|(x, y)| (LEFT..=WIDTH - RIGHT).contains(x) && (TOP..=TOP + PANEL).contains(y)));
    }

    #[test]
    fn scales_are_round() {
        let scales = [0.0, 1.0, 1.5, 3.0, 7.0, 9.0, 97.0, 1_234.0].map(|most| number(ceiling(most)));
        assert_eq!(scales, ["1", "1", "2", "4", "8", "10", "100", "2000"]);
        assert_eq!([0.0, 0.25, 2.5, 1_000.0].map(number), ["0", "0.25", "2.5", "1000"]);
    }
}
