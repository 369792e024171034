//! The errors of TLS files. Contains nothing of a key.

use std::path::{Path, PathBuf};

/// TLS material that cannot be used. Found before any connection is made with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or parsed.
    #[error("{}: {cause}", .file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it, and how to fix it.
        cause: String,
    },
    /// The pieces do not fit together.
    #[error("tls: {0}")]
    Setup(String),
}

impl TlsError {
    pub(super) fn at(file: &Path, cause: impl ToString) -> Self {
        Self::File { file: file.to_owned(), cause: cause.to_string() }
    }
}
