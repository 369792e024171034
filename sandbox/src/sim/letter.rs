//! Reads a dead letter, and reports to the record that its message is safe.

use bridge::dead_letter::DeadLetter;
use serde_json::Value;

use super::mapping::Mapping;
use super::record::Record;

/// Where dead letters go, when they go to the broker.
pub(super) const TOPIC: &str = "dead/letters";

/// A dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letter {
    /// Of a message; whether for an answer that nobody takes.
    Message(u64, bool),
    /// Of an answer that is about no message.
    Answer(u64),
}

impl Letter {
    /// As it stands in a queue or a bucket.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let letter: DeadLetter = serde_json::from_slice(bytes).ok()?;
        Self::of(&serde_json::from_str(&letter.payload).ok()?, &letter.error_type, Mapping::named(&letter.mapping))
    }

    /// Of this payload, for this reason, from this mapping.
    pub(super) fn of(payload: &Value, error_type: &str, mapping: Mapping) -> Option<Self> {
        if let Some(answer) = payload["a"].as_u64() {
            return Some(Self::Answer(answer));
        }
        let number = mapping.own(payload["n"].as_u64()?);
        Some(Self::Message(number, error_type == "Function.RefusedResponse"))
    }

    /// The bridge hears that it is.
    pub(super) fn is_safe(self, record: &Record, place: &'static str) {
        record.say(place, format!("has {self:?}"));
        match self {
            Self::Message(number, for_answer) => record.dead_lettered(number, for_answer),
            Self::Answer(answer) => record.answer_kept(answer),
        }
    }
}
