//! Rules: conditions for a single value. Knows nothing of fields and arrays.

mod read;

pub(super) use read::read;

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Number;

use super::caseless::Caseless;
use super::cidr::Cidr;
use super::numeric::{self, NumericRange};
use super::wildcard::Wildcard;

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    Null,
    Bool(bool),
    /// Equal in value: `300` is `300.0`.
    Number(Number),
    Text(Text),
    Wildcard(Wildcard),
    Numeric(NumericRange),
    Cidr(Cidr),
    /// Matches every value that none of these matches, of whatever type.
    AnythingBut(Vec<Rule>),
    /// Matches every value.
    Present,
    /// Matches no value. Callers that find no value check for this rule by name.
    Absent,
}

/// A value of a message that is neither a list nor an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
}

/// A string to compare with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    part: Part,
    expected: Expected,
}

#[derive(Debug, Clone, PartialEq)]
enum Expected {
    Exactly(String),
    InAnyCase(Caseless),
}

/// The part of the value that is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part {
    Whole,
    Start,
    End,
}

impl Rule {
    pub(super) fn matches(&self, value: &Scalar<'_>) -> bool {
        match (self, value) {
            (Self::Present, _) | (Self::Null, Scalar::Null) => true,
            (Self::AnythingBut(excluded), value) => !excluded.iter().any(|rule| rule.matches(value)),
            (Self::Bool(expected), Scalar::Bool(value)) => expected == value,
            (Self::Number(expected), Scalar::Number(value)) => {
                numeric::compare(expected, value) == Some(Ordering::Equal)
            }
            (Self::Numeric(range), Scalar::Number(value)) => range.contains(value),
            (Self::Text(expected), Scalar::Text(value)) => expected.matches(value),
            (Self::Wildcard(wildcard), Scalar::Text(value)) => wildcard.matches(value),
            (Self::Cidr(block), Scalar::Text(value)) => block.contains(value),
            _ => false,
        }
    }
}

impl Text {
    pub(super) fn new(part: Part, text: &str, ignore_case: bool) -> Self {
        let expected =
            if ignore_case { Expected::InAnyCase(Caseless::new(text)) } else { Expected::Exactly(text.to_owned()) };
        Self { part, expected }
    }

    fn matches(&self, value: &str) -> bool {
        match (self.part, &self.expected) {
            (Part::Whole, Expected::Exactly(text)) => value == text,
            (Part::Start, Expected::Exactly(text)) => value.starts_with(text),
            (Part::End, Expected::Exactly(text)) => value.ends_with(text),
            (Part::Whole, Expected::InAnyCase(text)) => text.is(value),
            (Part::Start, Expected::InAnyCase(text)) => text.begins(value),
            (Part::End, Expected::InAnyCase(text)) => text.ends(value),
        }
    }
}
