//! The block that a terminal shows, and the line that stands for it elsewhere. Pure: text in, text out.

use std::fmt::Write;

use super::text::{WIDTH, clock, count, latency, plain, rate};
use super::{Reading, Snapshot};

/// Columns below which the block has two figures in a row, and not three.
const NARROW: usize = 58;

/// Readings that the block shows; it keeps its height when there are fewer.
const READINGS: usize = 5;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";

/// The block for a terminal of so many columns, each line ended by an erasure of what stood to its right.
pub(super) fn draw(title: &str, snapshot: &Snapshot, colours: bool, columns: usize) -> String {
    let width = if columns < WIDTH { NARROW } else { WIDTH };
    let paint = |colour: &str, text: String| if colours { format!("{colour}{text}{RESET}") } else { text };
    let time = clock(snapshot.elapsed);
    let room = width - time.len() - 1;
    let mut lines = vec![
        format!("{} {}", paint(BOLD, format!("{:<room$}", plain(title, room))), paint(DIM, time)),
        paint(DIM, "-".repeat(width)),
    ];
    lines.extend(figures(snapshot, &paint).chunks(if width < WIDTH { 2 } else { 3 }).map(|row| row.join("   ")));
    lines.push(String::new());
    let (device, status) = if width < WIDTH { (16, 10) } else { (26, 16) };
    let header = format!("{:<device$}{:>13}   {:<status$}{}", "device", "temperature", "status", "handled at (UTC)");
    lines.push(paint(DIM, header));
    let readings = snapshot.last_readings.iter().map(|one| reading(one, device, status));
    lines.extend(readings.chain(std::iter::repeat(String::new())).take(READINGS));
    lines.iter().fold(String::new(), |mut block, line| {
        // Writing to a String cannot fail.
        let _ = writeln!(block, "{line}\x1b[K");
        block
    })
}

/// All figures, so that each group of two and of three makes a row.
fn figures(snapshot: &Snapshot, paint: &impl Fn(&str, String) -> String) -> [String; 12] {
    let alarm = |number: u64| if number > 0 { RED } else { "" };
    let figure = |colour: &str, name: &str, value: String| {
        let value = format!("{value:>11}");
        format!("{name:<13}{}", if colour.is_empty() { value } else { paint(colour, value) })
    };
    [
        figure("", "published", count(snapshot.published)),
        figure("", "invocations", count(snapshot.invoked)),
        figure("", "in flight", count(snapshot.in_flight)),
        figure(GREEN, "acknowledged", count(snapshot.acknowledged)),
        figure(alarm(snapshot.failed), "failed", count(snapshot.failed)),
        figure(alarm(snapshot.dead_lettered), "dead letters", count(snapshot.dead_lettered)),
        figure("", "rate", rate(snapshot.rate)),
        figure("", "p50 of 10 s", latency(snapshot.recent_p50)),
        figure("", "p99 of 10 s", latency(snapshot.recent_p99)),
        snapshot.commands.map_or_else(|| " ".repeat(24), |commands| figure("", "commands", count(commands))),
        figure("", "p50 of all", latency(snapshot.p50)),
        figure("", "p99 of all", latency(snapshot.p99)),
    ]
}

/// One line with the numbers of a snapshot.
pub(super) fn line(snapshot: &Snapshot) -> String {
    format!(
        "{} published {} acknowledged {} invocations {} failed {} dead letters {} in flight {} rate {} p50 {} p99 {} \
         p99 of 10 s {}{}",
        clock(snapshot.elapsed),
        snapshot.published,
        snapshot.acknowledged,
        snapshot.invoked,
        snapshot.failed,
        snapshot.dead_lettered,
        snapshot.in_flight,
        rate(snapshot.rate),
        latency(snapshot.p50),
        latency(snapshot.p99),
        latency(snapshot.recent_p99),
        snapshot.commands.map_or_else(String::new, |commands| format!(" commands {commands}")),
    )
}

/// A reading, with so many columns for the device and for what it says of itself.
fn reading(reading: &Reading, device: usize, status: usize) -> String {
    let temperature = plain(&format!("{:.1}", reading.temperature), 10);
    let at = humantime::format_rfc3339_seconds(reading.at).to_string();
    let time = at.get(11..19).unwrap_or_default();
    let (name, says) = (plain(&reading.device, device - 1), plain(&reading.status, status - 1));
    format!("{name:<device$}{temperature:>10} °C   {says:<status$}{time}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn extreme() -> Snapshot {
        let reading = Reading {
            device: "sensor\x1b[2J\n".repeat(20),
            temperature: f64::MIN,
            status: "\u{9b}31m日本".repeat(9),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(3_723),
        };
        Snapshot {
            elapsed: Duration::from_secs(359_999),
            published: 999_999_999,
            invoked: 999_999_999,
            acknowledged: 999_999_999,
            failed: 999_999_999,
            dead_lettered: 999_999_999,
            in_flight: 999_999_999,
            rate: 999_999.0,
            p50: Some(Duration::from_hours(1)),
            p99: Some(Duration::from_hours(1)),
            recent_p50: Some(Duration::from_hours(1)),
            recent_p99: Some(Duration::from_hours(1)),
            commands: Some(999_999_999),
            last_readings: vec![reading; 9],
        }
    }

    /// The text without the escapes that the block itself writes.
    fn visible(block: &str) -> String {
        [BOLD, DIM, RED, GREEN, RESET, "\x1b[K"].iter().fold(block.to_owned(), |text, escape| text.replace(escape, ""))
    }

    #[test]
    fn no_line_is_wider_than_a_terminal_and_the_height_never_changes() {
        for columns in [NARROW, WIDTH - 1, WIDTH, 200] {
            let heights = [Snapshot::default(), extreme()].map(|snapshot| {
                let block = visible(&draw(&"long title ".repeat(20), &snapshot, true, columns));
                assert!(block.lines().all(|line| line.chars().count() <= WIDTH.min(columns)), "{columns}: {block}");
                assert!(!block.contains('\x1b') && !block.contains('\u{9b}'), "{block:?}");
                block.lines().count()
            });
            assert_eq!(heights[0], heights[1]);
        }
    }

    #[test]
    fn a_narrow_block_has_all_figures() {
        let words = |columns| {
            let block = visible(&draw("t", &extreme(), true, columns));
            let mut words: Vec<_> =
                block.split_whitespace().map(str::to_owned).filter(|word| !word.contains("---")).collect();
            words.retain(|word| !word.contains('~'));
            words.sort();
            words
        };
        assert_eq!(words(NARROW), words(WIDTH));
    }

    #[test]
    fn without_colours_there_are_none() {
        let block = draw("t", &extreme(), false, WIDTH);
        assert!(!block.replace("\x1b[K", "").contains('\x1b'), "{block:?}");
    }

    #[test]
    fn failures_are_red_only_when_there_are_any() {
        assert!(!draw("t", &Snapshot::default(), true, WIDTH).contains(RED));
        assert!(draw("t", &Snapshot { failed: 1, ..Snapshot::default() }, true, WIDTH).contains(RED));
    }

    #[test]
    fn a_reading_is_shown_with_its_time() {
        let one = Reading {
            device: "sensor-01".to_owned(),
            temperature: 21.44,
            status: "OK".to_owned(),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(3_723),
        };
        let text = reading(&one, 26, 16);
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["sensor-01", "21.4", "°C", "OK", "01:02:03"]);
    }
}
