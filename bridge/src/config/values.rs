//! Scalar values as users write them: durations, ranges of durations, sizes and the small enums. Does not know where a
//! value came from.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const MONTH: Duration = Duration::from_hours(30 * 24);
/// As `humantime` counts it, so that it is shown as `1year`. Far below what a session expiry can say (MQTT 5,
/// 3.1.2.11.2), but who needs more does not come back.
pub(super) const YEAR: Duration = Duration::from_hours(8_766);

/// A value that cannot be what its key asks for: the cause and the way out, without the value where it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(String);

impl InvalidValue {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Two durations with `0 < min <= max`, written `200ms..30s`: where a back-off starts and where it stops growing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The lower end; never zero.
    pub min: Duration,
    /// The upper end; never below `min`.
    pub max: Duration,
}

impl FromStr for Range {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let Some((min, max)) = text.split_once("..") else {
            return Err(InvalidValue::new("not a range of durations; write for example `200ms..30s`"));
        };
        let (min, max) = (parse_duration(min)?, parse_duration(max)?);
        if min.is_zero() {
            return Err(InvalidValue::new("a range must not begin at zero; write for example `200ms..30s`"));
        }
        if min > max {
            return Err(InvalidValue::new("the range ends before it begins; write the shorter duration first"));
        }
        Ok(Self { min, max })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", humantime::format_duration(self.min), humantime::format_duration(self.max))
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One line of text an event.
    Text,
    /// One JSON object an event.
    Json,
}

impl LogFormat {
    /// The one of this name; `auto` without a name, or with a wrong one, which is a mistake of its own.
    pub(crate) fn named(name: Option<&str>) -> Self {
        name.and_then(|name| choice(name).ok()).unwrap_or(Self::Auto)
    }
}

/// What `/readyz` answers for a mapping that is degraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhenDegraded {
    /// 200, and the body says `degraded` and why.
    Ready,
    /// 503.
    Unready,
}

/// What sends invocations to Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LambdaClient {
    /// The bridge's own client, without the SDK's orchestration.
    #[default]
    Lean,
    /// The SDK's.
    Sdk,
}

impl FromStr for LambdaClient {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        choice(text)
    }
}

impl fmt::Display for LambdaClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}

/// How a function is invoked (Lambda API reference, operation Invoke, `InvocationType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Invocation {
    /// Synchronously: the outcome is the function's own answer.
    RequestResponse,
    /// Asynchronously: a message is delivered once Lambda has queued the event, and nobody sees the function's answer.
    Event,
}

/// What one invocation carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The records of a batch, with all that is known of each.
    Records,
    /// The payload of one message, as it is; what else is known of it is in the client context.
    Raw,
}

/// What the status topic says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    /// `online` or `offline`.
    Text,
    /// An object with more than that.
    Json,
}

/// How the payloads of a mapping are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ContentEncoding {
    /// Not that the bridge should know.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// As the user property `content-encoding` of each message says; not at all without it.
    Property,
}

/// What becomes of an answer of the function that cannot be published. The function has succeeded, so it is never
/// invoked again for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnRefusedAnswer {
    /// The record that it is about goes to the failure destination, or the answer itself when it is about none; without
    /// a destination it is dropped.
    DeadLetter,
    /// It is dropped and counted.
    Drop,
}

/// What becomes of a dead letter on a topic where the broker says that nobody is subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnUnreadLetter {
    /// It counts as not written, so that the next destination has it, or the message is held.
    Refuse,
    /// It counts as written: something in the broker takes it that is no subscriber, as a rule does.
    Accept,
}

/// The version of MQTT that a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// MQTT 5.
    #[value(name = "5")]
    V5,
    /// MQTT 3.1.1.
    #[value(name = "3.1.1")]
    V311,
}

impl FromStr for Protocol {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        choice(text)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}

/// Which of several brokers a client goes to when it can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prefer {
    /// The first: it goes back there when that is reachable again.
    First,
    /// The one that it is connected to.
    Stay,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum TlsVersion {
    /// TLS 1.2, with ECDHE and an AEAD cipher.
    #[value(name = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[value(name = "1.3")]
    V1_3,
}

/// The words of a choice, as they are written.
pub(super) fn names<T: ValueEnum>() -> Vec<String> {
    T::value_variants().iter().map(word).collect()
}

/// The word of one of them; none is left out of `value_variants`, so each has one.
fn word<T: ValueEnum>(value: &T) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Reads one word of a choice.
pub(super) fn choice<T: ValueEnum>(text: &str) -> Result<T, InvalidValue> {
    T::from_str(text, false).map_err(|_| {
        let names: Vec<_> = names::<T>().into_iter().map(|name| format!("`{name}`")).collect();
        let (last, others) = names.split_last().map_or(("", String::new()), |(last, others)| (last, others.join(", ")));
        InvalidValue::new(format!("unknown value; write {others} or {last}"))
    })
}

/// A quality of service (MQTT 5, 4.3); `as u8` gives the number of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    /// At most once: nothing is acknowledged, and a message may be lost.
    AtMostOnce = 0,
    /// At least once: PUBACK after the outcome.
    AtLeastOnce = 1,
    /// Exactly once on the wire: PUBREC after the outcome.
    ExactlyOnce = 2,
}

impl FromStr for Qos {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "0" => Ok(Self::AtMostOnce),
            "1" => Ok(Self::AtLeastOnce),
            "2" => Ok(Self::ExactlyOnce),
            _ => Err(InvalidValue::new("unknown quality of service; write 0, 1 or 2")),
        }
    }
}

/// Reads `25s`, `1h 30m` or `0ms`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, InvalidValue> {
    humantime::parse_duration(text.trim())
        .map_err(|_| InvalidValue::new("not a duration; write for example `500ms`, `30s` or `10m`"))
}

/// Reads `64MiB`, `512 KiB` or a plain number of bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, InvalidValue> {
    let invalid = || InvalidValue::new("not a size; write bytes, or for example `512KiB`, `64MiB`, `1GiB`");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(invalid()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(invalid)
}

/// A text of at most so many bytes that is not `empty` and holds no control characters.
pub(super) fn plain(text: &str, most: usize, empty: &str) -> Result<String, InvalidValue> {
    match text {
        "" => Err(InvalidValue::new(empty)),
        _ if text.chars().any(char::is_control) => Err(InvalidValue::new("must not hold control characters")),
        _ if text.len() > most => Err(InvalidValue::new(format!("longer than {most} bytes"))),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal<T: FromStr<Err = InvalidValue> + fmt::Debug>(text: &str) -> String {
        text.parse::<T>().unwrap_err().to_string()
    }

    #[test]
    fn range_is_two_durations_in_order() {
        let range: Range = "200ms..30s".parse().unwrap();
        assert_eq!(range, Range { min: Duration::from_millis(200), max: Duration::from_secs(30) });
        assert_eq!("1s..1s".parse::<Range>().unwrap().to_string(), "1s..1s");
        assert!(refusal::<Range>("30s..200ms").contains("ends before it begins"));
        assert!(refusal::<Range>("0ms..30s").contains("must not begin at zero"));
        assert!(refusal::<Range>("30s").contains("write for example `200ms..30s`"));
        assert!(refusal::<Range>("1s..").contains("not a duration"));
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("0ms").unwrap(), Duration::ZERO);
        assert_eq!(parse_duration("0s").unwrap(), Duration::ZERO);
        assert_eq!(parse_duration(" 1h 30m").unwrap(), Duration::from_mins(90));
        for bad in ["", "30", "-1s", "s", "1 fortnight", "99999999999999999999s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_binary_multiples() {
        assert_eq!(parse_size("1048576"), Ok(1_048_576));
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("512 KiB"), Ok(512 << 10));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        for bad in ["", "MiB", "-1", "1.5MiB", "64MB", "64M", "99999999999999999999", "18446744073709551615KiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn choices_name_their_values_when_refusing() {
        let refusal = |refused: Result<(), InvalidValue>| refused.unwrap_err().to_string();
        assert_eq!(refusal(choice::<Protocol>("3.1").map(drop)), "unknown value; write `5` or `3.1.1`");
        assert!(refusal(choice::<Prefer>("last").map(drop)).ends_with("write `first` or `stay`"));
        assert!(refusal(choice::<TlsVersion>("1.1").map(drop)).ends_with("write `1.2` or `1.3`"));
        assert!(refusal(choice::<Invocation>("Event").map(drop)).ends_with("`request-response` or `event`"));
        assert!(refusal(choice::<LogFormat>("xml").map(drop)).ends_with("write `auto`, `text` or `json`"));
        assert!(refusal(choice::<OnRefusedAnswer>("").map(drop)).ends_with("write `dead-letter` or `drop`"));
        assert!(
            refusal(choice::<ContentEncoding>("br").map(drop)).ends_with("write `none`, `gzip`, `zstd` or `property`")
        );
        assert!(refusal(choice::<Format>("json").map(drop)).ends_with("write `records` or `raw`"));
        assert!(refusal("3".parse::<Qos>().map(drop)).contains("0, 1 or 2"));
        assert_eq!("2".parse::<Qos>().unwrap() as u8, 2);
        assert_eq!(names::<Protocol>(), Protocol::value_variants().iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn range_survives_its_own_spelling(min in 1u64..10_000_000, more in 0u64..10_000_000) {
            let range = Range { min: Duration::from_millis(min), max: Duration::from_millis(min + more) };
            prop_assert_eq!(range.to_string().parse::<Range>(), Ok(range));
        }

        #[test]
        fn a_range_that_is_read_is_in_order(text in "[0-9]{1,3}(ms|s|m)\\.\\.[0-9]{1,3}(ms|s|m)") {
            if let Ok(range) = text.parse::<Range>() {
                prop_assert!(Duration::ZERO < range.min && range.min <= range.max);
            }
        }
    }
}
