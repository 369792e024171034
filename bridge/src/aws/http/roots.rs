//! The authorities that the bridge trusts for AWS: the system's roots, as `SSL_CERT_FILE` and `SSL_CERT_DIR` name them,
//! and those of `AWS_CA_BUNDLE`. Reads files once and verifies nothing.

use std::ffi::OsStr;
use std::fs;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The roots; `bundle` is the value of `AWS_CA_BUNDLE`, and empty counts as absent.
///
/// # Errors
/// Why the bundle cannot be used, and how to fix it.
pub(super) fn roots(bundle: Option<&OsStr>) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    // A system without roots is fine while the endpoint is plain, or the bundle has what is needed; else TLS says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = bundle.filter(|path| !path.is_empty()) {
        add(&mut roots, path)?;
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, path: &OsStr) -> Result<(), &'static str> {
    let pem = fs::read(path).map_err(|_| "the file cannot be read; check its path and who may read it")?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| "the file is no PEM; it has certificates in PEM")?;
        roots.add(certificate).map_err(|_| "the file holds a certificate that cannot be used; remove it")?;
        found = true;
    }
    if found { Ok(()) } else { Err("the file has no certificate; it needs one in PEM, BEGIN CERTIFICATE") }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn of(text: &str) -> Result<RootCertStore, &'static str> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        roots(Some(file.path().as_os_str()))
    }

    #[test]
    fn a_bundle_that_cannot_be_used_says_why() {
        assert!(roots(Some(OsStr::new("/nowhere/bundle.pem"))).unwrap_err().contains("cannot be read"));
        assert!(of("").unwrap_err().contains("no certificate"));
        assert!(of("garbage").unwrap_err().contains("no certificate"));
        let torn = "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n";
        assert!(of(torn).unwrap_err().contains("no PEM"));
        let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(of(other).unwrap_err().contains("cannot be used"));
    }

    #[test]
    fn an_empty_variable_is_none() {
        assert!(roots(Some(OsStr::new(""))).is_ok());
        assert!(roots(None).is_ok());
    }
}
