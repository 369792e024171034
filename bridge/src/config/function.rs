//! The name of a Lambda function, in each form that the Invoke API takes. Never asks AWS whether it exists.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::InvalidValue;

/// The longest function identifier the Invoke API takes, in characters.
const MAX_LENGTH: usize = 170;

/// The longest function name, in characters.
const MAX_NAME: usize = 64;

/// A function name, `name:qualifier`, a partial ARN or a full ARN.
///
/// Checked against the pattern of `FunctionName` in the Lambda API reference, operation Invoke.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Function {
    text: String,
    name: Range<usize>,
}

impl Function {
    /// As it was written; what the Invoke API takes as `FunctionName`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The bare name, without ARN and qualifier.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.name.clone()]
    }

    /// The alias or version after the name.
    #[must_use]
    pub fn qualifier(&self) -> Option<&str> {
        self.text.get(self.name.end + 1..)
    }
}

impl FromStr for Function {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidValue::new(format!("longer than {MAX_LENGTH} characters")));
        }
        let rest = strip_arn(text).ok_or_else(invalid)?;
        let (name, qualifier) = match rest.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (rest, None),
        };
        if name.len() > MAX_NAME {
            return Err(InvalidValue::new(format!("the name is longer than {MAX_NAME} characters")));
        }
        if !is_word(name) || !qualifier.is_none_or(is_qualifier) {
            return Err(invalid());
        }
        let start = text.len() - rest.len();
        Ok(Self { text: text.to_owned(), name: start..start + name.len() })
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn invalid() -> InvalidValue {
    InvalidValue::new("not a function; write a name, `name:alias`, or an ARN `arn:aws:lambda:…:function:name`")
}

/// Drops what stands before the name: a whole ARN, or any of region, account and `function:`. `None` when the ARN is not
/// of a Lambda function.
fn strip_arn(text: &str) -> Option<&str> {
    let arn = text.strip_prefix("arn:");
    let mut rest = match arn {
        Some(arn) => arn.split_once(':').filter(|(partition, _)| is_partition(partition))?.1.strip_prefix("lambda:")?,
        None => text,
    };
    let parts: [fn(&str) -> bool; 3] = [is_region, is_account, |part| part == "function"];
    for is_part in parts {
        match rest.split_once(':') {
            Some((part, after)) if is_part(part) => rest = after,
            _ if arn.is_some() => return None,
            _ => {}
        }
    }
    Some(rest)
}

/// `aws`, `aws-cn`, `aws-us-gov`.
fn is_partition(part: &str) -> bool {
    part.starts_with("aws") && part.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
}

/// `eu-west-1`, `us-gov-west-1`, `us-iso-east-1`.
fn is_region(part: &str) -> bool {
    let words: Vec<_> = part.split('-').collect();
    let [first, middle @ .., last] = words.as_slice() else { return false };
    let letters = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    (first.len() == 2 || *first == "eusc")
        && letters(first)
        && !middle.is_empty()
        && middle.iter().all(letters)
        && matches!(last.as_bytes(), [b'0'..=b'9'])
}

fn is_account(part: &str) -> bool {
    part.len() == 12 && part.bytes().all(|b| b.is_ascii_digit())
}

fn is_word(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_qualifier(part: &str) -> bool {
    is_word(part) || part == "$LATEST" || part == "$LATEST.PUBLISHED"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_gives_name_and_qualifier() {
        let forms = [
            ("sensor-handler", "sensor-handler", None),
            ("sensor-handler:live", "sensor-handler", Some("live")),
            ("sensor-handler:$LATEST", "sensor-handler", Some("$LATEST")),
            ("123456789012:function:f", "f", None),
            ("123456789012:f:7", "f", Some("7")),
            ("function:f", "f", None),
            ("arn:aws:lambda:eu-west-1:123456789012:function:f", "f", None),
            ("arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f:live", "f", Some("live")),
            ("123456789012", "123456789012", None),
        ];
        for (text, name, qualifier) in forms {
            let function: Function = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((function.as_str(), function.name(), function.qualifier()), (text, name, qualifier));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let forms = [
            "",
            " f",
            "f ",
            "f:",
            ":live",
            "f:live:more",
            "f/g",
            "fünf",
            "f:$latest",
            "https://lambda.eu-west-1.amazonaws.com/f",
            "arn:aws:lambda:eu-west-1:123456789012:f",
            "arn:aws:lambda:eu-west-1:1234:function:f",
            "arn:aws:lambda:europe:123456789012:function:f",
            "arn:aws:sqs:eu-west-1:123456789012:queue",
            "arn:other:lambda:eu-west-1:123456789012:function:f",
            "arn:aws:lambda",
        ];
        for text in forms {
            assert!(text.parse::<Function>().is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert!("f".repeat(MAX_NAME).parse::<Function>().is_ok());
        assert!("f".repeat(MAX_NAME + 1).parse::<Function>().is_err());
        assert!(format!("f:{}", "a".repeat(MAX_LENGTH)).parse::<Function>().is_err());
    }
}
