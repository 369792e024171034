//! Finds the outcome of each message from outside: from the function's answers and the content of the failure
//! destination. Does not ask the bridge.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use bridge::dead_letter::DeadLetter;
use event::{Event, Payload, Record, Response};
use serde_json::Value;

use crate::lambda::{Invocation, Outcome};

/// A record that the function has taken, as far as the sandbox understands its payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Handled {
    /// The bridge's id of the record.
    pub record_id: String,
    /// The publisher's own id, from the payload.
    pub message_id: Option<String>,
    /// The device, from the payload.
    pub device_id: Option<String>,
    /// The temperature, from the payload.
    pub temperature: Option<f64>,
    /// The status, from the payload.
    pub status: Option<String>,
}

/// The records that this invocation has brought to a success.
#[must_use]
pub fn handled(invocation: &Invocation) -> Vec<Handled> {
    let Some(Outcome::Answered(answer)) = &invocation.outcome else { return Vec::new() };
    let Ok(event) = serde_json::from_slice::<Event>(&invocation.payload) else { return Vec::new() };
    let response = serde_json::from_slice::<Response>(answer).unwrap_or_default();
    let failed: HashSet<_> = response.batch_item_failures.into_iter().filter_map(|item| item.item_identifier).collect();
    event.records.into_iter().filter(|record| !failed.contains(&record.id)).map(read).collect()
}

/// The publisher's ids of all messages that the invocations have brought to a success, in order, repeats included.
#[must_use]
pub fn handled_ids(invocations: &[Invocation]) -> Vec<String> {
    invocations.iter().flat_map(handled).filter_map(|handled| handled.message_id).collect()
}

/// The dead letters in a file, in order. Half a line from a crash is none.
///
/// # Errors
/// When the file cannot be read; a file that does not exist holds none.
pub fn dead_letters(file: &Path) -> io::Result<Vec<DeadLetter>> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The publisher's own id of a dead letter's message.
#[must_use]
pub fn message_id(letter: &DeadLetter) -> Option<String> {
    text(&serde_json::from_slice(&letter.payload_bytes()?).ok()?, "message_id")
}

fn read(record: Record) -> Handled {
    let fields = match record.payload() {
        Ok(Payload::Json(raw)) => serde_json::from_str(raw.get()).unwrap_or_default(),
        _ => Value::Null,
    };
    Handled {
        record_id: record.id,
        message_id: text(&fields, "message_id"),
        device_id: text(&fields, "device_id"),
        temperature: fields["temperature"].as_f64(),
        status: text(&fields, "status"),
    }
}

fn text(fields: &Value, name: &str) -> Option<String> {
    fields[name].as_str().map(str::to_owned)
}
