//! The TLS settings of a well-behaved client: verified server, client certificate, nothing weakened; and of a plain
//! server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::{IdentityFiles, PkiFiles};

/// Certificate files do not make a TLS client.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// A file cannot be read as PEM.
    #[error("`{}`: {source}; make the certificates again", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The certificates do not fit together.
    #[error("certificates: {0}; make them again, all at once")]
    Tls(#[from] rustls::Error),
}

impl PkiFiles {
    /// Settings for a client that trusts this authority alone and shows the certificate of `identity`.
    ///
    /// # Errors
    /// When a file is missing or is no PEM, or key and certificate do not belong together.
    pub fn client_config(&self, identity: &IdentityFiles) -> Result<ClientConfig, ClientTlsError> {
        client_config(&self.ca, identity)
    }
}

/// Settings for a client that trusts the authority in this file alone and shows the certificate of `identity`.
///
/// # Errors
/// When a file is missing or is no PEM, or key and certificate do not belong together.
pub(crate) fn client_config(ca: &Path, identity: &IdentityFiles) -> Result<ClientConfig, ClientTlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate)?;
    }
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|source| at(&identity.key, source))?;
    // The provider is named: with two of them in the build, the process may have no default.
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&identity.cert)?, key)?)
}

/// Settings for a server that shows the certificate of `identity` and asks for none.
///
/// # Errors
/// As for a client.
pub(crate) fn server_config(identity: &IdentityFiles) -> Result<ServerConfig, ClientTlsError> {
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|source| at(&identity.key, source))?;
    Ok(ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates(&identity.cert)?, key)?)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientTlsError> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|source| at(path, source))
}

fn at(path: &Path, source: pem::Error) -> ClientTlsError {
    ClientTlsError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{CertificateRevocationListDer, ServerName, UnixTime};

    use super::*;
    use crate::certs::{Leaf, Pki, PkiOptions, Role, SignedBy, Usage, Validity};

    /// What rustls says of the broker's certificate, asked as `host`.
    fn verdict(options: &PkiOptions, host: &str) -> Result<(), rustls::Error> {
        let pki = Pki::with(options).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pki.ca_pem().as_bytes()).unwrap()).unwrap();
        let crl = CertificateRevocationListDer::from_pem_slice(pki.crl_pem().as_bytes()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls([crl])
            .enforce_revocation_expiration()
            .build()
            .unwrap();
        let certificate = pki.identity(Role::Broker).certificate_pem();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).map(drop)
    }

    fn broker(change: impl FnOnce(&mut Leaf)) -> PkiOptions {
        let mut options = PkiOptions::default();
        change(&mut options.broker);
        options
    }

    #[test]
    fn the_default_broker_is_trusted_under_all_its_names() {
        for host in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(verdict(&PkiOptions::default(), host), Ok(()), "{host}");
        }
    }

    #[test]
    fn every_flaw_is_refused() {
        let flaws = [
            ("wrong host", broker(|b| b.names = vec!["broker.example".to_owned()])),
            ("no alternative name", broker(|b| b.names.clear())),
            ("expired", broker(|b| b.validity = Validity::Expired)),
            ("not yet valid", broker(|b| b.validity = Validity::NotYet)),
            ("unknown authority", broker(|b| b.signed_by = SignedBy::Stranger)),
            ("self-signed", broker(|b| b.signed_by = SignedBy::Itself)),
            ("a client's certificate", broker(|b| b.usage = Usage::Client)),
            ("revoked", PkiOptions { revoked: vec![Role::Broker], ..PkiOptions::default() }),
            ("old revocation list", PkiOptions { crl: Validity::Expired, ..PkiOptions::default() }),
        ];
        for (flaw, options) in flaws {
            let error = verdict(&options, "localhost").unwrap_err();
            assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{flaw}: {error}");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let files = Pki::generate().unwrap().write_to(temp.path()).unwrap();
        assert!(files.client_config(&files.device).is_ok());
        let mixed = IdentityFiles { cert: files.device.cert.clone(), key: files.bridge.key.clone() };
        assert!(matches!(files.client_config(&mixed), Err(ClientTlsError::Tls(_))));
    }

    #[test]
    fn a_missing_file_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let mut files = Pki::generate().unwrap().write_to(temp.path()).unwrap();
        files.ca = temp.path().join("gone.crt");
        let error = files.client_config(&files.device).unwrap_err().to_string();
        assert!(error.contains("gone.crt"), "{error}");
    }
}
