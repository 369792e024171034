//! One look at a payload: whether it is JSON that every function can read, and what stands where in it. Pure; keeps
//! nothing, copies nothing but strings with escapes, and builds no tree, however large the payload is.
//!
//! All records of an event are one JSON text, so a payload that some JSON parser refuses makes the whole event
//! unreadable, and the messages of other devices with it. Such a payload stands in the event as text.

mod check;
mod json;

use event::Encoding;

pub use check::{MAX_DEPTH, MAX_DIGITS, MAX_NAME};
pub use json::{Elements, Fields, Json, Value};

/// The kind of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look<'a> {
    /// JSON that every function can read.
    Json(Json<'a>),
    /// Other UTF-8.
    Text(&'a str),
    /// Anything else.
    Bytes,
}

impl<'a> Look<'a> {
    /// Reads the payload, once from its beginning to its end.
    #[must_use]
    pub fn at(payload: &'a [u8]) -> Self {
        match std::str::from_utf8(payload) {
            Ok(text) => Json::checked(text).map_or(Self::Text(text), Self::Json),
            Err(_) => Self::Bytes,
        }
    }

    /// The result of an earlier read of the same payload.
    #[must_use]
    pub fn known(payload: &'a [u8], encoding: Encoding) -> Self {
        match (encoding, std::str::from_utf8(payload)) {
            (Encoding::Json, Ok(text)) => Self::Json(Json::trusted(text)),
            (Encoding::Text, Ok(text)) => Self::Text(text),
            _ => Self::Bytes,
        }
    }

    /// The encoding of the payload in an event.
    #[must_use]
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Json(_) => Encoding::Json,
            Self::Text(_) => Encoding::Text,
            Self::Bytes => Encoding::Base64,
        }
    }

    /// The payload as JSON.
    #[must_use]
    pub fn json(self) -> Option<Json<'a>> {
        match self {
            Self::Json(json) => Some(json),
            Self::Text(_) | Self::Bytes => None,
        }
    }
}
