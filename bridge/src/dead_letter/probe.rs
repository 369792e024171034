//! Whether a failure destination would take a letter, as far as that can be seen without writing one. Leaves nothing behind.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use super::s3::Bucket;
use super::sqs::Queue;
use super::{DestinationError, is_same_file};
use crate::aws::Aws;
use crate::config::OnFailure;

/// What was seen of a destination that may take letters.
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
        OnFailure::Sqs(url) => (Queue::open(aws, url).attributes().await, "the queue tells its attributes"),
        OnFailure::S3(url) => (Bucket::open(aws, url).list(None).await.map(drop), "the bucket can be listed"),
        OnFailure::Topic(_) => return Ok(Seen::Unknown("not tried: its readers would see the letter".to_owned())),
    };
    match seen {
        Ok(()) => Ok(Seen::Good(good)),
        // The code of SQS and S3.
        Err(error) if error.cause.starts_with("AccessDenied") => Ok(Seen::Unknown(format!("not known: {error}"))),
        Err(error) => Err(error),
    }
}

/// The same of a file, which takes no AWS.
///
/// # Errors
/// When it cannot be written.
pub fn probe_file(path: &Path) -> Result<Seen, DestinationError> {
    file(path).map(|()| Seen::Good("can be written")).map_err(|cause| DestinationError::new(path.display(), cause))
}

/// Opens it as the bridge does; where there is none, another one beside it, which is removed again.
fn file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let beside = path.with_extension(format!("check-{:016x}", fastrand::u64(..)));
    let made = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    if is_same_file(&beside, &made) {
        fs::remove_file(&beside)?;
    }
    Ok(())
}
