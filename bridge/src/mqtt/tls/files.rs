//! The files of a TLS configuration as they are on disk at one moment, to be compared and parsed. Checks no
//! certificate.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::error::TlsError;
use crate::config::{PrivateKey, Tls};
use crate::secret::{self, Secret, in_words};

/// Larger than any bundle of authorities, or list of revocations, that fits its purpose.
const MAX_BYTES: u64 = 64 << 20;

/// The content of the files. Two values are equal if no byte of any file differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    ca: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    /// The key itself, or the PIN of the token that has it.
    key: Option<Secret>,
    crl: Option<Vec<u8>>,
}

impl Files {
    /// Reads all that `settings` names.
    ///
    /// # Errors
    /// When a file is missing, unreadable, too large, or a key is open to every user.
    pub(super) fn read(settings: &Tls) -> Result<Self, TlsError> {
        let key = match &settings.key_file {
            Some(PrivateKey::File(path)) => Some(secret::read(path).map_err(|cause| TlsError::at(path, cause))?),
            Some(PrivateKey::Token(uri)) => uri.pin_file.as_deref().map(pin).transpose()?,
            None => None,
        };
        Ok(Self {
            ca: settings.ca_file.as_deref().map(read).transpose()?,
            certificate: settings.cert_file.as_deref().map(read).transpose()?,
            key,
            crl: settings.crl_file.as_deref().map(read).transpose()?,
        })
    }

    /// The certificates to trust; `None` stands for the system's.
    pub(super) fn authorities(&self, settings: &Tls) -> Result<Option<Vec<CertificateDer<'static>>>, TlsError> {
        pair(settings.ca_file.as_deref(), self.ca.as_deref()).map(|(path, pem)| certificates(path, pem)).transpose()
    }

    /// Our chain, our own certificate first.
    pub(super) fn chain(&self, settings: &Tls) -> Result<Option<Vec<CertificateDer<'static>>>, TlsError> {
        let found = pair(settings.cert_file.as_deref(), self.certificate.as_deref());
        found.map(|(path, pem)| certificates(path, pem)).transpose()
    }

    /// Our key, out of this file.
    pub(super) fn key(&self, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
        let Some(secret) = &self.key else { return Err(TlsError::at(path, "not read")) };
        let pem = without_bom(secret.bytes());
        if pem.windows(9).any(|window| window == b"ENCRYPTED") {
            return Err(TlsError::at(path, "the key is encrypted; store it decrypted in a file of mode 0600"));
        }
        let wanted = "no private key in PEM found; expected PKCS #8, SEC 1 or PKCS #1";
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::at(path, wanted))
    }

    /// The PIN of the token that has our key.
    pub(super) fn pin(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// The revocation lists; empty without a file.
    pub(super) fn revocation_lists(
        &self,
        settings: &Tls,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let Some((path, pem)) = pair(settings.crl_file.as_deref(), self.crl.as_deref()) else { return Ok(Vec::new()) };
        let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
        match found {
            Ok(lists) if lists.is_empty() => Err(TlsError::at(path, "no certificate revocation list in PEM found")),
            Ok(lists) => Ok(lists),
            Err(error) => Err(TlsError::at(path, format!("not a certificate revocation list in PEM: {error}"))),
        }
    }
}

fn pin(path: &Path) -> Result<Secret, TlsError> {
    secret::read_password(path).map_err(|cause| TlsError::at(path, cause))
}

/// Without the byte order mark that an editor on Windows puts in front, behind which a PEM reader finds no beginning.
fn without_bom(pem: &[u8]) -> &[u8] {
    pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem)
}

fn pair<'a>(path: Option<&'a Path>, bytes: Option<&'a [u8]>) -> Option<(&'a Path, &'a [u8])> {
    path.zip(bytes.map(without_bom))
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::at(file, "no certificate in PEM found")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::at(file, format!("not a certificate in PEM: {error}"))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| TlsError::at(path, in_words(&error)))?;
    let read =
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| TlsError::at(path, in_words(&error)))?;
    if read as u64 > MAX_BYTES {
        return Err(TlsError::at(path, format!("larger than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}
