//! Records the dead letters of a growing file, each once. Reads only the new part of the file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bridge::dead_letter::DeadLetter;

use crate::oracle;
use crate::sensors::Registry;

/// A file of dead letters, and how far it has been read.
#[derive(Debug)]
pub(super) struct Letters {
    file: PathBuf,
    read: Mutex<u64>,
}

impl Letters {
    pub(super) fn of(file: PathBuf) -> Self {
        Self { file, read: Mutex::new(0) }
    }

    /// Books what has come; half a line waits for its end.
    pub(super) fn book(&self, registry: &Registry) -> io::Result<()> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(*read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        *read += whole as u64;
        for letter in text[..whole].lines().filter_map(|line| serde_json::from_str::<DeadLetter>(line).ok()) {
            if let Some(id) = oracle::message_id(&letter) {
                registry.dead_letter(&id, Instant::now());
            }
        }
        Ok(())
    }
}
