//! A value of the TOML file as text, if it has the type of its key. Checks nothing beyond the type.

use serde_json::{Map, Number, Value};
use toml::de::{DeInteger, DeTable, DeValue};

use super::super::key::{Key, Kind};

/// The text of a value of the type that the key asks for. A list or a table becomes JSON.
pub(super) fn text_of(key: &Key, value: &DeValue<'_>) -> Result<String, String> {
    match (key.kind, value) {
        (Kind::Number(..) | Kind::Size, DeValue::Integer(number)) => {
            integer(number).map(|number| number.to_string()).ok_or_else(|| "the number is too large".to_owned())
        }
        (Kind::Number(..), _) => Err(format!("{}; write a number without quotes", article(value))),
        (Kind::Switch, DeValue::Boolean(on)) => Ok(on.to_string()),
        (Kind::Switch, _) => Err(format!("{}; write `true` or `false` without quotes", article(value))),
        (Kind::Texts, DeValue::String(text)) => Ok(Value::from(vec![text.to_string()]).to_string()),
        (Kind::List | Kind::Texts, DeValue::Array(items)) if items.iter().all(|item| item.get_ref().is_str()) => {
            json(value).map(|json| json.to_string())
        }
        (Kind::List | Kind::Texts, DeValue::Array(_)) => Err("is a list of other things than strings".to_owned()),
        (Kind::Texts, _) => Err(format!("{}; write a string, or a list of strings", article(value))),
        (Kind::List, _) => Err(format!("{}; write a list of strings", article(value))),
        (Kind::Json, DeValue::Array(_) | DeValue::Table(_)) => json(value).map(|json| json.to_string()),
        (Kind::Json, _) => Err(format!("{}; write a list of tables", article(value))),
        (_, DeValue::String(text)) => Ok(text.to_string()),
        _ => Err(format!("{}; write it in quotes", article(value))),
    }
}

/// What a value is, for the beginning of a refusal.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "is a string",
        DeValue::Integer(_) | DeValue::Float(_) => "is a number without quotes",
        DeValue::Boolean(_) => "is a boolean",
        DeValue::Datetime(_) => "is a date",
        DeValue::Array(_) => "is a list",
        DeValue::Table(_) => "is a table",
    }
}

/// The same value in JSON, where integers stay integers. The parser of TOML bounds the depth.
fn json(value: &DeValue<'_>) -> Result<Value, String> {
    match value {
        DeValue::String(text) => Ok(Value::String(text.to_string())),
        DeValue::Boolean(on) => Ok(Value::Bool(*on)),
        DeValue::Array(items) => {
            items.iter().map(|item| json(item.get_ref())).collect::<Result<_, _>>().map(Value::Array)
        }
        DeValue::Table(table) => object(table).map(Value::Object),
        DeValue::Integer(number) => {
            let number = integer(number).and_then(Number::from_i128);
            number.map(Value::Number).ok_or_else(|| "holds a number that is too large".to_owned())
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(|| "holds a number that JSON does not have".to_owned())
        }
        DeValue::Datetime(_) => Err("holds a date, which JSON does not have; write it in quotes".to_owned()),
    }
}

fn object(table: &DeTable<'_>) -> Result<Map<String, Value>, String> {
    table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), json(value.get_ref())?))).collect()
}

fn integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::super::super::keys::find;
    use super::*;

    /// The text of the value that `text` gives to a key of a mapping.
    fn text_of_key(path: &str, text: &str) -> Result<String, String> {
        let document = format!("value = {text}");
        let table = DeTable::parse(&document).unwrap();
        text_of(find(path).unwrap(), table.get_ref()["value"].get_ref())
    }

    #[test]
    fn patterns_become_json_and_keep_their_numbers_and_names() {
        let pattern = "[{ payload = { aB = [0x10, -3, 30.0, 1e2, true, \"x\"], n = [18446744073709551615] } }]";
        let json = text_of_key("mapping.filter", pattern).unwrap();
        assert_eq!(json, r#"[{"payload":{"aB":[16,-3,30.0,100.0,true,"x"],"n":[18446744073709551615]}}]"#);
        assert_eq!(text_of_key("mapping.filter", "{ topic = [\"a\"] }").unwrap(), r#"{"topic":["a"]}"#);
    }

    #[test]
    fn what_json_does_not_have_is_refused() {
        for (value, expected) in [
            ("inf", "holds a number that JSON does not have"),
            ("nan", "holds a number that JSON does not have"),
            ("1e999", "holds a number that JSON does not have"),
            ("18446744073709551616", "holds a number that is too large"),
            ("2026-11-20", "holds a date, which JSON does not have; write it in quotes"),
        ] {
            assert_eq!(text_of_key("mapping.filter", &format!("[{{ a = [{value}] }}]")).unwrap_err(), expected);
        }
        assert_eq!(text_of_key("mapping.filter", "\"{}\"").unwrap_err(), "is a string; write a list of tables");
    }

    #[test]
    fn lists_hold_strings_and_switches_booleans() {
        assert_eq!(text_of_key("mapping.response.allow", "[\"a,b\", 'c\"']").unwrap(), r#"["a,b","c\""]"#);
        assert_eq!(text_of_key("mapping.response.allow", "\"a\"").unwrap_err(), "is a string; write a list of strings");
        let mixed = text_of_key("mapping.response.allow", "[\"a\", 1]").unwrap_err();
        assert_eq!(mixed, "is a list of other things than strings");
        assert_eq!(text_of_key("mapping.reply", "true").unwrap(), "true");
        let quoted = text_of_key("mapping.reply", "\"true\"").unwrap_err();
        assert_eq!(quoted, "is a string; write `true` or `false` without quotes");
    }
}
