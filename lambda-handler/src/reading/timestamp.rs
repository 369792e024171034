//! The time a device says it measured at: RFC 3339, or Unix time in seconds or milliseconds.
//!
//! Pure, and never asks this machine's clock: what is absurd is decided by a fixed span of years.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;

/// 2000-01-01T00:00:00Z in Unix seconds. A clock that was never set says 1970.
const EARLIEST: u64 = 946_684_800;
/// 2100-01-01T00:00:00Z in Unix seconds. The span's milliseconds begin long after its seconds end, so a number can only
/// be one of the two.
const LATEST: u64 = 4_102_444_800;

/// When a device measured: between the years 2000 and 2100. Displayed as RFC 3339 in UTC, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(SystemTime);

/// Why a timestamp cannot be a time of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Neither a string nor a number.
    #[error("neither an RFC 3339 string nor a Unix time")]
    Type,
    /// A string of another form than RFC 3339, section 5.6.
    #[error("not RFC 3339, such as 2026-11-20T12:00:00Z")]
    Form,
    /// A date outside the years 2000 to 2099.
    #[error("not in the years 2000 to 2099, is the device's clock set?")]
    Span,
    /// A number that is in those years neither as seconds nor as milliseconds.
    #[error("not in the years 2000 to 2099, neither in seconds nor in milliseconds")]
    Number,
}

impl Timestamp {
    /// Reads a JSON string or number.
    pub(super) fn read(raw: &RawValue) -> Result<Self, TimestampError> {
        if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
            return in_span(rfc3339(&text).ok_or(TimestampError::Form)?).ok_or(TimestampError::Span);
        }
        let number: f64 = serde_json::from_str(raw.get()).map_err(|_| TimestampError::Type)?;
        [number, number / 1000.0].into_iter().find_map(from_seconds).ok_or(TimestampError::Number)
    }

    /// The time itself.
    #[must_use]
    pub fn time(self) -> SystemTime {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(self.0).fmt(f)
    }
}

fn in_span(time: SystemTime) -> Option<Timestamp> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (EARLIEST..LATEST).contains(&seconds).then_some(Timestamp(time))
}

/// Rounded to the millisecond: a double of today's Unix time is only good to a part of a microsecond.
fn from_seconds(seconds: f64) -> Option<Timestamp> {
    let since = Duration::try_from_secs_f64(seconds).ok()?.checked_add(Duration::from_micros(500))?;
    let below = Duration::from_nanos(u64::from(since.subsec_nanos() % 1_000_000));
    in_span(UNIX_EPOCH.checked_add(since.checked_sub(below)?)?)
}

/// Reads RFC 3339 with any offset; the library beneath knows UTC only.
fn rfc3339(text: &str) -> Option<SystemTime> {
    let text = text.to_ascii_uppercase();
    if let Some(time) = text.strip_suffix('Z') {
        return utc(time);
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    match offset.as_bytes() {
        [b'+', ahead @ ..] => utc(local)?.checked_sub(hours_and_minutes(ahead)?),
        [b'-', behind @ ..] => utc(local)?.checked_add(hours_and_minutes(behind)?),
        _ => None,
    }
}

/// Reads a date and time without offset. The library lets characters through after the seconds, so they are read here.
fn utc(text: &str) -> Option<SystemTime> {
    let (_, fraction) = text.split_at_checked("2026-11-20T12:00:00".len())?;
    let digits = if fraction.is_empty() { "0" } else { fraction.strip_prefix('.')? };
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed { humantime::parse_rfc3339(&format!("{text}Z")).ok() } else { None }
}

fn hours_and_minutes(text: &[u8]) -> Option<Duration> {
    let [h1, h2, b':', m1, m2] = text else { return None };
    let two = |tens: &u8, ones: &u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| u64::from(tens - b'0') * 10 + u64::from(ones - b'0'))
    };
    let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
    (hours < 24 && minutes < 60).then(|| Duration::from_secs(hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<String, TimestampError> {
        Timestamp::read(&RawValue::from_string(json.to_owned()).unwrap()).map(|timestamp| timestamp.to_string())
    }

    #[test]
    fn every_spelling_of_a_time_means_the_same() {
        for json in [
            r#""2026-11-20T12:00:00Z""#,
            r#""2026-11-20t12:00:00z""#,
            r#""2026-11-20T12:00:00.000000Z""#,
            r#""2026-11-20T12:00:00+00:00""#,
            r#""2026-11-20T13:00:00+01:00""#,
            r#""2026-11-20T17:30:00.000+05:30""#,
            r#""2026-11-20T04:00:00-08:00""#,
            r#""2026-11-21T00:30:00+12:30""#,
            "1795176000",
            "1795176000.0",
            "1795176000000",
        ] {
            assert_eq!(read(json).as_deref(), Ok("2026-11-20T12:00:00.000Z"), "{json}");
        }
        assert_eq!(read("1795176000.125").as_deref(), Ok("2026-11-20T12:00:00.125Z"));
        assert_eq!(read("1795176000123").as_deref(), Ok("2026-11-20T12:00:00.123Z"));
    }

    #[test]
    fn the_span_has_hard_edges() {
        assert_eq!(read("946684800").as_deref(), Ok("2000-01-01T00:00:00.000Z"));
        assert_eq!(read("946684799"), Err(TimestampError::Number));
        assert_eq!(read("4102444799999").as_deref(), Ok("2099-12-31T23:59:59.999Z"));
        assert_eq!(read("4102444800000"), Err(TimestampError::Number));
        assert_eq!(read(r#""1999-12-31T23:59:59Z""#), Err(TimestampError::Span));
        assert_eq!(read(r#""2000-01-01T00:00:00+00:01""#), Err(TimestampError::Span));
        assert_eq!(read(r#""2100-01-01T00:00:00Z""#), Err(TimestampError::Span));
    }

    #[test]
    fn absurd_numbers_are_refused() {
        for json in ["0", "-1", "-1795176000", "1795176000000000", "1e300", "4e-320"] {
            assert_eq!(read(json), Err(TimestampError::Number), "{json}");
        }
    }

    #[test]
    fn strings_of_another_form_are_refused() {
        for text in [
            "",
            "Z",
            "now",
            "1795176000",
            "2026-11-20",
            "2026-11-20 12:00:00Z",
            "2026-11-20T12:00:00",
            "2026-11-20T12:00:00+0100",
            "2026-11-20T12:00:00+24:00",
            "2026-11-20T12:00:00+01:60",
            "2026-11-20T12:00:00Z+01:00",
            "2026-11-20T12:00:00ZabcZ",
            "2026-11-20T12:00:00.Z",
            "2026-11-20T12:00:00.1+2Z",
            "2026-11-20T12:00:00++1:00",
            "2026-02-30T12:00:00Z",
            "2026-11-20T25:00:00Z",
            "2026-11-20T12:00:00ü01:00",
            "2026-11-20T12:00:ü0+01:00",
            "2026-11-20T12:00:0üZ",
        ] {
            assert_eq!(read(&format!("\"{text}\"")), Err(TimestampError::Form), "{text}");
        }
    }

    #[test]
    fn other_types_are_refused() {
        for json in ["true", "{}", "[]", "1e999"] {
            assert_eq!(read(json), Err(TimestampError::Type), "{json}");
        }
    }
}
