//! Words and numbers as they stand in a report. Pure.

use std::time::Duration;

/// Columns that a report takes at most.
pub(super) const WIDTH: usize = 78;

/// `text` without anything that could steer a terminal or disturb its columns, cut to `width`: printable ASCII stays,
/// and the degree sign; every other character becomes a `?`.
pub(super) fn plain(text: &str, width: usize) -> String {
    let clean = |c: char| if c == ' ' || c == '°' || c.is_ascii_graphic() { c } else { '?' };
    if text.chars().nth(width).is_none() {
        return text.chars().map(clean).collect();
    }
    text.chars().take(width.saturating_sub(1)).map(clean).chain(['~']).collect()
}

/// `1234567` as `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A latency with three figures or so: `0.42 ms`, `9.8 ms`, `312 ms`, `4.1 s`.
pub(super) fn latency(duration: Option<Duration>) -> String {
    let Some(duration) = duration else { return "-".to_owned() };
    let millis = duration.as_secs_f64() * 1e3;
    match millis {
        _ if millis < 0.995 => format!("{millis:.2} ms"),
        _ if millis < 99.95 => format!("{millis:.1} ms"),
        _ if millis < 999.5 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1e3),
    }
}

/// Messages a second: `0.5/s`, `99.8/s`, `12,345/s`.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 999.95 {
        return format!("{per_second:.1}/s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is a positive number far below 2^64"
    )]
    let whole = per_second.round() as u64;
    format!("{}/s", count(whole))
}

/// Hours, minutes and seconds.
pub(super) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_cannot_steer_the_terminal() {
        let hostile = "a\x1b[2J\u{9b}1m\r\n\t\u{202e}\u{7f}é日b";
        let cleaned = plain(hostile, 40);
        assert_eq!(cleaned, "a?[2J?1m??????".to_owned() + "?b");
        assert_eq!(cleaned.chars().count(), hostile.chars().count());
    }

    #[test]
    fn long_text_is_cut_visibly() {
        assert_eq!(plain("sensor-0001", 11), "sensor-0001");
        assert_eq!(plain("sensor-00012", 11), "sensor-000~");
    }

    #[test]
    fn numbers_are_easy_to_read() {
        let counts = [0, 999, 1000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        let rates = [0.0, 99.84, 999.94, 999.96, 12_345.4].map(rate);
        assert_eq!(rates, ["0.0/s", "99.8/s", "999.9/s", "1,000/s", "12,345/s"]);
        let latencies =
            [424, 9_840, 99_949, 312_400, 999_600, 4_120_000].map(|us| latency(Some(Duration::from_micros(us))));
        assert_eq!(latencies, ["0.42 ms", "9.8 ms", "99.9 ms", "312 ms", "1.0 s", "4.1 s"]);
        assert_eq!(clock(Duration::from_secs(3_725)), "01:02:05");
    }
}
