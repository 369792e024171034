//! Letters of a file: read from the file to which they were moved, and sent. Those that stay are written back behind
//! letters that the bridge has added meanwhile. A batch is done only when each of its letters is accepted or written
//! back.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::journal::{self, Claim, Part, beside, private};
use super::{BATCH, Redrive, RedriveError, Verdict};
use crate::dead_letter::{DeadLetter, FileDestination, sync_directory_of};

/// How many letters are written back at once, when nothing is sent any more.
const REST: usize = 1000;

/// One batch as it is in the file.
struct Batch {
    /// The lines without their ends; empty ones are left out.
    lines: Vec<Vec<u8>>,
    /// How many bytes it takes.
    bytes: u64,
}

pub(super) async fn run(redrive: &mut Redrive, letters: &Path) -> Result<(), RedriveError> {
    let letters = &real_path(letters);
    let failed = |source| RedriveError::File { path: letters.to_owned(), source };
    let there = journal::look(letters).is_ok_and(|parts| !parts.is_empty());
    if !letters.is_file() && !there {
        return Err(RedriveError::NoFile(letters.to_owned()));
    }
    let claim = Claim::on(letters).map_err(failed)?.ok_or_else(|| RedriveError::Busy(letters.to_owned()))?;
    redrive.log_beginning();
    for part in journal::take(letters).map_err(failed)? {
        run_part(redrive, letters, part).await?;
    }
    drop(claim);
    Ok(())
}

/// Counts what would be sent, and changes nothing.
pub(super) async fn look(redrive: &mut Redrive, letters: &Path) -> Result<(), RedriveError> {
    let letters = &real_path(letters);
    let failed = |source| RedriveError::File { path: letters.to_owned(), source };
    let mut parts = journal::look(letters).map_err(failed)?;
    if letters.is_file() {
        parts.push(Part { path: letters.to_owned(), done: 0 });
    }
    if parts.is_empty() {
        return Err(RedriveError::NoFile(letters.to_owned()));
    }
    redrive.log_beginning();
    for part in parts {
        let mut reader = open(&part).map_err(failed)?;
        while let Some(batch) = read(&mut reader, BATCH).map_err(failed)? {
            redrive.batch(&batch.letters()).await;
        }
    }
    Ok(())
}

/// The target of a symbolic link, because the target is the file to move, and the journal is beside it. After an
/// interrupted redrive the target is moved away, but the link still names its place.
fn real_path(letters: &Path) -> PathBuf {
    let mut path = letters.to_owned();
    // As many links as Linux follows.
    for _ in 0..40 {
        if let Ok(real) = path.canonicalize() {
            return real;
        }
        let Ok(target) = path.read_link() else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return path };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    directory.canonicalize().map_or_else(|_| path.clone(), |directory| directory.join(name))
}

async fn run_part(redrive: &mut Redrive, path: &Path, mut part: Part) -> Result<(), RedriveError> {
    let failed = |source| RedriveError::File { path: path.to_owned(), source };
    let mut reader = open(&part).map_err(failed)?;
    let mut back = None;
    while let Some(batch) = read(&mut reader, if redrive.is_over() { REST } else { BATCH }).map_err(failed)? {
        let letters = batch.letters();
        let verdicts = redrive.batch(&letters).await;
        let (mut stay, mut broken) = (Vec::new(), Vec::new());
        for ((line, letter), verdict) in batch.lines.into_iter().zip(letters).zip(verdicts) {
            match (verdict, letter) {
                (Verdict::Redriven, _) => {}
                (Verdict::Failed(failure, attempts), Some(letter)) => {
                    let letter = letter.failed_again(&failure.kind, &failure.message, attempts);
                    push_letter(&letter, &mut stay).map_err(|error| failed(error.into()))?;
                }
                (Verdict::Tried(attempts), Some(letter)) if attempts > 0 => {
                    push_letter(&letter.tried_again(attempts), &mut stay).map_err(|error| failed(error.into()))?;
                }
                (Verdict::Failed(..) | Verdict::Tried(_) | Verdict::Stays, _) => push_line(&line, &mut stay),
                (Verdict::Broken, _) => push_line(&line, &mut broken),
            }
        }
        set_aside(path, &broken).map_err(failed)?;
        if !stay.is_empty() {
            let back: &FileDestination = match &mut back {
                Some(back) => back,
                none => none.insert(FileDestination::open_in_place_of(&part.path, path)?),
            };
            back.put_lines(stay).await?;
        }
        let done = part.done + batch.bytes;
        part.book(done).map_err(failed)?;
    }
    part.finish().map_err(failed)
}

impl Batch {
    fn letters(&self) -> Vec<Option<DeadLetter>> {
        self.lines.iter().map(|line| serde_json::from_slice(line).ok()).collect()
    }
}

fn open(part: &Part) -> io::Result<BufReader<File>> {
    let mut file = File::open(&part.path)?;
    file.seek(SeekFrom::Start(part.done))?;
    Ok(BufReader::new(file))
}

/// Up to `most` lines; `None` at the end.
fn read(reader: &mut impl BufRead, most: usize) -> io::Result<Option<Batch>> {
    let mut batch = Batch { lines: Vec::new(), bytes: 0 };
    while batch.lines.len() < most {
        let mut line = Vec::new();
        let bytes = reader.read_until(b'\n', &mut line)?;
        if bytes == 0 {
            break;
        }
        batch.bytes += bytes as u64;
        let text = line.trim_ascii();
        if !text.is_empty() {
            batch.lines.push(text.to_owned());
        }
    }
    Ok((batch.bytes > 0).then_some(batch))
}

fn push_letter(letter: &DeadLetter, to: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *to, letter)?;
    to.push(b'\n');
    Ok(())
}

fn push_line(line: &[u8], to: &mut Vec<u8>) {
    to.extend_from_slice(line);
    to.push(b'\n');
}

/// Keeps lines that are no letters in a separate file for inspection.
fn set_aside(letters: &Path, broken: &[u8]) -> io::Result<()> {
    if broken.is_empty() {
        return Ok(());
    }
    let path = beside(letters, ".broken");
    let mut file = private(OpenOptions::new().create(true).append(true)).open(&path)?;
    file.write_all(broken)?;
    file.sync_data()?;
    sync_directory_of(&path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_leads_to_its_file_also_when_that_has_been_moved_away() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("data");
        fs::create_dir(&real).unwrap();
        let (file, link, second) = (real.join("letters.jsonl"), dir.path().join("link"), dir.path().join("second"));
        symlink("data/letters.jsonl", &link).unwrap();
        symlink(&link, &second).unwrap();
        fs::write(&file, "").unwrap();
        let found = || [&file, &link, &second].map(|path| real_path(path));
        assert_eq!(found(), [(); 3].map(|()| file.clone()), "while it is there");
        fs::rename(&file, real.join("letters.jsonl.redrive-1")).unwrap();
        assert_eq!(found(), [(); 3].map(|()| file.clone()), "after an interrupted redrive");
    }
}
