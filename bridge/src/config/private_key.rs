//! Where the bridge's private key is: in a file, or in a token that never releases it. Reads neither.

use std::path::{Path, PathBuf};

use super::token_uri::{SCHEME, TokenUri};
use super::values::InvalidValue;

/// The place of a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivateKey {
    /// A file in PEM.
    File(PathBuf),
    /// An object in a token, which signs and never hands it out.
    Token(TokenUri),
}

impl PrivateKey {
    /// What stands for it in errors and logs.
    #[must_use]
    pub fn place(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Token(uri) => Path::new(uri.shown()),
        }
    }

    /// Takes a URI of the scheme `pkcs11` for what it is, and all else for a path.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidValue> {
        if text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME)) {
            return TokenUri::parse(text).map(Self::Token);
        }
        if text.is_empty() { Err(InvalidValue::new("must not be empty")) } else { Ok(Self::File(text.into())) }
    }
}

impl From<PathBuf> for PrivateKey {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_path_and_a_uri_names_a_token() {
        assert_eq!(PrivateKey::parse("tls/bridge.key"), Ok(PathBuf::from("tls/bridge.key").into()));
        assert_eq!(PrivateKey::parse("./pkcs11:x"), Ok(PathBuf::from("./pkcs11:x").into()));
        assert!(PrivateKey::parse("").is_err());
        let uri = PrivateKey::parse("PKCS11:token=t?module-path=/m.so").unwrap();
        assert_eq!(uri.place(), Path::new("pkcs11:token=t"));
    }
}
