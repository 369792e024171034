//! The block that a terminal shows, and the line that stands for it elsewhere. Pure: text in, text out.

use std::fmt::Write;

use super::text::{WIDTH, clock, count, latency, plain, rate};
use super::{Reading, Snapshot};

/// Readings that the block shows; it keeps its height when there are fewer.
const READINGS: usize = 5;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";

/// The block, each line ended by an erasure of what stood to its right.
pub(super) fn draw(title: &str, snapshot: &Snapshot, colours: bool) -> String {
    let paint = |colour: &str, text: String| if colours { format!("{colour}{text}{RESET}") } else { text };
    let alarm = |number: u64| if number > 0 { RED } else { "" };
    let figure = |colour: &str, name: &str, value: String| {
        let value = format!("{value:>11}");
        format!("{name:<13}{}", if colour.is_empty() { value } else { paint(colour, value) })
    };
    let time = clock(snapshot.elapsed);
    let room = WIDTH - time.len() - 1;
    let mut lines = vec![
        format!("{} {}", paint(BOLD, format!("{:<room$}", plain(title, room))), paint(DIM, time)),
        paint(DIM, "-".repeat(WIDTH)),
        row([
            figure("", "published", count(snapshot.published)),
            figure("", "invocations", count(snapshot.invoked)),
            figure("", "in flight", count(snapshot.in_flight)),
        ]),
        row([
            figure(GREEN, "acknowledged", count(snapshot.acknowledged)),
            figure(alarm(snapshot.failed), "failed", count(snapshot.failed)),
            figure(alarm(snapshot.dead_lettered), "dead letters", count(snapshot.dead_lettered)),
        ]),
        row([
            figure("", "rate", rate(snapshot.rate)),
            figure("", "p50 of 10 s", latency(snapshot.recent_p50)),
            figure("", "p99 of 10 s", latency(snapshot.recent_p99)),
        ]),
        row([
            snapshot.commands.map_or_else(|| " ".repeat(24), |commands| figure("", "commands", count(commands))),
            figure("", "p50 of all", latency(snapshot.p50)),
            figure("", "p99 of all", latency(snapshot.p99)),
        ]),
        String::new(),
        paint(DIM, format!("{:<26}{:>13}   {:<16}{}", "device", "temperature", "status", "handled at (UTC)")),
    ];
    let readings = snapshot.last_readings.iter().map(reading).chain(std::iter::repeat(String::new()));
    lines.extend(readings.take(READINGS));
    lines.iter().fold(String::new(), |mut block, line| {
        // Writing to a String cannot fail.
        let _ = writeln!(block, "{line}\x1b[K");
        block
    })
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

fn row(figures: [String; 3]) -> String {
    figures.join("   ")
}

fn reading(reading: &Reading) -> String {
    let temperature = plain(&format!("{:.1}", reading.temperature), 10);
    let at = humantime::format_rfc3339_seconds(reading.at).to_string();
    let time = at.get(11..19).unwrap_or_default();
    format!("{:<26}{temperature:>10} °C   {:<16}{time}", plain(&reading.device, 25), plain(&reading.status, 15))
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
        let heights = [Snapshot::default(), extreme()].map(|snapshot| {
            let block = visible(&draw(&"long title ".repeat(20), &snapshot, true));
            assert!(block.lines().all(|line| line.chars().count() <= WIDTH), "{block}");
            assert!(!block.contains('\x1b') && !block.contains('\u{9b}'), "{block:?}");
            block.lines().count()
        });
        assert_eq!(heights[0], heights[1]);
    }

    #[test]
    fn without_colours_there_are_none() {
        let block = draw("t", &extreme(), false);
        assert!(!block.replace("\x1b[K", "").contains('\x1b'), "{block:?}");
    }

    #[test]
    fn failures_are_red_only_when_there_are_any() {
        assert!(!draw("t", &Snapshot::default(), true).contains(RED));
        assert!(draw("t", &Snapshot { failed: 1, ..Snapshot::default() }, true).contains(RED));
    }

    #[test]
    fn a_reading_is_shown_with_its_time() {
        let text = reading(&Reading {
            device: "sensor-01".to_owned(),
            temperature: 21.44,
            status: "OK".to_owned(),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(3_723),
        });
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["sensor-01", "21.4", "°C", "OK", "01:02:03"]);
    }
}
