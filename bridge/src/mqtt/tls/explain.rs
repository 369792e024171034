//! What a TLS failure means for the person who has to mend it, and whether anybody has to. Does no I/O.

use std::io;

use rustls::{AlertDescription, CertRevocationListError, CertificateError, Error, PeerIncompatible};

/// A failure in words.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong, and the way out.
    pub cause: String,
    /// Another try can only succeed when somebody has changed something.
    pub lasting: bool,
}

impl Failure {
    fn lasting(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), lasting: true }
    }
}

/// Explains a failure of the handshake, or of a read after it: under TLS 1.3 a broker refuses our certificate when the
/// handshake is over for us (RFC 8446, section 4.4.2.4), so the first thing read is its alert.
pub fn explain(error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(tls) => in_words(tls),
        None => Failure { cause: error.to_string(), lasting: false },
    }
}

/// The same for an error of rustls itself.
pub(super) fn in_words(tls: &Error) -> Failure {
    match tls {
        Error::InvalidCertificate(wrong) => Failure::lasting(certificate(wrong)),
        Error::InvalidCertRevocationList(wrong) => Failure::lasting(revocation_list(wrong)),
        Error::AlertReceived(alert) => alert_received(*alert),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Failure::lasting(NO_COMMON_VERSION),
        Error::PeerIncompatible(what) => {
            Failure::lasting(format!("the broker's TLS and ours have nothing in common ({what:?})"))
        }
        Error::NoCertificatesPresented => Failure::lasting("the broker shows no certificate"),
        Error::DecryptError | Error::PeerMisbehaved(_) => Failure { cause: tls.to_string(), lasting: false },
        other => Failure { cause: other.to_string(), lasting: false },
    }
}

const NO_COMMON_VERSION: &str = "the broker speaks no version of TLS that is allowed here; TLS 1.2 is the oldest, and \
     `mqtt.tls.min_version` may ask for more";

const BAD_SIGNATURE: &str = "a signature of the broker does not hold: either its certificate is not signed by the CA in \
     `ca_file`, though that CA has its issuer's name (take the CA certificate that this broker uses now), or a key is too \
     weak to count (RSA needs 2048 bits)";

fn alert_received(alert: AlertDescription) -> Failure {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired | A::NoCertificate => Failure::lasting(format!(
            "the broker wants a certificate of ours ({alert:?}); set `mqtt.tls.cert_file` and `mqtt.tls.key_file`"
        )),
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => Failure::lasting(format!(
            "the broker refuses our certificate ({alert:?}); check `cert_file` against what its CA has issued, and its dates"
        )),
        A::HandshakeFailure | A::InsufficientSecurity => Failure::lasting(format!(
            "the broker refuses ({alert:?}): it has no cipher suite or group in common with us, or wants a certificate of \
             ours that it was not given"
        )),
        A::ProtocolVersion => Failure::lasting(NO_COMMON_VERSION),
        A::InternalError | A::CloseNotify | A::UserCanceled => {
            Failure { cause: format!("the broker gives up ({alert:?}); its log may say why"), lasting: false }
        }
        other => Failure::lasting(format!("the broker refuses ({other:?})")),
    }
}

fn certificate(wrong: &CertificateError) -> String {
    use CertificateError as C;
    match wrong {
        C::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| plain_name(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!(
                "the broker's certificate is not valid for `{}`: it names {names}; connect by one of its names, or give \
                 the broker a certificate with this one as subject alternative name (a common name does not count)",
                expected.to_str()
            )
        }
        C::UnknownIssuer => {
            "the broker's certificate comes from an unknown issuer; set `ca_file` to the CA that issued it, and have the \
             broker send its intermediate certificates"
                .into()
        }
        C::BadSignature => BAD_SIGNATURE.into(),
        C::ExpiredContext { .. } | C::Expired => format!("the broker's certificate has expired: {wrong}"),
        C::NotValidYetContext { .. } | C::NotValidYet => {
            format!("the broker's certificate is not valid yet: {wrong}; is our clock right?")
        }
        C::Revoked => "the broker's certificate has been revoked".into(),
        C::UnknownRevocationStatus => {
            "no list in `crl_file` comes from the issuer of the broker's certificate, or from that of its intermediate; \
             put the current list of each of them into it"
                .into()
        }
        C::ExpiredRevocationListContext { .. } | C::ExpiredRevocationList => {
            format!("a list in `crl_file` is out of date: {wrong}; renew it")
        }
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            "the broker's certificate is not for servers; make one with the extended key usage serverAuth".into()
        }
        other => unusual(&format!("{other:?}")),
    }
}

/// What rustls hands on from the library that verifies, by name alone.
fn unusual(named: &str) -> String {
    let version = named.contains("UnsupportedCertVersion");
    if version {
        return "the broker's certificate is X.509 version 1, which holds no host name and no purpose; make it anew in \
                version 3, as certs/make-certs.sh does, or with `openssl x509 -req … -extfile` and a subjectAltName"
            .into();
    }
    if named.contains("SignatureAlgorithm") {
        return "the broker's certificate is signed in a way that counts no more, such as SHA-1 or MD5; make it anew with \
                SHA-256"
            .into();
    }
    format!("the broker's certificate is refused ({named})")
}

fn revocation_list(wrong: &CertRevocationListError) -> String {
    format!("a list in `crl_file` cannot be used ({wrong:?}); take the one that the CA has signed")
}

/// rustls prints `DnsName("localhost")` and `IpAddress(127.0.0.1)`.
fn plain_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    fn of(error: Error) -> Failure {
        explain(&io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn the_wrong_name_is_told_with_the_right_ones() {
        let wrong = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("broker.example").unwrap(),
            presented: vec!["DnsName(\"localhost\")".into(), "IpAddress(127.0.0.1)".into()],
        };
        let text = certificate(&wrong);
        assert!(text.contains("`broker.example`") && text.contains("localhost, 127.0.0.1"), "{text}");
    }

    #[test]
    fn what_somebody_has_to_mend_is_lasting_and_a_broken_line_is_not() {
        assert!(of(Error::AlertReceived(AlertDescription::CertificateRequired)).lasting);
        assert!(of(Error::AlertReceived(AlertDescription::UnknownCA)).lasting);
        assert!(of(Error::InvalidCertificate(CertificateError::Revoked)).lasting);
        assert!(!of(Error::AlertReceived(AlertDescription::InternalError)).lasting);
        assert!(!explain(&io::Error::from(io::ErrorKind::ConnectionReset)).lasting);
    }
}
