//! Turns a response that does not come from the function into an error: looks up its code in the table, and reduces its
//! text to one short line with status, code, endpoint and region. Pure.

use std::time::Duration;

use serde::Deserialize;

use super::error::{InvokeError, Refused};
use super::error_table::{Meaning, by_status, known};
use crate::foreign::Foreign;

/// Lambda's own error bodies have a few hundred bytes.
const LARGEST_BODY: usize = 64 * 1024;
/// However long Lambda asks us to wait, nobody knows whether that is still true by then.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// The parts of a response that say why there is no answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Response<'a> {
    pub(super) status: u16,
    /// `X-Amzn-ErrorType`.
    pub(super) error_type: Option<&'a str>,
    /// `Retry-After`.
    pub(super) retry_after: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// The error bodies of AWS, whose keys come in either case.
#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(alias = "Message")]
    message: Option<String>,
    /// Why it is throttled, such as `ReservedFunctionConcurrentInvocationLimitExceeded`.
    #[serde(rename = "Reason")]
    reason: Option<String>,
    #[serde(rename = "__type", alias = "code", alias = "Code")]
    code: Option<String>,
}

/// What the response means. `place` is the endpoint and its region.
pub(super) fn classify(response: Response<'_>, place: &str) -> InvokeError {
    let body = read(response.body);
    let code = response.error_type.or(body.as_ref().and_then(|body| body.code.as_deref())).map(bare);
    let row = code.and_then(known);
    let meaning = row.map_or_else(|| by_status(response.status), |row| row.meaning);
    // Errors that an operator has to fix also get a text of the bridge's own.
    let why = row.filter(|row| row.meaning == Meaning::Hold).map(|row| row.why);
    let refusal = refused(response, code, why, body.as_ref(), place);
    match meaning {
        Meaning::Retry => InvokeError::Service(refusal),
        Meaning::Throttled => throttled(refusal, response.retry_after),
        Meaning::GiveUp => InvokeError::Rejected(refusal),
        Meaning::Hold => InvokeError::Misconfigured { refusal, unexplained: row.is_none() },
    }
}

/// A status that Invoke gives no answer with: 202 or 204 to a synchronous call, 200 to an asynchronous one.
pub(super) fn unexpected(status: u16, expected: u16, place: &str) -> InvokeError {
    let head =
        format!("HTTP {status} from {place} where Lambda answers {expected}; something else may be listening there");
    InvokeError::Misconfigured { refusal: Refused { head, detail: None }, unexplained: true }
}

/// A status that Invoke answers with, on a response that is not Invoke's.
pub(super) fn of_somebody_else(status: u16, place: &str) -> InvokeError {
    let head = format!(
        "HTTP {status} without a request id from {place}: its body is empty or HTML; something else may be listening there"
    );
    InvokeError::Misconfigured { refusal: Refused { head, detail: None }, unexplained: true }
}

fn refused(response: Response<'_>, code: Option<&str>, why: Option<&str>, body: Option<&Body>, place: &str) -> Refused {
    let status = response.status;
    let Some(code) = code else {
        let what = what_it_is(response.body);
        let head =
            format!("HTTP {status} without an error code from {place}: {what}; a proxy or a gateway may have sent it");
        return Refused { head, detail: None };
    };
    // The reason of a throttle says more than its code.
    let reason = body.and_then(|body| body.reason.as_deref()).map(|reason| format!(" ({})", Foreign::of(reason)));
    let detail = body.and_then(|body| body.message.as_deref()).filter(|text| !text.is_empty()).map(Foreign::of);
    let reason = reason.or_else(|| why.map(|why| format!(" ({why})"))).unwrap_or_default();
    Refused { head: format!("HTTP {status} {}{reason} from {place}", Foreign::of(code)), detail }
}

fn throttled(mut refusal: Refused, retry_after: Option<&str>) -> InvokeError {
    let asked = retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    if let Some(asked) = asked.filter(|asked| *asked > LONGEST_WAIT) {
        refusal.head = format!("{}; it asks us to wait {asked:?}, and we wait {LONGEST_WAIT:?} at most", refusal.head);
    }
    InvokeError::Throttled { refusal, retry_after: asked.map(|asked| asked.min(LONGEST_WAIT)) }
}

/// `namespace#Code:http://…` is `Code` (AWS restJson1, "Operation error serialization").
fn bare(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or(code);
    code.rsplit('#').next().unwrap_or(code).trim()
}

fn read(body: &[u8]) -> Option<Body> {
    if body.len() > LARGEST_BODY { None } else { serde_json::from_slice(body).ok() }
}

/// The kind of a body whose text we must not repeat, because it may quote the request.
fn what_it_is(body: &[u8]) -> &'static str {
    match body.trim_ascii_start().first() {
        None => "its body is empty",
        Some(b'<') => "its body is HTML or XML",
        Some(b'{') => "its body names no error of Lambda's",
        Some(_) => "its body is not JSON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::LIMIT;
    use crate::lambda::{Disposition, error_table::ERRORS};

    const PLACE: &str = "lambda.eu-west-1.amazonaws.com (eu-west-1)";

    fn of(status: u16, error_type: Option<&str>, body: &str) -> InvokeError {
        classify(Response { status, error_type, retry_after: None, body: body.as_bytes() }, PLACE)
    }

    #[test]
    fn a_code_is_found_in_each_form_it_has() {
        for code in [
            "AccessDeniedException",
            "com.amazonaws.lambda#AccessDeniedException",
            "AccessDeniedException:http://internal.amazon.com/coral/",
        ] {
            let error = of(502, Some(code), r#"{"Message":"no"}"#);
            let expected = format!(
                "configuration: HTTP 502 AccessDeniedException (the permission lambda:InvokeFunction is missing) from {PLACE}: no"
            );
            assert_eq!((error.to_string(), error.is_unexplained()), (expected, false), "{code}");
        }
        let error = of(400, None, r#"{"__type":"x#ThrottlingException","message":"slow down"}"#);
        assert!(matches!(error, InvokeError::Throttled { .. }), "{error}");
    }

    #[test]
    fn every_row_means_what_it_says_whatever_the_status() {
        for row in ERRORS {
            for status in [row.status, 400, 403, 502] {
                let error = of(status, Some(row.code), "");
                assert_eq!(error.disposition(), row.meaning.disposition(), "{status} {}", row.code);
            }
        }
    }

    #[test]
    fn bodies_of_others_are_described_and_not_repeated() {
        for (body, what) in [
            ("", "empty"),
            (" \n", "empty"),
            ("<html><body>marker</body></html>", "HTML"),
            ("marker", "not JSON"),
            (r#"{"error":"marker"}"#, "names no error"),
        ] {
            let error = of(403, None, body);
            let text = error.in_full();
            assert!(text.contains("HTTP 403") && text.contains(what) && text.contains(PLACE), "{text}");
            assert!(!text.contains("marker") && error.is_unexplained(), "{text}");
            assert_eq!(error.disposition(), Disposition::Hold);
        }
    }

    #[test]
    fn what_is_about_the_event_is_quoted_in_the_dead_letter_alone() {
        let error = of(400, Some("InvalidRequestContentException"), r#"{"message":"Unrecognized token 'marker'"}"#);
        assert!(!error.to_string().contains("marker"), "{error}");
        assert!(error.in_full().ends_with("Unrecognized token 'marker'"), "{}", error.in_full());
    }

    #[test]
    fn a_wait_is_bounded_and_said() {
        let asked = |seconds| {
            let retry_after = Some(seconds);
            let status = 429;
            classify(Response { status, error_type: None, retry_after, body: b"" }, PLACE)
        };
        assert_eq!(asked("7").retry_after(), Some(Duration::from_secs(7)));
        let long = asked("86400");
        assert_eq!(long.retry_after(), Some(LONGEST_WAIT));
        assert!(long.to_string().contains("86400s"), "{long}");
        assert_eq!(asked("Fri, 27 Nov 2026 10:00:00 GMT").retry_after(), None);
    }

    #[test]
    fn a_long_message_is_cut() {
        let error = of(403, Some("AccessDeniedException"), &format!(r#"{{"Message":"{}"}}"#, "x".repeat(60_000)));
        assert!(error.in_full().len() < 2 * LIMIT);
    }
}
