//! Digests of dead letters, in the encodings of the services that confirm them. They detect damage and distinguish
//! letters; they are not used for security.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256};

/// The MD5, in hexadecimal.
pub(super) fn md5(bytes: impl AsRef<[u8]>) -> String {
    hexadecimal(Md5::digest(bytes).as_slice())
}

/// A SHA-256.
#[derive(Debug, Clone)]
pub(super) struct Sha(Vec<u8>);

impl Sha {
    pub(super) fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes).to_vec())
    }

    pub(super) fn hexadecimal(&self) -> String {
        hexadecimal(&self.0)
    }

    /// In the form of `x-amz-checksum-sha256`.
    pub(super) fn base64(&self) -> String {
        BASE64_STANDARD.encode(&self.0)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    // Writing to a string cannot fail.
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_their_specifications() {
        // RFC 1321, A.5.
        assert_eq!(md5(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5("abc"), "900150983cd24fb0d6963f7d28e17f72");
        // FIPS 180-4; the vector is in RFC 6234, 8.5.
        let sum = Sha::of("abc");
        assert_eq!(sum.hexadecimal(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sum.base64(), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }
}
