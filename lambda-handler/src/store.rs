//! Where good readings are kept: the one place to add a table.
//!
//! Sees only readings that were checked, and never the raw payload.

use std::fmt;

use event::Record;

use crate::reading::Reading;

/// A place for readings.
#[derive(Debug)]
pub enum Store {
    /// No table is configured: the log line is all that is kept of a reading.
    Log,
}

impl Store {
    /// Keeps one reading and logs it.
    pub fn put(&self, record: &Record, reading: &Reading) {
        match self {
            Self::Log => log(record, reading),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("no table configured, readings are only logged"),
        }
    }
}

/// One structured line at info. Strings are values of it, not parts of its message, so the formatters escape them: a topic
/// with a line feed cannot forge a second line.
fn log(record: &Record, reading: &Reading) {
    tracing::info!(
        device_id = reading.device_id,
        temperature = reading.temperature,
        status = reading.status,
        // Not `timestamp`, which is the log line's own in JSON.
        measured_at = reading.timestamp.map(|timestamp| timestamp.to_string()),
        message_id = reading.message_id,
        record = record.id,
        topic = record.topic,
        "reading"
    );
}
