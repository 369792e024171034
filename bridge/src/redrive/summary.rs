//! The result of a redrive, as numbers and text. Counts nothing itself.

use std::fmt;

use serde::Serialize;

/// The outcomes of the letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Taken by their function; in a dry run, those that would be sent.
    pub redriven: u64,
    /// Refused by their function once more; they stay.
    pub failed: u64,
    /// Not asked for, or of no mapping of the configuration; they stay.
    pub skipped: u64,
    /// Not reached, for the limit or an early end; they stay. Of a queue or a bucket, only those that were read.
    pub left: u64,
    /// Without a message that a function could be given; they stay.
    pub unsendable: u64,
    /// No dead letters at all. Those of a file are beside it, in a file that ends in `.broken`; those of a queue or
    /// a bucket stay.
    pub broken: u64,
    /// Why it ended early.
    pub trouble: Option<String>,
}

impl Summary {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.failed == 0 && self.unsendable == 0 && self.broken == 0 && self.trouble.is_none()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { redriven, failed, skipped, left, unsendable, broken, trouble } = self;
        write!(f, "{redriven} redriven, {failed} failed again, {skipped} skipped, {left} left, ")?;
        write!(f, "{unsendable} without a message, {broken} broken")?;
        trouble.as_ref().map_or(Ok(()), |trouble| write!(f, "; ended early: {trouble}"))
    }
}
