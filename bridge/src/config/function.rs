//! The name of a Lambda function, in each form that the Invoke API accepts. Never asks AWS whether it exists.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::LazyLock;

use regex_lite::Regex;

use super::InvalidValue;

/// The longest function identifier the Invoke API takes, in characters.
const MAX_LENGTH: usize = 170;

/// The longest function name, in characters.
const MAX_NAME: usize = 64;

/// A whole ARN, or a name with any of region, account and `function:` before it; then perhaps an alias or a version.
#[expect(clippy::expect_used, reason = "a test reads by it")]
static FORM: LazyLock<Regex> = LazyLock::new(|| {
    let (region, account) = ("(?:[a-z]{2}|eusc)(?:-[a-z]+)+-[0-9]", "[0-9]{12}");
    let arn = format!("arn:aws[A-Za-z-]*:lambda:{region}:{account}:function:");
    let part = format!("(?:{region}:)?(?:{account}:)?(?:function:)?");
    let qualifier = r"\$LATEST(?:\.PUBLISHED)?|[A-Za-z0-9_-]+";
    Regex::new(&format!("^(?:{arn}|{part})(?<name>[A-Za-z0-9_-]+)(?::(?:{qualifier}))?$"))
        .expect("a regular expression")
});

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
        let name = FORM.captures(text).and_then(|found| found.name("name").map(|name| name.range()));
        let name = name.ok_or_else(|| {
            InvalidValue::new("not a function; write a name, `name:alias`, or an ARN `arn:aws:lambda:…:function:name`")
        })?;
        if name.len() > MAX_NAME {
            return Err(InvalidValue::new(format!("the name is longer than {MAX_NAME} characters")));
        }
        Ok(Self { text: text.to_owned(), name })
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
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
