//! What the function's answer means for each record of the event. Pure.
//!
//! Follows AWS's rules for partial batch responses (Lambda developer guide, "Implementing partial batch responses"):
//! nothing, `null`, or no failures listed is success; an identifier that is null, empty or unknown, or a list that
//! cannot be read, fails the whole batch, and so does what is not JSON, or a list of failures in a string, a list or
//! another object. JSON that says nothing about records is success too.

use std::collections::HashMap;

use event::{ItemFailure, Response};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::work;
use crate::delivery::RecordId;
use crate::foreign::Foreign;

/// Why a record, or a whole event, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind: `Function.ItemFailure`, the function's own error type, or an invocation error's.
    pub kind: Foreign,
    /// The reason, in the function's or Lambda's words. As long as a dead letter keeps it; all records of an event
    /// share it.
    pub message: Foreign,
    /// Whether another attempt may help.
    pub retry: bool,
}

/// What an answer says that does not fail the whole event.
#[derive(Debug, Default)]
pub struct Reading {
    /// The failures among the records, by their index.
    pub failures: HashMap<usize, Failure>,
    /// What else the function says.
    pub response: Response,
    /// There was a `publish` or a `reply`, whatever it was, on a mapping that asks for neither: it is left out.
    pub ignored: bool,
}

/// Reads an answer. The work is linear in the answer and the event. `wants_answers` says whether the mapping publishes
/// what functions say: only then `publish` and `reply` have to be what they are for the bridge.
///
/// # Errors
/// When the answer fails the whole event.
pub fn interpret(answer: &[u8], ids: &[RecordId], wants_answers: bool) -> Result<Reading, Failure> {
    let body = text_of(answer);
    if body.is_empty() {
        return Ok(Reading::default());
    }
    if !body.starts_with(b"{") {
        serde_json::from_slice::<&RawValue>(body).map_err(|error| unreadable("not JSON", &error))?;
        return if hides_failures(body, &[]) { Err(hidden()) } else { Ok(Reading::default()) };
    }
    let (mut response, ignored) = read(body, wants_answers)?;
    // A message that the function publishes may contain the word. If answers are ignored, it is no message.
    let others: &[&str] = if ignored { &[FAILURES] } else { &[FAILURES, "publish", "reply"] };
    if response.batch_item_failures.is_empty() && hides_failures(body, others) {
        return Err(hidden());
    }
    let items = std::mem::take(&mut response.batch_item_failures);
    let failures = if items.is_empty() { HashMap::new() } else { attributed(items, ids)? };
    Ok(Reading { failures, response, ignored })
}

/// The response, and whether all but its list of failures is left out.
fn read(body: &[u8], wants_answers: bool) -> Result<(Response, bool), Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Failures {
        #[serde(default)]
        batch_item_failures: Option<Vec<ItemFailure>>,
    }
    let error = match serde_json::from_slice::<Response>(body) {
        Ok(response) if wants_answers || (response.publish.is_empty() && response.reply.is_empty()) => {
            return Ok((response, false));
        }
        Ok(response) => {
            let batch_item_failures = response.batch_item_failures;
            return Ok((Response { batch_item_failures, ..Response::default() }, true));
        }
        Err(error) => error,
    };
    match serde_json::from_slice(body) {
        Ok(Failures { batch_item_failures: failures }) if !wants_answers => {
            Ok((Response { batch_item_failures: failures.unwrap_or_default(), ..Response::default() }, true))
        }
        _ => Err(unreadable("cannot be read", &error)),
    }
}

/// The failures by the index of their records.
fn attributed(items: Vec<ItemFailure>, ids: &[RecordId]) -> Result<HashMap<usize, Failure>, Failure> {
    work::read(ids.len());
    // Publishers may give several messages the same id: it then stands for all of them.
    let mut known: HashMap<String, Vec<usize>> = HashMap::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        known.entry(id.to_string()).or_default().push(index);
    }
    let mut failures = HashMap::with_capacity(items.len());
    for item in items {
        let id = item.item_identifier.as_deref().unwrap_or_default();
        let indices = known.get(id).filter(|_| !id.is_empty());
        let Some(indices) = indices else {
            return Err(malformed(&format!("`{}` is no record of this event", Foreign::of(id))));
        };
        // A record that is listed twice counts once.
        if indices.first().is_some_and(|index| failures.contains_key(index)) {
            continue;
        }
        let failure = item_failure(item);
        work::read(indices.len());
        failures.extend(indices.iter().map(|index| (*index, failure.clone())));
    }
    Ok(failures)
}

/// What some editors and languages put before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// The reason of a failure that the function gives none for.
pub(super) const UNEXPLAINED: &str = "reported in batchItemFailures";
/// The list that says which records failed.
const FAILURES: &str = "batchItemFailures";

/// The answer without what is none of it.
pub(super) fn text_of(answer: &[u8]) -> &[u8] {
    answer.strip_prefix(BOM).unwrap_or(answer).trim_ascii()
}

pub(super) fn mentions_failures(body: &[u8]) -> bool {
    body.windows(FAILURES.len()).any(|window| window == FAILURES.as_bytes())
}

/// Whether the list of failures stands where neither AWS nor the bridge reads it: in a list, in another object, or in a
/// string that is JSON once more. Looks closely only where the word occurs, and not below the keys in `others`.
fn hides_failures(body: &[u8], others: &[&str]) -> bool {
    if !mentions_failures(body) {
        return false;
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => {
            let object = object.iter().filter(|(key, _)| !others.contains(&key.as_str()));
            object.map(|(_, value)| value).any(|value| holds_failures(value, 0))
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
    let kind = match (is_name(&error_type), is_name(header)) {
        (true, _) => Foreign::of(&error_type),
        (false, true) => Foreign::of(&format!("Function.{header}")),
        (false, false) => "Function.Unhandled".into(),
    };
    Failure { kind, message: Foreign::for_letter(&error_message), retry: true }
}

/// Whether it can be the name of a type in some language, such as `java.lang.Error` or `&alloc::string::String`. Only a
/// name is logged: a sentence might quote the event.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._:$-&<>#/".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(fits)
}

fn item_failure(item: ItemFailure) -> Failure {
    let message = Foreign::for_letter(item.reason.as_deref().unwrap_or(UNEXPLAINED));
    Failure { kind: "Function.ItemFailure".into(), message, retry: item.retry }
}

pub(super) fn malformed(message: &str) -> Failure {
    let message = Foreign::for_letter(&format!("batchItemFailures: {message}"));
    Failure { kind: "Function.MalformedResponse".into(), message, retry: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign;

    /// On a mapping that publishes answers.
    fn read(answer: &[u8], ids: &[RecordId]) -> Result<(HashMap<usize, Failure>, Response), Failure> {
        let reading = interpret(answer, ids, true)?;
        assert!(!reading.ignored);
        Ok((reading.failures, reading.response))
    }

    const FIXTURE: &[u8] = include_bytes!("../../../event/fixtures/response.json");

    fn ids() -> Vec<RecordId> {
        (1..=3).map(|sequence| RecordId::Numbered { run: 0x5b1f_0c7e_9a3d_2468, sequence }).collect()
    }

    #[test]
    fn the_fixture_fails_two_records_of_three() {
        let (failures, response) = read(FIXTURE, &ids()).unwrap();
        assert_eq!(response.publish.len(), 2);
        assert_eq!(failures.len(), 2);
        assert_eq!((failures[&1].retry, &*failures[&1].message), (false, "payload: not JSON"));
        assert!(failures[&2].retry);
    }

    #[test]
    fn success_has_many_spellings() {
        for answer in ["", "null", "{}", r#""done""#, "[]", r#"{"statusCode":200}"#, r#"{"batchItemFailures":null}"#] {
            let (failures, _) = read(answer.as_bytes(), &ids()).unwrap();
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
            let failure = read(&answer, &ids()).unwrap_err();
            assert_eq!((&*failure.kind, failure.retry), ("Function.MalformedResponse", true));
        }
        let with_bom = [BOM, list.as_bytes()].concat();
        assert_eq!(read(&with_bom, &ids()).unwrap().0.into_keys().collect::<Vec<_>>(), [0]);
        for fine in
            [r#""no batchItemFailures""#, r#"{"note":"batchItemFailures: none"}"#, r#"["batchItemFailures"]"#, "7"]
        {
            assert!(read(fine.as_bytes(), &ids()).unwrap().0.is_empty(), "{fine}");
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
            let failure = read(answer.as_bytes(), &ids()).unwrap_err();
            assert!(failure.retry, "{answer}");
            assert_eq!(failure.kind, "Function.MalformedResponse");
        }
    }

    #[test]
    fn an_id_that_two_records_share_means_both() {
        let ids = ["same", "other", "same"].map(|id| RecordId::Given(id.into()));
        let (failures, _) = read(br#"{"batchItemFailures":[{"itemIdentifier":"same"}]}"#, &ids).unwrap();
        let mut indices: Vec<_> = failures.keys().copied().collect();
        indices.sort_unstable();
        assert_eq!(indices, [0, 2]);
    }

    #[test]
    fn a_function_error_keeps_the_functions_words() {
        let failure = function_error("Unhandled", br#"{"errorType":"ValueError","errorMessage":"no"}"#);
        assert_eq!((&*failure.kind, &*failure.message), ("ValueError", "no"));
        assert_eq!(function_error("Unhandled", b"?").kind, "Function.Unhandled");
        for (kind, shown) in [
            ("Runtime.ExitError", "Runtime.ExitError"),
            ("&alloc::string::String", "&alloc::string::String"),
            ("cannot read {\"temperature\":21}", "Function.Handled"),
            ("", "Function.Handled"),
        ] {
            let body = serde_json::json!({"errorType": kind, "errorMessage": "no"}).to_string();
            assert_eq!(function_error("Handled", body.as_bytes()).kind, shown);
        }
        assert_eq!(function_error("a sentence", b"?").kind, "Function.Unhandled");
    }

    #[test]
    fn publish_and_reply_of_another_kind_are_ignored_where_nobody_asks_for_them() {
        let item = r#"{"itemIdentifier":"5b1f0c7e9a3d2468-2"}"#;
        for strange in ["true", "7", r#""words""#, "{}", "[1]", r#"[{"topic":1}]"#, "null"] {
            for key in ["publish", "reply"] {
                let answer = format!(r#"{{"{key}":{strange},"batchItemFailures":[{item}]}}"#);
                let reading = interpret(answer.as_bytes(), &ids(), false).unwrap();
                assert_eq!(reading.failures.into_keys().collect::<Vec<_>>(), [1], "{answer}");
                assert_eq!(reading.ignored, strange != "null", "{answer}");
                let asked = interpret(answer.as_bytes(), &ids(), true).map(|reading| reading.ignored);
                assert_eq!(asked.is_ok(), strange == "null", "{answer}: where they are asked for, the function errs");
            }
        }
        let well_formed = format!(
            r#"{{"publish":[{{"topic":"a","payload":1}}],"reply":[{{"itemIdentifier":"x","payload":1}}],"batchItemFailures":[{item}]}}"#
        );
        let Reading { failures, response, ignored } = interpret(well_formed.as_bytes(), &ids(), false).unwrap();
        assert_eq!((failures.len(), response.publish.len(), response.reply.len(), ignored), (1, 0, 0, true));
        let asked = interpret(well_formed.as_bytes(), &ids(), true).unwrap();
        assert_eq!((asked.response.publish.len(), asked.response.reply.len(), asked.ignored), (1, 1, false));
        let hidden = format!(r#"{{"reply":{{"batchItemFailures":[{item}]}}}}"#);
        assert!(interpret(hidden.as_bytes(), &ids(), false).is_err(), "failures are never ignored");
        for malformed in [r#"{"reply":1,"batchItemFailures":7}"#, r#"{"reply":1,"#] {
            assert!(interpret(malformed.as_bytes(), &ids(), false).is_err(), "{malformed}");
        }
    }

    /// F46.
    #[test]
    fn f46_the_work_of_many_failures_is_linear() {
        const RECORDS: usize = 10_000;
        let one = RecordId::Given("same".into());
        let numbered = |sequence| RecordId::Numbered { run: 7, sequence };
        for ids in [vec![one; RECORDS], (0..RECORDS as u64).map(numbered).collect()] {
            let items: Vec<_> = ids.iter().map(|id| ItemFailure::retry(id.to_string(), "no")).collect();
            let answer = serde_json::json!({"batchItemFailures": items}).to_string();
            let ((failures, _), work) = work::of(|| read(answer.as_bytes(), &ids).unwrap());
            assert_eq!(failures.len(), RECORDS);
            assert!(work <= 2 * RECORDS, "{work} records looked at");
        }
    }

    #[test]
    fn a_huge_function_error_is_limited_and_shared() {
        let long = "x".repeat(5_000_000);
        let body = serde_json::json!({"errorMessage": long, "errorType": long}).to_string();
        let failure = function_error("Unhandled", body.as_bytes());
        assert!(failure.message.len() <= foreign::LETTER_LIMIT && failure.message.ends_with("… (5000000 bytes)"));
        assert_eq!(failure.kind, "Function.Unhandled");
        assert_eq!(failure.clone().message.as_ptr(), failure.message.as_ptr(), "50 records have it once");
        let items: Vec<_> = ids().iter().map(|id| ItemFailure::give_up(id.to_string(), long.clone())).collect();
        let answer = serde_json::json!({"batchItemFailures": items}).to_string();
        let (failures, _) = read(answer.as_bytes(), &ids()).unwrap();
        assert!(
            failures.values().all(|failure| failure.message.len() <= foreign::LETTER_LIMIT),
            "those of records, too"
        );
    }
}
