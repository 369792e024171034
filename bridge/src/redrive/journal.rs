//! The files beside a file of dead letters while it is redriven, and how far each is done. Reads no letter.
//!
//! `letters.jsonl` is moved away to `letters.jsonl.redrive-1` before anything is sent, so that the bridge begins a new
//! one meanwhile. `letters.jsonl.redrive-1.done` grows by a line a batch: the bytes of it that are done. After an
//! interruption at any point both files are still there, and the next run repeats one batch at most.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::dead_letter::{is_same_file, move_away, sync_directory_of};

/// Ends each whole line, so that half a number is never taken for one.
const DONE: &str = " bytes done";

/// The right to redrive one file of dead letters; there is one at a time. Its file goes with it.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    _file: File,
}

/// A part of a file of dead letters, moved away to be worked on.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// The bytes from its beginning that are done.
    pub(super) done: u64,
}

impl Claim {
    /// `None` when somebody else has it.
    pub(super) fn on(letters: &Path) -> io::Result<Option<Self>> {
        let path = beside(letters, ".redrive-lock");
        let file = private(OpenOptions::new().create(true).write(true)).open(&path)?;
        match file.try_lock() {
            // The previous owner may have removed the file between open and lock.
            Ok(()) => Ok(is_same_file(&path, &file).then_some(Self { path, _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A file that stays does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Moves the letters away, and returns all parts there are: those of an interrupted redrive first.
pub(super) fn take(letters: &Path) -> io::Result<Vec<Part>> {
    let mut numbers = numbers(letters)?;
    // The rest of a finished part must not be taken for the progress of the next part with that number.
    for orphan in numbers_of(letters, ".done")?.into_iter().filter(|number| !numbers.contains(number)) {
        fs::remove_file(journal_of(&part_path(letters, orphan)))?;
    }
    let next = numbers.last().map_or(1, |last| last + 1);
    if move_away(letters, &part_path(letters, next))? {
        numbers.push(next);
    }
    numbers.into_iter().map(|number| Part::open(part_path(letters, number))).collect()
}

/// The parts of an interrupted redrive, as they are.
pub(super) fn look(letters: &Path) -> io::Result<Vec<Part>> {
    numbers(letters)?.into_iter().map(|number| Part::open(part_path(letters, number))).collect()
}

impl Part {
    fn open(path: PathBuf) -> io::Result<Self> {
        let text = match fs::read_to_string(journal_of(&path)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        // A line without its end was being written when the power failed.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let done = whole.lines().filter_map(|line| line.strip_suffix(DONE)?.parse().ok()).next_back().unwrap_or(0);
        Ok(Self { path, done })
    }

    /// Books that all before this byte is done.
    pub(super) fn book(&mut self, done: u64) -> io::Result<()> {
        let path = journal_of(&self.path);
        let is_new = !path.exists();
        let mut journal = private(OpenOptions::new().create(true).append(true)).open(&path)?;
        // The first end of line closes what an interruption may have left open.
        journal.write_all(format!("\n{done}{DONE}\n").as_bytes())?;
        journal.sync_data()?;
        if is_new {
            sync_directory_of(&path)?;
        }
        self.done = done;
        Ok(())
    }

    /// Removes a part that is done to its end.
    pub(super) fn finish(self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        sync_directory_of(&self.path)?;
        match fs::remove_file(journal_of(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Opens for their owner alone: payloads are nobody else's business.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// The same path with something more at its end.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn part_path(letters: &Path, number: u64) -> PathBuf {
    beside(letters, &format!(".redrive-{number}"))
}

fn journal_of(part: &Path) -> PathBuf {
    beside(part, ".done")
}

fn numbers(letters: &Path) -> io::Result<Vec<u64>> {
    numbers_of(letters, "")
}

/// The numbers of the files beside this one that end so, in order.
fn numbers_of(letters: &Path, end: &str) -> io::Result<Vec<u64>> {
    let directory = letters.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let begin = beside(letters, ".redrive-").file_name().map(|name| name.to_string_lossy().into_owned());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let number: Option<u64> =
            begin.as_ref().and_then(|begin| name.strip_prefix(begin)?.strip_suffix(end)?.parse().ok());
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let letters = directory.path().join("letters.jsonl");
        fs::write(&letters, "one\n").unwrap();
        (directory, letters)
    }

    fn state(letters: &Path) -> Vec<(u64, u64)> {
        let numbers = numbers(letters).unwrap();
        numbers.into_iter().zip(look(letters).unwrap()).map(|(number, part)| (number, part.done)).collect()
    }

    #[test]
    fn an_interrupted_part_is_taken_up_where_it_ended() {
        let (_directory, letters) = place();
        let mut first = take(&letters).unwrap().remove(0);
        assert!(!letters.exists());
        first.book(2).unwrap();
        first.book(3).unwrap();
        fs::write(&letters, "two\n").unwrap();
        assert_eq!(take(&letters).unwrap().len(), 2);
        assert_eq!(state(&letters), [(1, 3), (2, 0)]);
        // Half a number, from a power failure.
        fs::write(journal_of(&part_path(&letters, 1)), "\n2 bytes done\n\n3 bytes done\n\n4").unwrap();
        let mut again = look(&letters).unwrap().remove(0);
        assert_eq!(again.done, 3);
        again.book(4).unwrap();
        assert_eq!(state(&letters), [(1, 4), (2, 0)]);
    }

    #[test]
    fn a_journal_without_its_part_says_nothing_of_the_next_one() {
        let (_directory, letters) = place();
        let mut part = take(&letters).unwrap().remove(0);
        part.book(4).unwrap();
        fs::remove_file(&part.path).unwrap();
        fs::write(&letters, "two\n").unwrap();
        assert_eq!(take(&letters).unwrap()[0].done, 0);
        assert_eq!(state(&letters), [(1, 0)]);
    }

    #[test]
    fn what_is_done_leaves_nothing() {
        let (directory, letters) = place();
        let claim = Claim::on(&letters).unwrap().unwrap();
        let mut part = take(&letters).unwrap().remove(0);
        part.book(4).unwrap();
        part.finish().unwrap();
        drop(claim);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn there_is_one_claim_at_a_time() {
        let (_directory, letters) = place();
        let claim = Claim::on(&letters).unwrap();
        assert!(claim.is_some() && Claim::on(&letters).unwrap().is_none());
        drop(claim);
        assert!(Claim::on(&letters).unwrap().is_some());
    }
}
