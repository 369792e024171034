//! What the function's answer means for each record of the event. Pure.
//!
//! Follows AWS's rules for partial batch responses (Lambda developer guide, "Implementing partial batch responses"):
//! nothing, `null`, or no failures listed is success; an identifier that is null, empty or unknown, or a list that cannot
//! be read, fails the whole batch. An answer that is no object says nothing about records, so it is success too.

use std::collections::HashMap;

use event::{ItemFailure, Response};
use serde::Deserialize;

use crate::delivery::RecordId;

/// Why a record, or a whole event, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind: `Function.ItemFailure`, the function's own error type, or an invocation error's.
    pub kind: String,
    /// The reason, in the function's or Lambda's words.
    pub message: String,
    /// Whether another attempt may help.
    pub retry: bool,
}

/// The failures among the records, by their index, and what else the function says; or the failure of the whole event.
///
/// # Errors
/// When the answer fails the whole event.
pub fn interpret(answer: &[u8], ids: &[RecordId]) -> Result<(HashMap<usize, Failure>, Response), Failure> {
    let body = answer.trim_ascii();
    if !body.starts_with(b"{") {
        return Ok((HashMap::new(), Response::default()));
    }
    let mut response: Response =
        serde_json::from_slice(body).map_err(|error| malformed(format!("the response cannot be read: {error}")))?;
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
            return Err(malformed(format!("`{}` is no record of this event", id.escape_debug())));
        };
        let failure = item_failure(item);
        failures.extend(indices.iter().map(|index| (*index, failure.clone())));
    }
    Ok((failures, response))
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
    Failure { kind, message: error_message, retry: true }
}

fn item_failure(item: ItemFailure) -> Failure {
    let message = item.reason.unwrap_or_else(|| "reported in batchItemFailures".into());
    Failure { kind: "Function.ItemFailure".into(), message, retry: item.retry }
}

fn malformed(message: String) -> Failure {
    Failure { kind: "Function.MalformedResponse".into(), message: format!("batchItemFailures: {message}"), retry: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &[u8] = include_bytes!("../../../event/fixtures/response.json");

    fn ids() -> Vec<RecordId> {
        (1..=3).map(|sequence| RecordId::Numbered { run: 0x5b1f_0c7e_9a3d_2468, sequence }).collect()
    }

    #[test]
    fn the_fixture_fails_two_records_of_three() {
        let (failures, response) = interpret(FIXTURE, &ids()).unwrap();
        assert_eq!(response.publish.len(), 2);
        assert_eq!(failures.len(), 2);
        assert_eq!((failures[&1].retry, failures[&1].message.as_str()), (false, "payload: not JSON"));
        assert!(failures[&2].retry);
    }

    #[test]
    fn success_has_many_spellings() {
        for answer in ["", "null", "{}", r#""done""#, "[]", r#"{"statusCode":200}"#, r#"{"batchItemFailures":null}"#] {
            let (failures, _) = interpret(answer.as_bytes(), &ids()).unwrap();
            assert_eq!(failures, HashMap::new(), "{answer}");
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
        assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("ValueError", "no"));
        assert_eq!(function_error("Unhandled", b"?").kind, "Function.Unhandled");
    }
}
