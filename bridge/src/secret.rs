//! Files that hold a secret: read whole, wiped from memory when dropped, and refused when every user may read them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// Larger than any key or token.
const MAX_BYTES: u64 = 1 << 20;

/// The bytes of a secret. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The bytes; whoever asks for them keeps them from logs.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Reads a secret. Its group may read it, as Kubernetes mounts secrets; others may not.
///
/// # Errors
/// When the file cannot be read, is open to every user, or is no secret by its size; in words.
pub fn read(path: &Path) -> Result<Secret, String> {
    let file = File::open(path).map_err(|error| in_words(&error))?;
    // Asked of the file that is open, not of its name: that could be exchanged in between.
    let metadata = file.metadata().map_err(|error| in_words(&error))?;
    refuse_open(&metadata)?;
    if metadata.len() > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes"));
    }
    // With its whole room at once, so that growing leaves no copies behind.
    let room = usize::try_from(metadata.len()).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| in_words(&error))?;
    Ok(Secret(bytes))
}

#[cfg(unix)]
fn refuse_open(metadata: &std::fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode();
    let others = mode & 0o007;
    if others == 0 {
        return Ok(());
    }
    Err(format!("every user may read or change it (mode {:04o}); run `chmod 600`", mode & 0o7777))
}

#[cfg(not(unix))]
fn refuse_open(_metadata: &std::fs::Metadata) -> Result<(), String> {
    Ok(())
}

/// A system's error without its number.
pub(crate) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".into(),
        kind => format!("cannot be read: {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_others_may_read_is_refused() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
        let error = read(file.path()).unwrap_err();
        assert!(error.contains("mode 0644") && error.contains("chmod 600"), "{error}");
        set_permissions(file.path(), Permissions::from_mode(0o640)).unwrap();
        assert!(read(file.path()).is_ok(), "a group of its own, as Kubernetes mounts secrets");
    }
}
