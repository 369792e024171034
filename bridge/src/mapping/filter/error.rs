//! The mistakes that a pattern can have, each on one line that names the place.

use super::vocabulary::{ALTERNATIVES_LIMIT, DEPTH_LIMIT, FIELDS, OPERATORS, PATTERN_LIMIT};

/// A pattern that cannot be compiled. Its `Display` is one line: the place, the cause, the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter{}: {}{}", .pattern.map(|index| format!("[{index}]")).unwrap_or_default(), in_words(.path), one_line(.fault))]
pub struct FilterError {
    /// Which of several patterns, from 0.
    pattern: Option<usize>,
    /// From the outermost field to the one at fault.
    path: Vec<String>,
    fault: FilterFault,
}

impl FilterError {
    pub(super) fn new(fault: FilterFault) -> Self {
        Self { pattern: None, path: Vec::new(), fault }
    }

    /// The same error, seen from the object that holds `field`.
    pub(super) fn within(mut self, field: impl Into<String>) -> Self {
        self.path.insert(0, field.into());
        self
    }

    pub(super) fn of_pattern(self, index: usize) -> Self {
        Self { pattern: Some(index), ..self }
    }

    /// What is wrong, apart from where.
    #[must_use]
    pub fn fault(&self) -> &FilterFault {
        &self.fault
    }
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterFault {
    /// The pattern is longer than [`PATTERN_LIMIT`].
    #[error("the pattern has {characters} characters; {PATTERN_LIMIT} are allowed, so write several patterns")]
    TooLong {
        /// What it has, without spaces between its parts.
        characters: usize,
    },
    /// Its `$or`s multiply to too many combinations.
    #[error("`$or` makes more than {ALTERNATIVES_LIMIT} combinations; write several patterns")]
    TooManyAlternatives,
    /// Its objects are within too many others.
    #[error("is within {DEPTH_LIMIT} objects; no payload that deep is read")]
    TooDeep,
    /// The pattern itself is not an object, or `userProperties` is none.
    #[error("must be an object of fields, such as `{{ \"{example}\": [...] }}`")]
    NotAnObject {
        /// A field it could have.
        example: &'static str,
    },
    /// A field of the message that has no fields of its own is given as an object.
    #[error("has no fields of its own; write a list of values, such as `[...]`")]
    NotAList,
    /// A field is given neither a list nor an object.
    #[error("must be a list of values or an object of fields; write `[{found}]`")]
    Bare {
        /// What is given instead, shortened.
        found: String,
    },
    /// An object without fields, which AWS refuses, too.
    #[error("the object is empty; name a field, or leave it out")]
    EmptyObject,
    /// A list without values, which AWS refuses, too.
    #[error("the list is empty; give it a value, or leave the field out")]
    EmptyList,
    /// A list within a list.
    #[error("a list holds strings, numbers, true, false, null and rules, but no lists")]
    NestedList,
    /// A field that no message has.
    #[error("no message has this field; there are `{}`", FIELDS.join("`, `"))]
    UnknownField,
    /// A rule with no operator, or several.
    #[error("a rule has exactly one operator, such as `{{ \"prefix\": \"a\" }}`; write several rules")]
    NotOneOperator,
    /// A rule with an operator that is not documented.
    #[error("unknown operator `{operator}`; there are `{}`", OPERATORS.join("`, `"))]
    UnknownOperator {
        /// As it is written.
        operator: String,
    },
    /// An operator does not take what it is given.
    #[error("`{operator}` needs {needs}")]
    Operand {
        /// As it is written.
        operator: &'static str,
        /// What it takes.
        needs: &'static str,
    },
    /// `$or` has not at least two objects to choose from.
    #[error("needs a list of two objects or more")]
    Or,
    /// An operator where `$or` expects a field.
    #[error("is an operator; within `$or` write `\"field\": [{{ \"{operator}\": ... }}]`")]
    OperatorInOr {
        /// As it is written.
        operator: String,
    },
    /// A field both beside and within an `$or`, or within two of them.
    #[error("is given twice, once within an `$or`; a field can be given once in each combination")]
    Twice,
}

fn in_words(path: &[String]) -> String {
    if path.is_empty() { String::new() } else { format!("{}: ", one_line(&path.join("."))) }
}

/// Names out of a pattern can hold what forges a line, or moves the cursor of a terminal.
fn one_line(text: &impl ToString) -> String {
    text.to_string().chars().fold(String::new(), |mut line, letter| {
        if letter.is_control() {
            line.extend(letter.escape_debug());
        } else {
            line.push(letter);
        }
        line
    })
}
