//! Wraps the verifier of rustls and logs the certificate that it refuses, because after the failed handshake no other
//! code has it. Decides nothing; every result is the verifier's own.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tracing::error;

use super::certificate::subject_and_serial;
use super::explain::in_words;

/// A verifier with somebody who takes notes.
#[derive(Debug)]
pub(super) struct LoggingVerifier(Arc<WebPkiServerVerifier>);

impl LoggingVerifier {
    pub(super) fn of(verifier: Arc<WebPkiServerVerifier>) -> Self {
        Self(verifier)
    }
}

/// Hands the verdict on, and writes a refusal down.
fn heard<T>(verdict: Result<T, Error>, certificate: &CertificateDer<'_>) -> Result<T, Error> {
    if let Err(error) = &verdict {
        let unread = || ("not an X.509 certificate".to_owned(), String::new());
        let (subject, serial) = subject_and_serial(certificate).unwrap_or_else(unread);
        let reason = in_words(error).cause;
        error!(event = "broker.certificate_refused", subject, serial, reason, "the broker's certificate is refused");
    }
    verdict
}

impl ServerCertVerifier for LoggingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        heard(self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now), end_entity)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        heard(self.0.verify_tls12_signature(message, certificate, signature), certificate)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        heard(self.0.verify_tls13_signature(message, certificate, signature), certificate)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
