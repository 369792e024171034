//! A file with one line of JSON for each dead letter. A letter counts as written when its line is complete and synced
//! to the disk; lines that arrive together share one write and one sync. Every write happens under the file's lock.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::{DeadLetter, DestinationError};

/// How many dead letters may wait for the disk; more wait at their lanes.
const QUEUE: usize = 256;

/// An open file of dead letters.
#[derive(Debug, Clone)]
pub struct FileDestination {
    path: Arc<Path>,
    writer: mpsc::Sender<Entry>,
}

#[derive(Debug)]
struct Entry {
    text: Vec<u8>,
    written: oneshot::Sender<Result<(), String>>,
}

impl FileDestination {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn open(path: &Path) -> Result<Self, DestinationError> {
        let error = |cause: io::Error| DestinationError::new(path.display(), cause);
        Self::write_to(path, append_to(path).map_err(error)?)
    }

    /// The same in place of a file that was moved away: it has the owner of that one, as the bridge could not write to a
    /// file that root has made.
    pub(crate) fn open_in_place_of(moved: &Path, path: &Path) -> Result<Self, DestinationError> {
        let error = |cause: io::Error| DestinationError::new(path.display(), cause);
        let file = append_to(path).map_err(error)?;
        keep_owner(&file, moved).map_err(error)?;
        Self::write_to(path, file)
    }

    fn write_to(path: &Path, file: File) -> Result<Self, DestinationError> {
        let error = |cause: io::Error| DestinationError::new(path.display(), cause);
        let mut log = Log { path: path.to_owned(), file };
        log.end_partial_line().map_err(error)?;
        let (writer, lines) = mpsc::channel(QUEUE);
        // Syncing blocks, so the file has a thread of its own, which ends with the last sender.
        thread::Builder::new().name("dead-letters".into()).spawn(move || log.serve(lines)).map_err(error)?;
        Ok(Self { path: path.into(), writer })
    }

    /// Returns once the letter is a line of the file and synced.
    ///
    /// # Errors
    /// If it is not; then the file contains no part of it.
    pub async fn put(&self, letter: &DeadLetter) -> Result<(), DestinationError> {
        let error = |cause: String| DestinationError::new(self.path.display(), cause);
        let mut text = serde_json::to_vec(letter).map_err(|cause| error(cause.to_string()))?;
        text.push(b'\n');
        self.put_lines(text).await
    }

    /// Returns once these lines, each with its end, are in the file and synced, as they are.
    pub(crate) async fn put_lines(&self, text: Vec<u8>) -> Result<(), DestinationError> {
        let error = |cause: String| DestinationError::new(self.path.display(), cause);
        let (written, confirmation) = oneshot::channel();
        self.writer.send(Entry { text, written }).await.map_err(|_| error("its writer has ended".into()))?;
        confirmation.await.unwrap_or_else(|_| Err("its writer has ended".into())).map_err(error)
    }
}

impl fmt::Display for FileDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Gives the file another name; nothing is written to it from then on. False when there is no such file.
///
/// # Errors
/// When the system refuses.
pub(crate) fn move_away(path: &Path, to: &Path) -> io::Result<bool> {
    loop {
        let file = match OpenOptions::new().read(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        lock(&file)?;
        if is_same_file(path, &file) {
            fs::rename(path, to)?;
            sync_directory_of(path)?;
            return Ok(true);
        }
    }
}

/// The writer's side.
struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    fn serve(mut self, mut lines: mpsc::Receiver<Entry>) {
        let mut waiting = Vec::new();
        while lines.blocking_recv_many(&mut waiting, QUEUE) > 0 {
            // If the sender no longer waits, it has used another destination or abandoned the delivery.
            waiting.retain(|line| !line.written.is_closed());
            if waiting.is_empty() {
                continue;
            }
            let text: Vec<u8> = waiting.iter().flat_map(|line| &line.text).copied().collect();
            let result = self.append(&text).map_err(|error| error.to_string());
            for line in waiting.drain(..) {
                // Should nobody wait for it any more, the line is one too many, not one too few.
                let _ = line.written.send(result.clone());
            }
        }
    }

    /// All of it and synced, or none of it.
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.lock()?;
        let written = self.append_whole(text);
        unlock(&self.file)?;
        written
    }

    fn append_whole(&mut self, text: &[u8]) -> io::Result<()> {
        // An earlier write may have failed half-way on a disk that could not even cut the file back.
        self.end_partial_line()?;
        let length = self.file.metadata()?.len();
        let written = self.file.write_all(text).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // A full disk has room for this. If it fails too, the first cause is the one to report.
            let _ = self.file.set_len(length);
        }
        written
    }

    /// Locks the file that has the name now. Somebody may have moved the old one away, and what is written to a file
    /// without a name is lost; who moves it under the lock can be sure that nothing more is written to it.
    fn lock(&mut self) -> io::Result<()> {
        lock(&self.file)?;
        while !is_same_file(&self.path, &self.file) {
            // Closing the old file releases its lock.
            self.file = append_to(&self.path)?;
            lock(&self.file)?;
            self.end_partial_line()?;
        }
        Ok(())
    }

    /// A crash while writing can leave half a line, which must not swallow the next one.
    fn end_partial_line(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() == 0 {
            return Ok(());
        }
        let mut last = [0];
        self.file.seek(SeekFrom::End(-1))?;
        self.file.read_exact(&mut last)?;
        if last == *b"\n" {
            return Ok(());
        }
        self.file.write_all(b"\n")?;
        self.file.sync_data()
    }
}

/// Opens or makes the file, readable only by its owner, because payloads may be private.
fn append_to(path: &Path) -> io::Result<File> {
    let file = loop {
        match make_or_open(path) {
            // The file was moved away or replaced meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory_of(path).is_dir() => {}
            opened => break opened?,
        }
    };
    sync_directory_of(path)?;
    Ok(file)
}

/// Never through a symbolic link: anyone who may write to the directory could choose the file that the bridge writes
/// to. A file is made only where the name is free (`O_EXCL` follows no link), and one that was there must itself have
/// the name.
fn make_or_open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).read(true);
    let mut make = options.clone();
    make.create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut make, 0o600);
    match make.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        opened => return opened,
    }
    refuse_link(path)?;
    let file = options.open(path)?;
    if !is_same_file(path, &file) {
        // The file was replaced meanwhile, perhaps by a link.
        return Err(io::ErrorKind::NotFound.into());
    }
    keep_private(&file)?;
    Ok(file)
}

pub(super) fn refuse_link(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::other("it is a symbolic link, which is not followed; name the file itself"));
    }
    Ok(())
}

/// Removes the rights of others to read or write the file, or refuses it.
#[cfg(unix)]
fn keep_private(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // Private: none of the six permission bits of group and others is set.
    let is_private =
        || file.metadata().map(|found| !found.is_file() || found.permissions().mode().trailing_zeros() >= 6);
    if is_private()? || file.set_permissions(fs::Permissions::from_mode(0o600)).is_ok() && is_private()? {
        return Ok(());
    }
    Err(io::Error::other("others may read or write it, and its mode cannot be changed to 0600; do that as its owner"))
}

#[cfg(not(unix))]
fn keep_private(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Gives the file to the owner of the one that was moved away.
#[cfg(unix)]
fn keep_owner(file: &File, moved: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let (found, wanted) = (file.metadata()?, fs::symlink_metadata(moved)?);
    if found.uid() == wanted.uid() {
        return Ok(());
    }
    fchown(file, Some(wanted.uid()), Some(wanted.gid())).map_err(|cause| {
        let owner = wanted.uid();
        io::Error::other(format!("it cannot be given to its owner, the user {owner}: {cause}; run this as that user"))
    })
}

#[cfg(not(unix))]
fn keep_owner(_file: &File, _moved: &Path) -> io::Result<()> {
    Ok(())
}

/// The names of files must survive a power failure too.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// While nobody else writes to the file.
pub(super) fn under_lock<T>(file: &File, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    lock(file)?;
    let done = act();
    unlock(file)?;
    done
}

/// Where a filesystem has no locks, nobody can hold one.
fn lock(file: &File) -> io::Result<()> {
    unless_unsupported(file.lock())
}

fn unlock(file: &File) -> io::Result<()> {
    unless_unsupported(file.unlock())
}

fn unless_unsupported(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::Unsupported { Ok(()) } else { Err(error) })
}

/// Whether the file itself has this name; a link to it does not count.
#[cfg(unix)]
pub(crate) fn is_same_file(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(named), Ok(open)) = (fs::symlink_metadata(path), file.metadata()) else { return false };
    (named.dev(), named.ino()) == (open.dev(), open.ino())
}

#[cfg(not(unix))]
pub(crate) fn is_same_file(path: &Path, _file: &File) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use event::Encoding;
    use tokio::time::timeout;

    use super::*;

    fn letter(payload: &str) -> DeadLetter {
        DeadLetter {
            mapping: "m".into(),
            function: "f".into(),
            id: "1".into(),
            topic: "t".into(),
            qos: 1,
            retain: false,
            user_properties: Vec::new(),
            content_type: None,
            response_topic: None,
            correlation_data: None,
            payload: payload.into(),
            encoding: Encoding::Text,
            subscription: None,
            content_encoding: None,
            skipped: None,
            redrive: None,
            received_at: String::new(),
            first_attempt_at: String::new(),
            last_attempt_at: String::new(),
            attempts: 1,
            error_type: String::new(),
            error_message: String::new(),
        }
    }

    fn payloads(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let parse = |line| serde_json::from_str::<DeadLetter>(line).ok();
        text.lines().filter_map(parse).map(|letter| letter.payload).collect()
    }

    #[tokio::test]
    async fn every_letter_is_a_line_whatever_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letters.jsonl");
        let file = FileDestination::open(&path).unwrap();
        let tricky = "{\n \"a\": \"\\u0000\" }\r\n";
        let (first, second) = (letter("one"), letter(tricky));
        let (a, b) = tokio::join!(file.put(&first), file.put(&second));
        a.and(b).unwrap();
        assert_eq!(payloads(&path), ["one", tricky]);
    }

    #[tokio::test]
    async fn half_a_line_from_a_crash_swallows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letters.jsonl");
        fs::write(&path, b"{\"mapping\":\"half").unwrap();
        FileDestination::open(&path).unwrap().put(&letter("whole")).await.unwrap();
        assert_eq!(payloads(&path), ["whole"]);
    }

    #[tokio::test]
    async fn half_a_line_of_a_failed_write_swallows_nothing_either() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letters.jsonl");
        let file = FileDestination::open(&path).unwrap();
        file.put(&letter("one")).await.unwrap();
        append_to(&path).unwrap().write_all(b"{\"mapping\":\"half").unwrap();
        file.put(&letter("two")).await.unwrap();
        assert_eq!(payloads(&path), ["one", "two"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_is_refused_and_its_target_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("letters.jsonl"), dir.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let refused = || FileDestination::open(&link).unwrap_err().to_string();
        assert!(
            refused().ends_with("it is a symbolic link, which is not followed; name the file itself"),
            "{}",
            refused()
        );
        assert!(!target.exists(), "a dangling link makes nothing");
        fs::write(&target, "half a line").unwrap();
        refused();
        assert_eq!(fs::read_to_string(&target).unwrap(), "half a line");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_put_in_the_place_of_the_open_file_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("letters.jsonl"), dir.path().join("target"));
        let file = FileDestination::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(file.put(&letter("one")).await.is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "");
    }

    #[cfg(unix)]
    #[test]
    fn in_place_of_a_moved_file_the_new_one_has_its_owner_or_is_refused() {
        use std::os::unix::fs::{MetadataExt, chown};
        let dir = tempfile::tempdir().unwrap();
        let (moved, path) = (dir.path().join("letters.jsonl.redrive-1"), dir.path().join("letters.jsonl"));
        fs::write(&moved, "").unwrap();
        let owner = || fs::metadata(&path).unwrap().uid();
        let us = fs::metadata(&moved).unwrap().uid();
        FileDestination::open_in_place_of(&moved, &path).unwrap();
        assert_eq!(owner(), us);
        if us == 0 {
            chown(&moved, Some(65_534), Some(65_534)).unwrap();
            FileDestination::open_in_place_of(&moved, &path).unwrap();
            assert_eq!(owner(), 65_534);
        } else {
            let refused = FileDestination::open_in_place_of("/".as_ref(), &path).unwrap_err().to_string();
            assert!(refused.ends_with("run this as that user"), "{refused}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_taken_away_from_them() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letters.jsonl");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        FileDestination::open(&path).unwrap();
        assert_eq!(mode(), 0o600, "as it is made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        FileDestination::open(&path).unwrap();
        assert_eq!(mode(), 0o600, "as it was found");
    }

    #[tokio::test]
    async fn a_rotated_file_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letters.jsonl");
        let file = FileDestination::open(&path).unwrap();
        file.put(&letter("one")).await.unwrap();
        fs::rename(&path, dir.path().join("letters.1")).unwrap();
        file.put(&letter("two")).await.unwrap();
        assert_eq!(payloads(&path), ["two"]);
    }

    #[tokio::test]
    async fn nothing_is_written_to_a_file_that_is_being_moved_away() {
        let dir = tempfile::tempdir().unwrap();
        let (path, away) = (dir.path().join("letters.jsonl"), dir.path().join("letters.1"));
        let file = FileDestination::open(&path).unwrap();
        file.put(&letter("one")).await.unwrap();
        let mover = File::open(&path).unwrap();
        mover.lock().unwrap();
        let two = letter("two");
        let mut put = std::pin::pin!(file.put(&two));
        assert!(timeout(Duration::from_millis(200), &mut put).await.is_err(), "it waits for the lock");
        fs::rename(&path, &away).unwrap();
        mover.unlock().unwrap();
        put.await.unwrap();
        assert_eq!((payloads(&away), payloads(&path)), (vec!["one".to_owned()], vec!["two".to_owned()]));
    }

    #[tokio::test]
    async fn moving_away_takes_the_name_and_all_that_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (path, away) = (dir.path().join("letters.jsonl"), dir.path().join("letters.1"));
        assert!(!move_away(&path, &away).unwrap(), "there is none");
        FileDestination::open(&path).unwrap().put(&letter("one")).await.unwrap();
        assert!(move_away(&path, &away).unwrap() && !path.exists());
        assert_eq!(payloads(&away), ["one"]);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letters.jsonl");
        let file = FileDestination::open(&path).unwrap();
        let (abandoned, last) = (letter("abandoned"), letter("last"));
        {
            let holder = File::open(&path).unwrap();
            holder.lock().unwrap();
            let first = letter("first");
            let mut put = std::pin::pin!(file.put(&first));
            assert!(timeout(Duration::from_millis(200), &mut put).await.is_err());
            // The writer waits for the lock with the first one, so this one is still in its queue.
            assert!(timeout(Duration::from_millis(10), file.put(&abandoned)).await.is_err());
            holder.unlock().unwrap();
            put.await.unwrap();
        }
        file.put(&last).await.unwrap();
        assert_eq!(payloads(&path), ["first", "last"]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_is_an_error_and_not_a_loss() {
        let file = FileDestination::open(Path::new("/dev/full")).unwrap();
        let error = file.put(&letter("x")).await.unwrap_err().to_string();
        assert!(error.starts_with("failure destination /dev/full: ") && error.contains("No space left"), "{error}");
    }

    #[test]
    fn a_directory_that_does_not_exist_is_found_at_once() {
        let error = FileDestination::open(Path::new("/nonexistent/letters.jsonl")).unwrap_err();
        assert!(error.to_string().starts_with("failure destination /nonexistent/letters.jsonl: "), "{error}");
    }
}
