//! What the function's answer means for each record of the event. Pure.
//!
//! Follows AWS's rules for partial batch responses (Lambda developer guide, "Implementing partial batch responses"):
//! nothing, `null`, or no failures listed is success; an identifier that is null, empty or unknown, or a list that cannot
//! be read, fails the whole batch, and so does what is not JSON, or a list of failures in a string, a list or another
//! object. JSON that says nothing about records is success too.

use std::collections::HashMap;

use event::{ItemFailure, Response};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::delivery::RecordId;
use crate::foreign::Foreign;

/// Why a record, or a whole event, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind: `Function.ItemFailure`, the function's own error type, or an invocation error's.
    pub kind: Foreign,
    /// The reason, in the function's or Lambda's words. As long as a dead letter keeps it; all records of an event share it.
    pub message: Foreign,
    /// Whether another attempt may help.
    pub retry: bool,
}

/// The failures among the records, by their index, and what else the function says; or the failure of the whole event.
///
/// # Errors
/// When the answer fails the whole event.
pub fn interpret(answer: &[u8], ids: &[RecordId]) -> Result<(HashMap<usize, Failure>, Response), Failure> {
    let body = answer.strip_prefix(BOM).unwrap_or(answer).trim_ascii();
    if body.is_empty() {
        return Ok((HashMap::new(), Response::default()));
    }
    if !body.starts_with(b"{") {
        serde_json::from_slice::<&RawValue>(body).map_err(|error| unreadable("not JSON", &error))?;
        return if hides_failures(body) { Err(hidden()) } else { Ok((HashMap::new(), Response::default())) };
    }
    let mut response: Response = serde_json::from_slice(body).map_err(|error| unreadable("cannot be read", &error))?;
    if response.batch_item_failures.is_empty() && hides_failures(body) {
        return Err(hidden());
    }
    if response.batch_item_failures.is_empty() {
        return Ok((HashMap::new(), response));
    }
    // Publishers may give one id to several messages: then it means all of them.
    let mut known: HashMap<String, Vec<usize>> = HashMap::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        known.entry(id.to_string()).or_default().push(index);
    }
    let mut failures = HashMap::with_capacity(response.batch_item_failures.len());
    for item in std::mem::take(&mut response.batch_item_failures) {
        let id = item.item_identifier.as_deref().unwrap_or_default();
        let indices = known.get(id).filter(|_| !id.is_empty());
        let Some(indices) = indices else {
            return Err(malformed(&format!("`{}` is no record of this event", Foreign::of(id))));
        };
        let failure = item_failure(item);
        failures.extend(indices.iter().map(|index| (*index, failure.clone())));
    }
    Ok((failures, response))
}

/// What some editors and languages put before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// The list that says which records failed.
const FAILURES: &str = "batchItemFailures";

/// Whether the list of failures stands where neither AWS nor the bridge reads it: in a list, in another object, or in a
/// string that is JSON once more. Looks closely only where the word occurs.
fn hides_failures(body: &[u8]) -> bool {
    if !body.windows(FAILURES.len()).any(|window| window == FAILURES.as_bytes()) {
        return false;
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => {
            let others = object.iter().filter(|(key, _)| !["publish", "reply", FAILURES].contains(&key.as_str()));
            others.map(|(_, value)| value).any(|value| holds_failures(value, 0))
        }
        Ok(value) => holds_failures(&value, 0),
        Err(_) => false,
    }
}

fn holds_failures(value: &Value, depth: u8) -> bool {
    /// How often JSON may be a string in JSON before nobody looks any more.
    const DEEPEST: u8 = 4;
    match value {
        Value::Object(object) => {
            object.contains_key(FAILURES) || object.values().any(|value| holds_failures(value, depth))
        }
        Value::Array(items) => items.iter().any(|value| holds_failures(value, depth)),
        Value::String(text) if depth < DEEPEST && text.contains(FAILURES) => {
            serde_json::from_str(text).is_ok_and(|value| holds_failures(&value, depth + 1))
        }
        _ => false,
    }
}

fn hidden() -> Failure {
    let way_out =
        "it must be a key of the JSON object that the function returns, not of a string, a list or another object";
    malformed(&format!("not where it is read; {way_out}"))
}

/// Without the text itself, which can hold anything.
fn unreadable(what: &str, error: &serde_json::Error) -> Failure {
    let (line, column) = (error.line(), error.column());
    let message = format!("response: {what} from line {line}, column {column} on; return a JSON object, or nothing");
    Failure { kind: "Function.MalformedResponse".into(), message: message.into(), retry: true }
}

/// The failure that a function error carries (Lambda developer guide, "Function errors").
#[must_use]
pub(crate) fn function_error(header: &str, body: &[u8]) -> Failure {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Body {
        error_type: String,
        error_message: String,
    }
    let Body { error_type, error_message } = serde_json::from_slice(body).unwrap_or_default();
    let kind = if error_type.is_empty() { format!("Function.{header}") } else { error_type };
    Failure { kind: kind.into(), message: Foreign::for_letter(&error_message), retry: true }
}

fn item_failure(item: ItemFailure) -> Failure {
    let message = Foreign::for_letter(item.reason.as_deref().unwrap_or("reported in batchItemFailures"));
    Failure { kind: "Function.ItemFailure".into(), message, retry: item.retry }
}

fn malformed(message: &str) -> Failure {
    let message = format!("batchItemFailures: {message}").into();
    Failure { kind: "Function.MalformedResponse".into(), message, retry: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign;

    const FIXTURE: &[u8] = include_bytes!("../../../event/fixtures/response.json");

    fn ids() -> Vec<RecordId> {
        (1..=3).map(|sequence| RecordId::Numbered { run: 0x5b1f_0c7e_9a3d_2468, sequence }).collect()
    }

    #[test]
    fn the_fixture_fails_two_records_of_three() {
        let (failures, response) = interpret(FIXTURE, &ids()).unwrap();
        assert_eq!(response.publish.len(), 2);
        assert_eq!(failures.len(), 2);
        assert_eq!((failures[&1].retry, &*failures[&1].message), (false, "payload: not JSON"));
        assert!(failures[&2].retry);
    }

    #[test]
    fn success_has_many_spellings() {
        for answer in ["", "null", "{}", r#""done""#, "[]", r#"{"statusCode":200}"#, r#"{"batchItemFailures":null}"#] {
            let (failures, _) = interpret(answer.as_bytes(), &ids()).unwrap();
            assert_eq!(failures, HashMap::new(), "{answer}");
        }
    }

    /// F44.
    #[test]
    fn f44_what_is_not_json_or_hides_its_failures_is_never_a_success() {
        let list = r#"{"batchItemFailures":[{"itemIdentifier":"5b1f0c7e9a3d2468-1"}]}"#;
        let string = serde_json::to_string(list).unwrap();
        let twice = serde_json::to_string(&string).unwrap();
        let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(list.bytes().flat_map(|byte| [byte, 0])).collect();
        for answer in [
            b"<html>hi</html>".to_vec(),
            b"\x1f\x8b\x08".to_vec(),
            utf16,
            b"done".to_vec(),
            b"nul".to_vec(),
            list.as_bytes()[..40].to_vec(),
            format!("{list} trailing").into_bytes(),
            string.clone().into_bytes(),
            twice.into_bytes(),
            format!("[{list}]").into_bytes(),
            format!(r#"{{"statusCode":200,"body":{string}}}"#).into_bytes(),
            format!(r#"{{"result":{list}}}"#).into_bytes(),
        ] {
            let failure = interpret(&answer, &ids()).unwrap_err();
            assert_eq!((&*failure.kind, failure.retry), ("Function.MalformedResponse", true));
        }
        let with_bom = [BOM, list.as_bytes()].concat();
        assert_eq!(interpret(&with_bom, &ids()).unwrap().0.into_keys().collect::<Vec<_>>(), [0]);
        for fine in
            [r#""no batchItemFailures""#, r#"{"note":"batchItemFailures: none"}"#, r#"["batchItemFailures"]"#, "7"]
        {
            assert!(interpret(fine.as_bytes(), &ids()).unwrap().0.is_empty(), "{fine}");
        }
    }

    #[test]
    fn whatever_cannot_be_attributed_fails_the_whole_batch() {
        for answer in [
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"id":"5b1f0c7e9a3d2468-1"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"5b1f0c7e9a3d2468-9"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"someone-else"}]}"#,
            r#"{"batchItemFailures":"all"}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"#,
        ] {
            let failure = interpret(answer.as_bytes(), &ids()).unwrap_err();
            assert!(failure.retry, "{answer}");
            assert_eq!(failure.kind, "Function.MalformedResponse");
        }
    }

    #[test]
    fn an_id_that_two_records_share_means_both() {
        let ids = ["same", "other", "same"].map(|id| RecordId::Given(id.into()));
        let (failures, _) = interpret(br#"{"batchItemFailures":[{"itemIdentifier":"same"}]}"#, &ids).unwrap();
        let mut indices: Vec<_> = failures.keys().copied().collect();
        indices.sort_unstable();
        assert_eq!(indices, [0, 2]);
    }

    #[test]
    fn a_function_error_keeps_the_functions_words() {
        let failure = function_error("Unhandled", br#"{"errorType":"ValueError","errorMessage":"no"}"#);
        assert_eq!((&*failure.kind, &*failure.message), ("ValueError", "no"));
        assert_eq!(function_error("Unhandled", b"?").kind, "Function.Unhandled");
    }

    #[test]
    fn a_huge_function_error_is_limited_and_shared() {
        let long = "x".repeat(5_000_000);
        let body = serde_json::json!({"errorMessage": long, "errorType": long}).to_string();
        let failure = function_error("Unhandled", body.as_bytes());
        assert!(failure.message.len() <= foreign::LETTER_LIMIT && failure.message.ends_with("… (5000000 bytes)"));
        assert!(failure.kind.len() <= foreign::LIMIT);
        assert_eq!(failure.clone().message.as_ptr(), failure.message.as_ptr(), "50 records have it once");
        let items: Vec<_> = ids().iter().map(|id| ItemFailure::give_up(id.to_string(), long.clone())).collect();
        let answer = serde_json::json!({"batchItemFailures": items}).to_string();
        let (failures, _) = interpret(answer.as_bytes(), &ids()).unwrap();
        assert!(
            failures.values().all(|failure| failure.message.len() <= foreign::LETTER_LIMIT),
            "those of records, too"
        );
    }
}
