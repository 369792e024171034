//! A rate of messages as users write it. Counts nothing and knows no clock.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use super::InvalidValue;

/// The highest number before the unit.
const MAX_MESSAGES: u32 = 1_000_000;

/// A fraction has at most three digits.
const FRACTION: u32 = 1_000;

/// A number of messages per unit of time, written `500/s`, `100/m` or `0.5/s`; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many messages; of a fraction, the whole number that it stands for: `0.5/s` is 1 in 2 s.
    pub messages: NonZeroU32,
    /// In how long a time: a second or a minute, or of a fraction a multiple of it.
    pub per: Duration,
}

impl Rate {
    /// The time between two messages that are spread evenly.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.per / self.messages.get()
    }
}

impl FromStr for Rate {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || InvalidValue::new("not a rate; write for example `500/s`, `100/m` or `0.5/s`");
        let (number, unit) = text.split_once('/').ok_or_else(invalid)?;
        let unit = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            _ => return Err(invalid()),
        };
        let thousandths = thousandths(number.trim()).ok_or_else(invalid)?;
        if thousandths > u64::from(MAX_MESSAGES) * u64::from(FRACTION) {
            return Err(InvalidValue::new(format!("out of bounds; the highest number is {MAX_MESSAGES}")));
        }
        let common = greatest_common_divisor(thousandths, u64::from(FRACTION));
        let messages = u32::try_from(thousandths / common).ok().and_then(NonZeroU32::new);
        let messages =
            messages.ok_or_else(|| InvalidValue::new("must be more than 0; leave it out to have no limit"))?;
        let times = u32::try_from(u64::from(FRACTION) / common).map_err(|_| invalid())?;
        Ok(Self { messages, per: unit * times })
    }
}

/// Reads `12` or `12.5`, a thousand times as large so that it is whole.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
    whole.checked_mul(u64::from(FRACTION))?.checked_add(fraction)
}

/// Euclid's; of 0 and `b`, `b`.
fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if a == 0 { b } else { greatest_common_divisor(b % a, a) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_spelling_gives_messages_and_time() {
        let rates = [
            ("500/s", 500, 1),
            ("100/m", 100, 60),
            ("1/s", 1, 1),
            ("1000000/s", 1_000_000, 1),
            ("0.5/s", 1, 2),
            ("12.5/m", 25, 120),
            ("0.001/s", 1, 1_000),
            ("2.0/s", 2, 1),
            (" 3 / s", 3, 1),
        ];
        for (text, messages, seconds) in rates {
            let rate: Rate = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((rate.messages.get(), rate.per), (messages, Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn interval_is_the_time_between_two() {
        let interval = |text: &str| text.parse::<Rate>().unwrap().interval();
        assert_eq!(interval("500/s"), Duration::from_millis(2));
        assert_eq!(interval("0.5/s"), Duration::from_secs(2));
        assert_eq!(interval("1000000/s"), Duration::from_micros(1));
    }

    #[test]
    fn other_spellings_are_refused() {
        let refusal = |text: &str| text.parse::<Rate>().unwrap_err().to_string();
        for text in ["", "500", "/s", "500/", "500/h", "-1/s", "+1/s", "1e3/s", ".5/s", "1./s", "0.0001/s", "∞/s"] {
            assert!(refusal(text).starts_with("not a rate; write for example `500/s`"), "{text}");
        }
        for text in ["0/s", "0.0/m", "0.000/s"] {
            assert!(refusal(text).starts_with("must be more than 0"), "{text}");
        }
        assert_eq!(refusal("1000000.001/s"), "out of bounds; the highest number is 1000000");
        assert!(refusal("99999999999999999999/s").starts_with("not a rate"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_holds(whole in 0u32..MAX_MESSAGES, fraction in 0u32..FRACTION) {
            prop_assume!(whole + fraction > 0);
            let rate: Rate = format!("{whole}.{fraction:03}/s").parse().unwrap();
            let written = u128::from(whole) * 1_000 + u128::from(fraction);
            prop_assert_eq!(u128::from(rate.messages.get()) * 1_000, written * u128::from(rate.per.as_secs()));
        }
    }
}
