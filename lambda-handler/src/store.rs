//! Stores valid readings: in a DynamoDB table, or only in the log.
//!
//! Sees only readings that were checked, and never the raw payload. docs/function.md describes the table.

mod dynamodb;
mod plan;
mod row;
mod table;

use std::fmt;
use std::time::Duration;

use event::{ItemFailure, Record};
use tokio::time::Instant;

use crate::reading::Reading;
use crate::thresholds::Breach;

pub use dynamodb::NoRegion;
pub use row::{EntryError, MAX_RECORD_ID};
pub use table::Table;

/// A place for readings.
#[derive(Debug)]
pub enum Store {
    /// No table is configured: the log line is all that is kept of a reading.
    Log,
    /// A DynamoDB table.
    Table(Table),
}

/// A good reading, with all that there is to know of it.
#[derive(Debug)]
pub struct Checked<'a> {
    /// The record of the reading.
    pub record: &'a Record,
    /// The reading.
    pub reading: Reading,
    /// The threshold that it passed, if any.
    pub breach: Option<Breach>,
}

/// Why a reading is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unstored {
    /// Another attempt may help.
    Again(String),
    /// None will.
    Never(String),
}

impl Unstored {
    /// The same, in the words of the contract.
    #[must_use]
    pub fn of(self, record: &Record) -> ItemFailure {
        match self {
            Self::Again(reason) => ItemFailure::retry(&record.id, reason),
            Self::Never(reason) => ItemFailure::give_up(&record.id, reason),
        }
    }
}

impl Store {
    /// The table of that name, or the log without one.
    ///
    /// # Errors
    /// When there is a table and nothing says which region it is in.
    pub async fn open(table: Option<String>, ttl: Option<Duration>) -> Result<Self, NoRegion> {
        match table {
            Some(name) => Ok(Self::Table(Table::open(&name, ttl).await?)),
            None => Ok(Self::Log),
        }
    }

    /// Keeps the readings until `deadline`, and says of each whether it is kept. To keep one again changes nothing.
    pub async fn keep(&self, readings: &[Checked<'_>], deadline: Instant) -> Vec<Result<(), Unstored>> {
        readings.iter().for_each(|checked| self.log(checked));
        match self {
            Self::Log => vec![Ok(()); readings.len()],
            Self::Table(table) => table.put(readings, deadline).await,
        }
    }

    /// One structured line. Strings are values of it, not parts of its message, so the formatters escape them: a topic
    /// with a line feed cannot forge a second line. What a table keeps is no news for the log.
    fn log(&self, Checked { record, reading, breach }: &Checked<'_>) {
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    device_id = reading.device_id,
                    temperature = reading.temperature,
                    status = reading.status,
                    // Not `timestamp`, which is the log line's own in JSON.
                    measured_at = reading.timestamp.map(|timestamp| timestamp.to_string()),
                    message_id = reading.message_id,
                    out_of_range = breach.map(Breach::name),
                    record = record.id,
                    topic = record.topic,
                    "reading"
                )
            };
        }
        match self {
            Self::Log => line!(tracing::Level::INFO),
            Self::Table(_) => line!(tracing::Level::DEBUG),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("no table configured, readings are only logged"),
            Self::Table(table) => table.fmt(f),
        }
    }
}
