//! The three encodings of a payload in an event, and how to get its bytes back.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How [`Record::payload`](crate::Record::payload) stands for the published bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// The payload was JSON that every function can read, and is embedded as it came.
    Json,
    /// The payload was other UTF-8: a JSON string. Also JSON that some functions could not read, with all the records
    /// beside it: deeper than 60 levels, with a number of more than 1,000 digits or beyond a double, or with half a
    /// surrogate pair.
    Text,
    /// Anything else: a JSON string of base64 with padding (RFC 4648, section 4).
    Base64,
}

/// A payload as the function sees it.
#[derive(Debug, Clone)]
pub enum Payload<'a> {
    /// JSON, in the publisher's own spelling.
    Json(&'a RawValue),
    /// Other text.
    Text(Cow<'a, str>),
    /// Bytes that are not UTF-8.
    Bytes(Vec<u8>),
}

impl<'a> Payload<'a> {
    pub(crate) fn read(raw: &'a RawValue, encoding: Encoding) -> Result<Self, PayloadError> {
        let string = || serde_json::from_str::<Text<'a>>(raw.get()).map_err(|e| PayloadError(e.to_string()));
        match encoding {
            Encoding::Json => Ok(Self::Json(raw)),
            Encoding::Text => Ok(Self::Text(string()?.0)),
            Encoding::Base64 => match BASE64_STANDARD.decode(string()?.0.as_bytes()) {
                Ok(bytes) => Ok(Self::Bytes(bytes)),
                Err(error) => Err(PayloadError(error.to_string())),
            },
        }
    }

    /// The bytes that were published.
    #[must_use]
    pub fn into_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Json(raw) => Cow::Borrowed(raw.get().as_bytes()),
            Self::Text(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Self::Text(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            Self::Bytes(bytes) => Cow::Owned(bytes),
        }
    }
}

/// A JSON string, borrowed when it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A payload that is not what its encoding promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadError(String);

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "payload: not what its encoding promises: {}", self.0)
    }
}

impl std::error::Error for PayloadError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_that_is_not_is_an_error() {
        let raw = RawValue::from_string("\"%%\"".into()).unwrap();
        let error = Payload::read(&raw, Encoding::Base64).unwrap_err();
        assert!(error.to_string().starts_with("payload: not what its encoding promises: "), "{error}");
    }

    #[test]
    fn text_that_is_no_string_is_an_error() {
        let raw = RawValue::from_string("{}".into()).unwrap();
        assert!(Payload::read(&raw, Encoding::Text).is_err());
    }
}
