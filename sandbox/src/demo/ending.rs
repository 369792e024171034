//! What a demo prints at its end: the files that it leaves, and the next steps.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::report::Summary;

/// What is left of a run whose directory is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    letters: Option<PathBuf>,
    /// Messages that the run left without an outcome.
    behind: u64,
}

impl Ending {
    /// Where the dead letters are.
    #[must_use]
    pub fn dead_letters(&self) -> Option<&Path> {
        self.letters.as_deref()
    }

    /// Keeps a copy of the dead letters in the system's directory for temporary files, where there are any.
    pub(super) fn keep(letters: &Path, summary: &Summary) -> io::Result<Self> {
        let behind = summary.unacknowledged;
        if summary.dead_lettered == 0 {
            return Ok(Self { letters: None, behind });
        }
        let copy = tempfile::Builder::new().prefix("mqtt-sandbox-dead-letters-").suffix(".jsonl").tempfile()?;
        io::copy(&mut std::fs::File::open(letters)?, &mut copy.as_file())?;
        let (_, path) = copy.keep().map_err(|error| error.error)?;
        Ok(Self { letters: Some(path), behind })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.behind > 0 {
            writeln!(
                f,
                "unacknowledged: {} messages were still queued at the broker: they arrived faster than the function handled them",
                self.behind
            )?;
        }
        if let Some(letters) = &self.letters {
            writeln!(f, "dead letters: {} (docs/dead-letters.md says how to invoke again)", letters.display())?;
        }
        writeln!(f, "status page: `cargo sandbox --open` shows it in a browser while messages flow")?;
        f.write_str("next: docs/tutorial.md, with a real Mosquitto; more: `cargo sandbox --help`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_outlive_the_world_and_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let letters = dir.path().join("letters.jsonl");
        std::fs::write(&letters, "{}\n").unwrap();
        let ending = Ending::keep(&letters, &Summary { dead_lettered: 1, ..Summary::default() }).unwrap();
        let copy = ending.letters.clone().unwrap();
        drop(dir);
        assert_eq!(std::fs::read_to_string(&copy).unwrap(), "{}\n");
        assert!(ending.to_string().contains(&copy.display().to_string()), "{ending}");
        std::fs::remove_file(copy).unwrap();
    }

    #[test]
    fn without_dead_letters_there_is_no_file() {
        let ending = Ending::keep(Path::new("/nowhere"), &Summary::default()).unwrap();
        assert_eq!(ending, Ending::default());
        assert!(!ending.to_string().contains("dead letters:"), "{ending}");
    }
}
