//! Compares JSON numbers by their value, not by how they are written.

use std::cmp::Ordering;
use std::ops::Bound;

use serde_json::{Number, Value};

/// How two numbers compare: exactly when both are integers of 64 bits, else as doubles.
pub(super) fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// The numbers that a `numeric` rule takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NumericRange {
    lower: Bound<Number>,
    upper: Bound<Number>,
}

impl NumericRange {
    /// Reads `["=", 5]`, `[">", 0]` and `[">", 0, "<=", 5]`.
    pub(super) fn read(operand: &Value) -> Option<Self> {
        let (lower, upper) = match operand.as_array()?.as_slice() {
            [sign, limit] => {
                let limit = number(limit)?;
                match sign.as_str()? {
                    "=" => (Bound::Included(limit.clone()), Bound::Included(limit)),
                    ">" | ">=" => (lower(sign, limit)?, Bound::Unbounded),
                    _ => (Bound::Unbounded, upper(sign, limit)?),
                }
            }
            [low_sign, low, high_sign, high] => {
                let (low, high) = (number(low)?, number(high)?);
                (compare(&low, &high)? == Ordering::Less).then_some(())?;
                (lower(low_sign, low)?, upper(high_sign, high)?)
            }
            _ => return None,
        };
        Some(Self { lower, upper })
    }

    pub(super) fn contains(&self, value: &Number) -> bool {
        let above = match &self.lower {
            Bound::Included(limit) => compare(value, limit).is_some_and(Ordering::is_ge),
            Bound::Excluded(limit) => compare(value, limit).is_some_and(Ordering::is_gt),
            Bound::Unbounded => true,
        };
        above
            && match &self.upper {
                Bound::Included(limit) => compare(value, limit).is_some_and(Ordering::is_le),
                Bound::Excluded(limit) => compare(value, limit).is_some_and(Ordering::is_lt),
                Bound::Unbounded => true,
            }
    }
}

fn number(value: &Value) -> Option<Number> {
    value.as_number().cloned()
}

fn lower(sign: &Value, limit: Number) -> Option<Bound<Number>> {
    match sign.as_str()? {
        ">" => Some(Bound::Excluded(limit)),
        ">=" => Some(Bound::Included(limit)),
        _ => None,
    }
}

fn upper(sign: &Value, limit: Number) -> Option<Bound<Number>> {
    match sign.as_str()? {
        "<" => Some(Bound::Excluded(limit)),
        "<=" => Some(Bound::Included(limit)),
        _ => None,
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_str, json};

    use super::*;

    fn order(left: &str, right: &str) -> Ordering {
        compare(&from_str(left).unwrap(), &from_str(right).unwrap()).unwrap()
    }

    #[test]
    fn spelling_does_not_matter() {
        for other in ["300", "300.0", "3.0e2", "3E+2"] {
            assert_eq!(order("300", other), Ordering::Equal, "{other}");
        }
        assert_eq!(order("0", "-0.0"), Ordering::Equal);
        assert_eq!(order("-1", "1"), Ordering::Less);
        assert_eq!(order("0.1", "0.10000000000000001"), Ordering::Equal);
    }

    #[test]
    fn integers_compare_exactly_beyond_what_a_double_holds() {
        assert_eq!(order("9007199254740993", "9007199254740992"), Ordering::Greater);
        assert_eq!(order("18446744073709551615", "-9223372036854775808"), Ordering::Greater);
    }

    #[test]
    fn each_sign_has_its_bound() {
        let holds = |operand: Value| {
            let range = NumericRange::read(&operand).unwrap();
            [4.9, 5.0, 5.1].map(|value| range.contains(&Number::from_f64(value).unwrap()))
        };
        assert_eq!(holds(json!(["=", 5])), [false, true, false]);
        assert_eq!(holds(json!(["<", 5])), [true, false, false]);
        assert_eq!(holds(json!(["<=", 5])), [true, true, false]);
        assert_eq!(holds(json!([">", 5])), [false, false, true]);
        assert_eq!(holds(json!([">=", 5])), [false, true, true]);
        assert_eq!(holds(json!([">", 4.9, "<=", 5])), [false, true, false]);
        assert_eq!(holds(json!([">=", 4.9, "<", 5])), [true, false, false]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for operand in [
            json!(5),
            json!([]),
            json!(["="]),
            json!([5]),
            json!(["=", "5"]),
            json!(["!=", 5]),
            json!([5, "="]),
            json!(["<", 5, ">", 0]),
            json!([">", 0, "<"]),
            json!([">", 0, ">", 5]),
            json!(["=", 0, "<", 5]),
            json!([">", 5, "<", 0]),
            json!([">=", 5, "<=", 5]),
            json!([">", 0, "<", 5, "<", 6]),
        ] {
            assert_eq!(NumericRange::read(&operand), None, "{operand}");
        }
    }
}
