//! TLS towards the broker: always verified. There is no way to weaken it here, because there is no code that could.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::config::{Tls, TlsVersion};

/// TLS material that cannot be used. Found before any connection is made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or parsed.
    #[error("{}: {cause}", .file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it, and the way out.
        cause: String,
    },
    /// The pieces do not fit together.
    #[error("tls: {0}")]
    Setup(String),
}

/// Builds the configuration that every connection of this bridge uses.
///
/// # Errors
/// When a file is missing, empty, unreadable or open to other users, or when certificate and key do not match.
pub fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = Arc::new(roots(tls.ca_file.as_deref())?);
    let mut verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
    if let Some(file) = &tls.crl_file {
        // Without this rustls accepts a CRL whose next update is long past.
        verifier = verifier.with_crls(crls(file)?).enforce_revocation_expiration();
    }
    let verifier = verifier.build().map_err(|error| TlsError::Setup(error.to_string()))?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(tls.min_version))
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .with_webpki_verifier(verifier);
    let config = match (&tls.cert_file, &tls.key_file) {
        (Some(cert), Some(key)) => {
            let identity = identity(cert, key, &provider)?;
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity)))
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_1_2: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
    match min {
        TlsVersion::V1_2 => &FROM_1_2,
        TlsVersion::V1_3 => &FROM_1_2[..1],
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let Some(file) = ca_file else {
        let (added, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 {
            return Err(TlsError::Setup("the system has no root certificates; name a CA file with `ca_file`".into()));
        }
        return Ok(store);
    };
    for certificate in certificates(file)? {
        store.add(certificate).map_err(|error| at(file, format!("not a usable CA certificate: {error}")))?;
    }
    Ok(store)
}

fn identity(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert)?;
    refuse_open_key(key)?;
    let pem = read(key)?;
    if pem.windows(9).any(|window| window == b"ENCRYPTED") {
        return Err(at(key, "the key is encrypted; store it decrypted in a file of mode 0600"));
    }
    let der = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| at(key, "no private key in PEM found; expected PKCS #8, SEC 1 or PKCS #1"))?;
    CertifiedKey::from_der(chain, der, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            at(key, format!("does not belong to the certificate in {}", cert.display()))
        }
        other => at(key, format!("not a usable key: {other}")),
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => Err(at(file, "no certificate in PEM found")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(at(file, format!("not a certificate in PEM: {error}"))),
    }
}

fn crls(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&read(file)?).collect();
    match found {
        Ok(crls) if crls.is_empty() => Err(at(file, "no certificate revocation list in PEM found")),
        Ok(crls) => Ok(crls),
        Err(error) => Err(at(file, format!("not a certificate revocation list in PEM: {error}"))),
    }
}

#[cfg(unix)]
fn refuse_open_key(key: &Path) -> Result<(), TlsError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(key).map_err(|error| at(key, error))?.permissions().mode();
    let others = mode & 0o007;
    if others == 0 {
        return Ok(());
    }
    Err(at(key, format!("every user may read or change the key (mode {:04o}); run `chmod 600`", mode & 0o7777)))
}

#[cfg(not(unix))]
fn refuse_open_key(_key: &Path) -> Result<(), TlsError> {
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error| at(file, error))
}

fn at(file: &Path, cause: impl ToString) -> TlsError {
    TlsError::File { file: file.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn refusal(ca: &[u8]) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(ca).unwrap();
        let ca_file = Some(file.path().to_owned());
        let tls = Tls { ca_file, cert_file: None, key_file: None, crl_file: None, min_version: TlsVersion::V1_2 };
        client_config(&tls).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_or_broken_ca_file_is_refused() {
        assert!(refusal(b"").ends_with(": no certificate in PEM found"));
        assert!(refusal(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").contains("not a"));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let key = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(key.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let error = refuse_open_key(key.path()).unwrap_err().to_string();
        assert!(error.contains("mode 0644") && error.contains("chmod 600"), "{error}");
        fs::set_permissions(key.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(refuse_open_key(key.path()).is_ok(), "a group of its own, as Kubernetes mounts secrets");
    }
}
