//! Reads rules from the lists of a pattern: which operators there are, and what each takes.

use serde_json::{Map, Value};

use super::{Part, Rule, Text};
use crate::mapping::filter::cidr::Cidr;
use crate::mapping::filter::error::FilterFault;
use crate::mapping::filter::numeric::NumericRange;
use crate::mapping::filter::vocabulary::{
    ANYTHING_BUT, CIDR, EQUALS_IGNORE_CASE, EXISTS, NUMERIC, PREFIX, SUFFIX, WILDCARD,
};
use crate::mapping::filter::wildcard::Wildcard;

/// The rules of a list, of which one must match.
pub(in crate::mapping::filter) fn read(values: &[Value]) -> Result<Vec<Rule>, FilterFault> {
    if values.is_empty() {
        return Err(FilterFault::EmptyList);
    }
    values.iter().map(value).collect()
}

fn value(value: &Value) -> Result<Rule, FilterFault> {
    match value {
        Value::Null => Ok(Rule::Null),
        Value::Bool(value) => Ok(Rule::Bool(*value)),
        Value::Number(number) => Ok(Rule::Number(number.clone())),
        Value::String(text) => Ok(Rule::Text(Text::new(Part::Whole, text, false))),
        Value::Array(_) => Err(FilterFault::NestedList),
        Value::Object(rule) => {
            let (operator, operand) = only(rule).ok_or(FilterFault::NotOneOperator)?;
            operation(operator, operand)
        }
    }
}

fn operation(operator: &str, operand: &Value) -> Result<Rule, FilterFault> {
    match operator {
        PREFIX => affix(PREFIX, Part::Start, operand),
        SUFFIX => affix(SUFFIX, Part::End, operand),
        EQUALS_IGNORE_CASE => equals_ignore_case(operand),
        WILDCARD => wildcard(operand),
        ANYTHING_BUT => anything_but(operand),
        NUMERIC => NumericRange::read(operand)
            .map(Rule::Numeric)
            .ok_or_else(|| needs(NUMERIC, "`[\"=\", 5]`, one bound as `[\">\", 0]`, or a lower and a higher upper bound as `[\">\", 0, \"<=\", 5]`")),
        EXISTS => match operand {
            Value::Bool(true) => Ok(Rule::Present),
            Value::Bool(false) => Ok(Rule::Absent),
            _ => Err(needs(EXISTS, "true or false")),
        },
        CIDR => operand
            .as_str()
            .and_then(Cidr::read)
            .map(Rule::Cidr)
            .ok_or_else(|| needs(CIDR, "a block of addresses, such as `10.0.0.0/24` or `2001:db8::/32`")),
        _ => Err(FilterFault::UnknownOperator { operator: operator.to_owned() }),
    }
}

/// `prefix` and `suffix`: a string, or `{ "equals-ignore-case": string }`.
fn affix(operator: &'static str, part: Part, operand: &Value) -> Result<Rule, FilterFault> {
    let (text, ignore_case) = match operand.as_object().and_then(only) {
        Some((EQUALS_IGNORE_CASE, operand)) => (operand.as_str(), true),
        _ => (operand.as_str(), false),
    };
    let text = text.ok_or_else(|| needs(operator, "a string, or `{ \"equals-ignore-case\": \"...\" }`"))?;
    Ok(Rule::Text(Text::new(part, text, ignore_case)))
}

fn equals_ignore_case(operand: &Value) -> Result<Rule, FilterFault> {
    let text = operand.as_str().ok_or_else(|| needs(EQUALS_IGNORE_CASE, "a string"))?;
    Ok(Rule::Text(Text::new(Part::Whole, text, true)))
}

fn wildcard(operand: &Value) -> Result<Rule, FilterFault> {
    let wildcard = operand.as_str().and_then(Wildcard::read);
    wildcard.map(Rule::Wildcard).ok_or_else(|| {
        needs(WILDCARD, "a string without `**`, in which `*` stands for any characters, `\\*` for a star and `\\\\` for a backslash")
    })
}

/// `anything-but`: strings, numbers, or what other operators make of strings.
fn anything_but(operand: &Value) -> Result<Rule, FilterFault> {
    let excluded = match operand.as_object() {
        None => each(operand).iter().map(plain).collect::<Result<Vec<_>, _>>()?,
        Some(object) => {
            let (operator, operand) = only(object).ok_or_else(anything_but_needs)?;
            each(operand).iter().map(|operand| excluded(operator, operand)).collect::<Result<_, _>>()?
        }
    };
    let uniform = excluded.iter().all(|rule| matches!(rule, Rule::Number(_)))
        || excluded.iter().all(|rule| matches!(rule, Rule::Text(_) | Rule::Wildcard(_)));
    if excluded.is_empty() || !uniform { Err(anything_but_needs()) } else { Ok(Rule::AnythingBut(excluded)) }
}

fn plain(operand: &Value) -> Result<Rule, FilterFault> {
    match operand {
        Value::String(_) | Value::Number(_) => value(operand),
        _ => Err(anything_but_needs()),
    }
}

fn excluded(operator: &str, operand: &Value) -> Result<Rule, FilterFault> {
    match operator {
        // An empty affix would exclude every string; AWS refuses it.
        PREFIX | SUFFIX if operand.as_str().is_none_or(str::is_empty) => Err(anything_but_needs()),
        PREFIX | SUFFIX | EQUALS_IGNORE_CASE | WILDCARD => operation(operator, operand),
        _ => Err(anything_but_needs()),
    }
}

fn anything_but_needs() -> FilterFault {
    needs(
        ANYTHING_BUT,
        "a string, a number, a list of strings or of numbers, or one of `prefix`, `suffix`, `equals-ignore-case` and \
         `wildcard` with strings",
    )
}

fn needs(operator: &'static str, needs: &'static str) -> FilterFault {
    FilterFault::Operand { operator, needs }
}

/// A list's values, or the value that stands for a list of one.
fn each(operand: &Value) -> &[Value] {
    operand.as_array().map_or(std::slice::from_ref(operand), Vec::as_slice)
}

fn only(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = object.iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) => Some((key, value)),
        _ => None,
    }
}
