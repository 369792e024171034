//! What a collector's response means for the spans of a request. Pure.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::foreign::Foreign;

/// Spans that were not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// How many; all of them where that is not said.
    pub(super) spans: u64,
    pub(super) cause: Foreign,
}

/// Reads a response to so many spans. Only a 200 takes them, and it may say that some were not taken (OTLP, "Partial
/// Success").
pub(super) fn read(status: StatusCode, body: &[u8], spans: u64) -> Result<(), Refused> {
    if status != StatusCode::OK {
        let said: Status = serde_json::from_slice(body).unwrap_or_default();
        let cause = Foreign::behind(&format!("HTTP {}", status.as_u16()), &said.message);
        return Err(Refused { spans, cause });
    }
    let said: Response = serde_json::from_slice(body).unwrap_or_default();
    match said.partial_success.map(|partial| (count(&partial.rejected_spans).min(spans), partial.error_message)) {
        None | Some((0, _)) => Ok(()),
        Some((spans, message)) => Err(Refused { spans, cause: Foreign::behind("rejected by the collector", &message) }),
    }
}

/// The body of an error.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Response {
    partial_success: Option<Partial>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Partial {
    rejected_spans: Value,
    error_message: String,
}

/// A number of 64 bits, which readers take as a string or as a number.
fn count(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Result<(), (u64, String)> {
        let read = read(StatusCode::from_u16(status).unwrap(), body.as_bytes(), 10);
        read.map_err(|refused| (refused.spans, refused.cause.to_string()))
    }

    #[test]
    fn a_200_takes_all_that_it_does_not_reject() {
        for body in
            ["", "{}", "null", "no json", r#"{"partialSuccess":{}}"#, r#"{"partialSuccess":{"errorMessage":"w"}}"#]
        {
            assert_eq!(of(200, body), Ok(()), "{body}");
        }
        for body in [
            r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#,
            r#"{"partialSuccess":{"rejectedSpans":3,"errorMessage":"too old"}}"#,
        ] {
            assert_eq!(of(200, body), Err((3, "rejected by the collector: too old".to_owned())));
        }
        assert_eq!(of(200, r#"{"partialSuccess":{"rejectedSpans":99}}"#).unwrap_err().0, 10);
    }

    #[test]
    fn any_other_status_takes_none() {
        assert_eq!(of(503, ""), Err((10, "HTTP 503".to_owned())));
        assert_eq!(of(400, r#"{"code":3,"message":"bad\nid"}"#), Err((10, r"HTTP 400: bad\nid".to_owned())));
        assert_eq!(of(202, "{}").unwrap_err().1, "HTTP 202");
    }
}
