//! Secrets: files that are refused if every user may read them, and buffers that are wiped from memory when they are
//! dropped.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::BytesMut;
use zeroize::{Zeroize, Zeroizing};

/// Larger than any key or token.
const MAX_BYTES: u64 = 1 << 20;

/// The longest password that MQTT carries (MQTT 5, 1.5.6).
pub(crate) const MAX_PASSWORD_BYTES: usize = 65_535;

/// The bytes of a secret. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The bytes. The caller must keep them out of logs.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A password out of a file or a variable: without the line end that an editor or `echo` puts behind it.
    ///
    /// # Errors
    /// When nothing is left, or more than MQTT carries.
    pub fn password(bytes: Vec<u8>) -> Result<Self, String> {
        let mut bytes = Zeroizing::new(bytes);
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let length = line.strip_suffix(b"\r").unwrap_or(line).len();
        // The part that is cut off is wiped too: `Zeroizing` wipes the whole capacity.
        bytes.truncate(length);
        match length {
            0 => Err("the password is empty".to_owned()),
            1..=MAX_PASSWORD_BYTES => Ok(Self(bytes)),
            _ => {
                Err(format!("longer than {MAX_PASSWORD_BYTES} bytes, which is the longest password that MQTT carries"))
            }
        }
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A buffer to write a secret into. Wiped when dropped, also if its user is cancelled.
#[derive(Default)]
pub struct Wiped(pub BytesMut);

impl Wiped {
    /// With room for so many bytes: growing would leave a copy behind.
    #[must_use]
    pub fn with_room_for(bytes: usize) -> Self {
        Self(BytesMut::with_capacity(bytes))
    }

    fn wipe(&mut self) {
        self.0.as_mut().zeroize();
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Reads a password; the same rules as for [`read`] and [`Secret::password`].
///
/// # Errors
/// As theirs.
pub fn read_password(path: &Path) -> Result<Secret, String> {
    let Secret(mut bytes) = read(path)?;
    Secret::password(std::mem::take(&mut *bytes))
}

/// Reads `user:password`; the same rules as for a password.
///
/// # Errors
/// As those of [`read_password`], or when there is no colon in it.
pub fn read_credentials(path: &Path) -> Result<Secret, String> {
    let credentials = read_password(path)?;
    if !credentials.bytes().contains(&b':') || credentials.bytes().iter().any(u8::is_ascii_control) {
        return Err("holds no `user:password` on one line".to_owned());
    }
    Ok(credentials)
}

/// Reads a token for the admin endpoint; the same rules as for a password.
///
/// # Errors
/// As those of [`read`], or when it is empty.
pub fn read_token(path: &Path) -> Result<Secret, String> {
    let Secret(mut bytes) = read(path)?;
    Secret::password(std::mem::take(&mut *bytes)).map_err(|_| "no token: the file is empty, or far too long".to_owned())
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
    Err(format!(
        "every user may read or change it (mode {:04o}); run `chmod 600`, or for a secret \
         that Kubernetes mounts set `defaultMode: 0400`",
        mode & 0o7777
    ))
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

    #[test]
    fn one_line_end_is_no_part_of_a_password() {
        let password = |bytes: &[u8]| Secret::password(bytes.to_vec()).map(|secret| secret.bytes().to_vec());
        for text in ["hunter2", "hunter2\n", "hunter2\r\n"] {
            assert_eq!(password(text.as_bytes()).unwrap(), b"hunter2", "{text:?}");
        }
        assert_eq!(password(b" a\nb\n\n").unwrap(), b" a\nb\n", "all else belongs to it");
        assert_eq!(password(b"\xff\0").unwrap(), b"\xff\0", "it need not be text");
        for nothing in ["", "\n", "\r\n"] {
            assert_eq!(password(nothing.as_bytes()).unwrap_err(), "the password is empty");
        }
        assert_eq!(password(&vec![b'x'; 65_535]).unwrap().len(), 65_535);
        assert!(password(&vec![b'x'; 65_536]).unwrap_err().starts_with("longer than 65535 bytes"));
    }

    #[test]
    fn nothing_is_left_in_a_buffer_that_is_wiped() {
        let mut buffer = Wiped::with_room_for(8);
        buffer.0.extend_from_slice(b"hunter2");
        buffer.wipe();
        assert_eq!(buffer.0[..], [0; 7]);
    }

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let secret = Secret::password(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "Ok(Secret)");
    }

    #[cfg(unix)]
    #[test]
    fn what_others_may_read_is_refused() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
        let error = read(file.path()).unwrap_err();
        assert!(["mode 0644", "chmod 600", "defaultMode: 0400"].iter().all(|word| error.contains(word)), "{error}");
        set_permissions(file.path(), Permissions::from_mode(0o640)).unwrap();
        assert!(read(file.path()).is_ok(), "a group of its own, as Kubernetes mounts secrets");
    }
}
