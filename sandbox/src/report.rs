//! The output of a run for people: a small block that is redrawn in place, or a line a second if the output is no
//! terminal.
//!
//! Fed with numbers only; knows neither broker nor bridge. Never lets a payload steer the terminal.

mod block;
mod latency;
mod summary;
mod text;

pub use latency::{Latency, Recent};
pub use summary::Summary;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

/// Where a run stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Since the start.
    pub elapsed: Duration,
    /// Messages published.
    pub published: u64,
    /// Invocations made.
    pub invoked: u64,
    /// Messages that the bridge has acknowledged.
    pub acknowledged: u64,
    /// Invocations that failed.
    pub failed: u64,
    /// Messages in the failure destination.
    pub dead_lettered: u64,
    /// Messages published and not yet settled.
    pub in_flight: u64,
    /// Messages handled a second, lately.
    pub rate: f64,
    /// Median time from publication to handling; `None` before the first message.
    pub p50: Option<Duration>,
    /// Its 99th percentile.
    pub p99: Option<Duration>,
    /// The median of the last ten seconds.
    pub recent_p50: Option<Duration>,
    /// Their 99th percentile.
    pub recent_p99: Option<Duration>,
    /// Commands that devices have heard, in a scene with commands.
    pub commands: Option<u64>,
    /// The latest reading of each device, in an order that stays.
    pub last_readings: Vec<Reading>,
}

/// A reading that the function has stored. Its text came over the network and is cleaned before it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Who measured.
    pub device: String,
    /// Degrees Celsius.
    pub temperature: f64,
    /// What the device says of itself.
    pub status: String,
    /// When the function had it.
    pub at: SystemTime,
}

/// How a report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A block, redrawn in place.
    Block {
        /// Whether it may be coloured.
        colours: bool,
    },
    /// One line a second.
    Lines,
}

impl Style {
    /// A block on a terminal, coloured unless `NO_COLOR` is set (<https://no-color.org>); lines elsewhere.
    #[must_use]
    pub fn detect(out: &impl IsTerminal) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if !out.is_terminal() || dumb {
            return Self::Lines;
        }
        Self::Block { colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }
}

/// Shows snapshots, one after the other.
#[derive(Debug)]
pub struct Report<W> {
    out: W,
    style: Style,
    title: String,
    /// Columns of the terminal.
    columns: usize,
    /// Lines of the block that stands on the terminal.
    standing: usize,
    /// The block itself, to be drawn again below a remark.
    block: String,
    /// The second for which a line was last written.
    second: Option<u64>,
}

impl<W: Write> Report<W> {
    /// A report on `out`, headed by `title`.
    pub fn new(out: W, style: Style, title: &str) -> Self {
        let title = text::plain(title, text::WIDTH);
        Self { out, style, title, columns: text::WIDTH, standing: 0, block: String::new(), second: None }
    }

    /// Draws from now on for a terminal of so many columns.
    pub fn fit(&mut self, columns: usize) {
        self.columns = columns;
    }

    /// Shows where the run stands. Call it as often as the block should move; lines come once a second at most.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn show(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        match self.style {
            Style::Block { colours } => {
                self.block = block::draw(&self.title, snapshot, colours, self.columns);
                self.redraw("")
            }
            Style::Lines => {
                let second = snapshot.elapsed.as_secs();
                if self.second.replace(second) == Some(second) {
                    return Ok(());
                }
                writeln!(self.out, "{}", block::line(snapshot))?;
                self.out.flush()
            }
        }
    }

    /// Says something that stays, above the block: what was just broken, what was repaired.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn say(&mut self, remark: &str) -> io::Result<()> {
        let remark = text::plain(remark, text::WIDTH);
        match self.style {
            Style::Block { .. } => self.redraw(&format!("{remark}\x1b[K\n")),
            Style::Lines => {
                writeln!(self.out, "{remark}")?;
                self.out.flush()
            }
        }
    }

    /// Draws remark and block over the block that stands, in one write, so that nothing flickers.
    fn redraw(&mut self, remark: &str) -> io::Result<()> {
        let up = if self.standing > 0 { format!("\x1b[{}F", self.standing) } else { String::new() };
        // Wrapping is off meanwhile: in a narrow window lines are cut, and the block keeps its height.
        let frame = format!("{up}\x1b[?7l{remark}{}\x1b[J\x1b[?7h", self.block);
        self.standing = self.block.matches('\n').count();
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(style: Style, run: impl FnOnce(&mut Report<&mut Vec<u8>>)) -> String {
        let mut out = Vec::new();
        run(&mut Report::new(&mut out, style, "sandbox"));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_second_block_takes_the_place_of_the_first() {
        let snapshot = Snapshot::default();
        let block = Style::Block { colours: false };
        let once = shown(block, |report| report.show(&snapshot).unwrap());
        let height = once.matches('\n').count();
        let twice = shown(block, |report| (0..2).for_each(|_| report.show(&snapshot).unwrap()));
        assert_eq!(twice, format!("{once}\x1b[{height}F{once}"));
    }

    #[test]
    fn a_remark_stays_above_the_block() {
        let text = shown(Style::Block { colours: false }, |report| {
            report.show(&Snapshot::default()).unwrap();
            report.say("broker stopped").unwrap();
        });
        let (_, second) = text.rsplit_once("F\x1b[?7l").unwrap();
        assert!(second.starts_with("broker stopped\x1b[K\nsandbox"), "{second:?}");
    }

    #[test]
    fn lines_come_once_a_second_and_hold_no_escapes() {
        let at = |millis| Snapshot { elapsed: Duration::from_millis(millis), ..Snapshot::default() };
        let text = shown(Style::Lines, |report| {
            for millis in [100, 900, 1000, 1999, 5000] {
                report.show(&at(millis)).unwrap();
            }
            report.say("broker \x1b[31mstopped").unwrap();
        });
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(!text.contains('\x1b'), "{text:?}");
    }

    #[test]
    fn output_that_is_no_terminal_gets_lines() {
        assert_eq!(Style::detect(&std::fs::File::open("/dev/null").unwrap()), Style::Lines);
    }
}
