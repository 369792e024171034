//! Why a redrive failed, and who has to repair it.

use std::io;
use std::path::PathBuf;

use crate::dead_letter::DestinationError;

/// Why letters cannot be redriven.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// `--mapping` names none.
    #[error("mapping `{0}`: not in the configuration; its mappings are {1}")]
    NoMapping(String, String),
    /// There is no such file.
    #[error("dead letters {}: no such file", .0.display())]
    NoFile(PathBuf),
    /// Another redrive works on the same file.
    #[error("dead letters {}: another redrive is at work on them; wait for its end", .0.display())]
    Busy(PathBuf),
    /// The file, or one beside it.
    #[error("dead letters {}: {source}", .path.display())]
    File {
        /// The dead letters.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The queue or the bucket, or the file when letters are put back.
    #[error(transparent)]
    Destination(#[from] DestinationError),
}

impl RedriveError {
    /// Whether the command was wrong, so that nothing was begun.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoMapping(..) | Self::NoFile(_))
    }
}
