//! The items of the table: which items a reading becomes, and how a repeated record is recognised. Pure, and without
//! the SDK's types, so that a rule can be read and tested without a table.

use std::cmp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event::Record;

use super::Checked;
use crate::reading::{Reading, Timestamp};

/// The longest record id that a key may have, in bytes. A bridge takes ids of 256 bytes from publishers at most, and a
/// sort key has room for 1,024 ("Constraints in Amazon DynamoDB", Partition keys and sort keys).
pub const MAX_RECORD_ID: usize = 512;

/// The sort key of the newest reading of a device. It sorts behind every time.
pub(super) const LATEST: &str = "latest";
/// The names of attributes that conditions or answers speak of.
pub(super) const DEVICE_ID: &str = "device_id";
pub(super) const SORT_KEY: &str = "sk";
pub(super) const AS_OF: &str = "as_of";
pub(super) const RECEIVED_AT: &str = "received_at";

/// Smaller amounts are nothing: DynamoDB has no number between 0 and 1E-130, and refuses a whole batch for one.
const SMALLEST: f64 = 1e-100;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) device_id: String,
    pub(super) sk: String,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// A number, in the spelling that DynamoDB takes.
    Number(String),
}

/// How a record that comes again is kept from having a second effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The bridge gave the id, to one delivery: a repeat has the same times as well, and writes the same bytes to the
    /// same key.
    WritesTheSame,
    /// The publisher gave the id, and the device its time. A later delivery has the same key, but was received later:
    /// the first one stays.
    FirstStays,
    /// The publisher gave the id, and nobody the time but the bridge, for each delivery another. A claim keeps the
    /// first.
    Claims,
}

/// Why a record that the bridge would not have sent has no place in the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Its time cannot be read.
    #[error("receivedAt: not RFC 3339 in UTC, such as 2026-11-20T12:00:00.123Z")]
    ReceivedAt,
    /// Its id makes no key: the length in bytes.
    #[error("id: {0} bytes, a key takes 1 to {MAX_RECORD_ID}")]
    Id(usize),
}

/// A reading on its way into the table.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    checked: &'a Checked<'a>,
    received_at: SystemTime,
    is_repeat: bool,
}

impl<'a> Entry<'a> {
    pub(super) fn new(checked: &'a Checked<'a>) -> Result<Self, EntryError> {
        let Record { id, received_at, .. } = checked.record;
        if id.is_empty() || id.len() > MAX_RECORD_ID {
            return Err(EntryError::Id(id.len()));
        }
        let received_at = humantime::parse_rfc3339(received_at).map_err(|_| EntryError::ReceivedAt)?;
        Ok(Self { checked, received_at, is_repeat: false })
    }

    /// Takes the time at which an earlier delivery of the same message was received for its own.
    pub(super) fn received(&mut self, first: SystemTime) {
        (self.received_at, self.is_repeat) = (first, true);
    }

    /// Whether an earlier delivery of the same message was found in the table.
    pub(super) fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    pub(super) fn device_id(&self) -> &'a str {
        &self.checked.reading.device_id
    }

    /// Equal for two records of an event that are the same message: the key that decides it.
    pub(super) fn identity(&self) -> (&'a str, String) {
        let key = match self.repeat() {
            Repeat::Claims => self.claim_key(),
            Repeat::WritesTheSame | Repeat::FirstStays => self.key(),
        };
        (self.device_id(), key)
    }

    pub(super) fn repeat(&self) -> Repeat {
        let Checked { record, reading, .. } = self.checked;
        match (is_numbered(record, reading), reading.timestamp) {
            (true, _) => Repeat::WritesTheSame,
            (false, Some(_)) => Repeat::FirstStays,
            (false, None) => Repeat::Claims,
        }
    }

    /// The reading: one item for ever, or until its time to live is over.
    pub(super) fn row(&self, ttl: Option<Duration>) -> Row {
        Row { device_id: self.device_id().to_owned(), sk: self.key(), attributes: self.attributes(ttl) }
    }

    /// The newest reading of its device, should it be that.
    pub(super) fn latest(&self, ttl: Option<Duration>) -> Row {
        let mut attributes = self.attributes(ttl);
        attributes.push((AS_OF, Value::Text(self.as_of())));
        Row { device_id: self.device_id().to_owned(), sk: LATEST.to_owned(), attributes }
    }

    /// Whoever writes it first decides when the message was received.
    pub(super) fn claim(&self, ttl: Option<Duration>) -> Row {
        let mut attributes = vec![(RECEIVED_AT, Value::Text(time(self.received_at)))];
        attributes.extend(self.expires_at(ttl));
        Row { device_id: self.device_id().to_owned(), sk: self.claim_key(), attributes }
    }

    fn key(&self) -> String {
        format!("{}#{}", time(self.measured_at()), self.checked.record.id)
    }

    fn claim_key(&self) -> String {
        format!("id#{}", self.checked.record.id)
    }

    fn measured_at(&self) -> SystemTime {
        self.checked.reading.timestamp.map_or(self.received_at, Timestamp::time)
    }

    /// Greater for the newer of two readings of a device. A clock that runs ahead does not count beyond the time of
    /// receipt, or its reading would be the newest until that time has come.
    pub(super) fn as_of(&self) -> String {
        format!("{}#{}", time(cmp::min(self.measured_at(), self.received_at)), self.checked.record.id)
    }

    /// Nothing here may differ between two attempts at the same delivery.
    fn attributes(&self, ttl: Option<Duration>) -> Vec<(&'static str, Value)> {
        let Checked { record, reading, breach } = self.checked;
        let text = |name, value: &str| (name, Value::Text(value.to_owned()));
        let mut attributes = vec![
            ("temperature", Value::Number(number(reading.temperature))),
            text("status", &reading.status),
            (RECEIVED_AT, Value::Text(time(self.received_at))),
            text("record_id", &record.id),
            text("topic", &record.topic),
        ];
        attributes.extend(reading.timestamp.map(|at| ("measured_at", Value::Text(at.to_string()))));
        attributes.extend(reading.message_id.as_deref().map(|id| text("message_id", id)));
        attributes.extend(breach.map(|breach| text("out_of_range", breach.name())));
        attributes.extend(self.expires_at(ttl));
        attributes
    }

    /// Counted from the receipt, because a device whose clock is wrong would choose its own time to live.
    fn expires_at(&self, ttl: Option<Duration>) -> Option<(&'static str, Value)> {
        let since = self.received_at.checked_add(ttl?)?.duration_since(UNIX_EPOCH).ok()?;
        Some(("expires_at", Value::Number(since.as_secs().to_string())))
    }
}

/// Whether the bridge gave the id: the number of a start in 16 hexadecimal digits, and that of a delivery. A
/// publisher's own may look the same, and is then mostly found where the bridge took it from.
fn is_numbered(record: &Record, reading: &Reading) -> bool {
    let taken = reading.message_id.as_deref() == Some(&record.id)
        || record.user_properties.iter().any(|(_, value)| *value == record.id);
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    !taken
        && record.id.split_once('-').is_some_and(|(run, sequence)| {
            let counted = !sequence.is_empty() && sequence.bytes().all(|byte| byte.is_ascii_digit());
            run.len() == 16 && run.bytes().all(hex) && counted
        })
}

/// Always as many characters, so that the order of texts is the order of times.
fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

fn number(value: f64) -> String {
    // Adding a zero makes the negative zero a plain one.
    let value = if value.abs() < SMALLEST { 0.0 } else { value } + 0.0;
    if value != 0.0 && value.abs() < 1e-4 { format!("{value:e}") } else { value.to_string() }
}

#[cfg(test)]
mod tests;
