//! Tests whether a failure destination would take a letter, as far as possible without writing one. Leaves nothing
//! behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::file::{refuse_link, under_lock};
use super::s3::Bucket;
use super::sqs::Queue;
use super::{DestinationError, is_same_file};
use crate::aws::Aws;
use crate::config::OnFailure;

/// The result of probing a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is there, and as this says.
    Good(&'static str),
    /// We may not look, which a letter does not need; or there is nothing to see.
    Unknown(String),
}

/// Looks at it.
///
/// # Errors
/// When it would take none.
pub async fn probe(aws: &Aws, place: &OnFailure) -> Result<Seen, DestinationError> {
    let (seen, good) = match place {
        OnFailure::File(path) => return probe_file(path),
        OnFailure::Sqs(url) => {
            (Queue::open(aws, url).attributes().await, "the queue tells its attributes; nothing was sent to it")
        }
        OnFailure::S3(url) => {
            (Bucket::open(aws, url).list(None).await.map(drop), "the bucket can be listed; nothing was written to it")
        }
        OnFailure::Topic(_) => return Ok(Seen::Unknown("not tried: its readers would see the letter".to_owned())),
    };
    match seen {
        Ok(()) => Ok(Seen::Good(good)),
        // The error code of SQS and S3 for a missing permission.
        Err(error) if error.cause.starts_with("AccessDenied") => Ok(Seen::Unknown(format!("not known: {error}"))),
        Err(error) => Err(error),
    }
}

/// The same of a file, which takes no AWS.
///
/// # Errors
/// When it cannot be written.
pub fn probe_file(path: &Path) -> Result<Seen, DestinationError> {
    file(path)
        .map(|()| Seen::Good("can be written: a test line was written and removed"))
        .map_err(|cause| DestinationError::new(path.display(), cause))
}

/// More than may be left of a block of the disk that is in use.
const TEST_LINE: usize = 64 * 1024;

/// Writes a line and takes it away again, under the lock that every writer takes; where there is no file, in another
/// one beside it.
fn file(path: &Path) -> io::Result<()> {
    match open_existing(path) {
        Ok(file) => return under_lock(&file, || write_and_remove(&file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let beside = path.with_extension(format!("check-{:016x}", fastrand::u64(..)));
    let made = OpenOptions::new().append(true).create_new(true).open(&beside)?;
    let written = write_and_remove(&made);
    if is_same_file(&beside, &made) {
        fs::remove_file(&beside)?;
    }
    written
}

/// As the bridge opens it, but without making it private.
fn open_existing(path: &Path) -> io::Result<File> {
    refuse_link(path)?;
    OpenOptions::new().append(true).read(true).open(path)
}

/// A line of spaces: should we be killed before it is gone, a redrive passes it over.
fn write_and_remove(mut file: &File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut line = vec![b' '; TEST_LINE];
    line.push(b'\n');
    let written = file.write_all(&line).and_then(|()| file.sync_data());
    let removed = remove_behind(file, length, line.len());
    // Where both fail, the cause worth telling is the first one.
    written.and(removed)
}

/// Takes away what was written of `bytes` at the end. Where the filesystem has no locks, a bridge may have written behind
/// it meanwhile: then the line stays, and nothing is cut off.
fn remove_behind(file: &File, length: u64, bytes: usize) -> io::Result<()> {
    let is_last = file.metadata()?.len() <= length + u64::try_from(bytes).unwrap_or(u64::MAX);
    if is_last { file.set_len(length) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_wrote_behind_the_line_is_not_cut_off() {
        for (behind, left) in [("", "letter\n"), ("another\n", "letter\n   \nanother\n")] {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), format!("letter\n   \n{behind}")).unwrap();
            remove_behind(file.as_file(), 7, 4).unwrap();
            assert_eq!(fs::read_to_string(file.path()).unwrap(), left);
        }
    }
}
