//! A share of messages to sample, as users write it. Does not sample itself.

use std::str::FromStr;

use super::InvalidValue;

/// All of them.
const WHOLE: u32 = 1_000_000;

/// A share of all messages, written `100%`, `5%` or `0.01%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    millionths: u32,
}

impl Sampling {
    /// Whether it takes what has drawn this number; all numbers are as likely.
    #[must_use]
    pub fn takes(self, drawn: u64) -> bool {
        (u128::from(drawn) * u128::from(WHOLE)) >> 64 < u128::from(self.millionths)
    }
}

impl FromStr for Sampling {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid =
            || InvalidValue::new("not a share; write `0%` to `100%`, with at most four digits behind the point");
        let number = text.strip_suffix('%').ok_or_else(invalid)?.trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(fraction) || whole.len() > 3 || fraction.len() > 4 {
            return Err(invalid());
        }
        let millionths = format!("{whole}{fraction:0<4}").parse().map_err(|_| invalid())?;
        if millionths > WHOLE { Err(invalid()) } else { Ok(Self { millionths }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_to_the_millionth() {
        for (text, millionths) in
            [("0%", 0), ("100%", WHOLE), ("100.0000%", WHOLE), ("5 %", 50_000), ("0.0001%", 1), ("12.5%", 125_000)]
        {
            assert_eq!(text.parse(), Ok(Sampling { millionths }), "{text}");
        }
        for text in ["", "%", "5", "0.05", "-1%", "+1%", "100.1%", "101%", "0.00001%", ".5%", "5.%", "1e1%"] {
            assert!(text.parse::<Sampling>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_takes_as_many_as_it_says() {
        let taken = |text: &str| {
            let sampling: Sampling = text.parse().unwrap();
            (0..10_000_u64).filter(|step| sampling.takes(u64::MAX / 20_000 * (2 * step + 1))).count()
        };
        assert_eq!((taken("0%"), taken("100%"), taken("25%")), (0, 10_000, 2_500));
        let (none, all): (Sampling, Sampling) = ("0%".parse().unwrap(), "100%".parse().unwrap());
        assert!(!none.takes(0) && all.takes(u64::MAX));
    }
}
