//! Reads from certificates and revocation lists what rustls does not expose: when they expire, and whose they are.
//! Verifies nothing, so nothing here may decide about trust. The only file that names the parser.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use crate::foreign::Foreign;

/// When something is valid, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dates {
    /// The subject of a certificate, the issuer of a list.
    pub(super) name: String,
    pub(super) from: SystemTime,
    /// `notAfter` of a certificate; `nextUpdate` of a list, which need not have one.
    pub(super) until: Option<SystemTime>,
}

impl Dates {
    /// Why it does not hold at `now`; `None` when it does.
    pub(super) fn trouble(&self, now: SystemTime) -> Option<String> {
        match self.until {
            _ if now < self.from => Some(format!("`{}` is not valid before {}", self.name, day(self.from))),
            Some(until) if now > until => Some(format!("`{}` has expired on {}", self.name, day(until))),
            _ => None,
        }
    }

    /// Whether it ends soon: within 30 days, and with less than a third of its life left, so that what is made for a
    /// day does not warn from its first minute on.
    pub(super) fn ends_soon(&self, now: SystemTime) -> bool {
        const SOON: Duration = Duration::from_hours(30 * 24);
        let Some(until) = self.until else { return false };
        let life = until.duration_since(self.from).unwrap_or_default();
        until.duration_since(now).unwrap_or_default() < SOON.min(life / 3)
    }
}

/// The dates of a certificate; `None` when it is none.
pub(super) fn certificate(der: &[u8]) -> Option<Dates> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let until = Some(time(validity.not_after));
    Some(Dates { name: certificate.subject().to_string(), from: time(validity.not_before), until })
}

/// A certificate that the other end of a connection has shown, for people. It was verified before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCertificate {
    /// The subject: `CN=broker`.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// The last day that it is valid.
    pub until: String,
    /// Whether that is soon.
    pub ends_soon: bool,
    /// How many certificates were shown, this one included.
    pub chain: usize,
}

impl ShownCertificate {
    /// The first of a chain; `None` when it is none.
    pub(in crate::mqtt) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let first = chain.first()?;
        let dates = certificate(first)?;
        let (_, parsed) = X509Certificate::from_der(first).ok()?;
        Some(Self {
            subject: shown(&dates.name),
            issuer: shown(&parsed.issuer().to_string()),
            until: day(dates.until?).to_string().chars().take_while(|char| *char != 'T').collect(),
            ends_soon: dates.ends_soon(SystemTime::now()),
            chain: chain.len(),
        })
    }
}

/// The subject and the serial number of a certificate, as a log may show them, whoever made it: `CN=broker` and
/// `04:d2`. `None` when it is none.
pub(super) fn subject_and_serial(der: &[u8]) -> Option<(String, String)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some((shown(&certificate.subject().to_string()), shown(&serial(certificate.raw_serial()))))
}

/// A serial number in hexadecimal, with the digits that `openssl x509 -serial` gives: without the zero octet that DER puts before a
/// positive number whose first bit is set (X.690, clause 8.3).
fn serial(der: &[u8]) -> String {
    let octets = match der {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
}

/// The kind of key that a certificate is for, of those that a token can have.
#[cfg(feature = "pkcs11")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
}

/// The key that a certificate is for.
#[cfg(feature = "pkcs11")]
pub(super) struct PublicKey {
    pub(super) kind: KeyKind,
    /// `subjectPublicKey`, without the name of its algorithm.
    pub(super) bytes: Vec<u8>,
}

/// The key of a certificate.
///
/// # Errors
/// When it is of a kind that the bridge asks of no token.
#[cfg(feature = "pkcs11")]
pub(super) fn public_key(der: &[u8]) -> Result<PublicKey, &'static str> {
    use x509_parser::oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
    };
    const OTHER: &str = "the certificate is for a kind of key that is not used in tokens; RSA, P-256 and P-384 are";
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| "the certificate is no X.509 certificate")?;
    let key = certificate.public_key();
    let curve = || key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let kind = match &key.algorithm.algorithm {
        algorithm if *algorithm == OID_PKCS1_RSAENCRYPTION => KeyKind::Rsa,
        algorithm if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => match curve() {
            Some(curve) if curve == OID_EC_P256 => KeyKind::P256,
            Some(curve) if curve == OID_NIST_EC_P384 => KeyKind::P384,
            _ => return Err(OTHER),
        },
        _ => return Err(OTHER),
    };
    Ok(PublicKey { kind, bytes: key.subject_public_key.data.to_vec() })
}

fn shown(text: &str) -> String {
    Foreign::of(text).to_string()
}

/// The dates of a revocation list; `None` when it is none.
pub(super) fn revocation_list(der: &[u8]) -> Option<Dates> {
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    let until = list.next_update().map(time);
    Some(Dates { name: list.issuer().to_string(), from: time(list.last_update()), until })
}

/// When a revocation list was issued, and its number among those of that second (RFC 5280, 5.2.3): the later is the
/// greater.
pub(super) fn issued(der: &[u8]) -> Option<impl Ord + use<>> {
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    Some((time(list.last_update()), list.crl_number().cloned()))
}

/// A date before 1970 is expired in any case.
fn time(time: ASN1Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.timestamp().try_into().unwrap_or(0))
}

/// For logs and errors: `2026-11-20T12:00:00Z`.
pub(super) fn day(time: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn dates(days: u32) -> Dates {
        let from = SystemTime::UNIX_EPOCH + DAY * 1000;
        Dates { name: "CN=x".into(), from, until: Some(from + DAY * days) }
    }

    #[test]
    fn the_warning_comes_thirty_days_before_the_end() {
        let year = dates(365);
        let end = year.until.unwrap();
        assert!(!year.ends_soon(end - DAY * 31));
        assert!(year.ends_soon(end - DAY * 29));
        assert!(year.ends_soon(end + DAY));
    }

    #[test]
    fn what_is_made_for_days_warns_in_its_last_third() {
        let days = dates(9);
        let end = days.until.unwrap();
        assert!(!days.ends_soon(end - DAY * 4));
        assert!(days.ends_soon(end - DAY * 2));
    }

    #[test]
    fn both_ends_are_checked() {
        let year = dates(365);
        assert!(year.trouble(year.from - DAY).unwrap().contains("not valid before 1972-09-27"));
        assert_eq!(year.trouble(year.from), None);
        assert!(year.trouble(year.until.unwrap() + DAY).unwrap().contains("has expired on"));
    }

    #[test]
    fn a_serial_number_is_given_without_the_octet_of_its_sign() {
        assert_eq!(serial(&[0x00, 0xdc, 0x46, 0x00]), "dc:46:00");
        assert_eq!(serial(&[0x04, 0xd2]), "04:d2");
        assert_eq!(serial(&[0x00]), "00");
    }

    #[test]
    fn what_is_no_certificate_has_no_dates() {
        assert_eq!(certificate(b"\x30\x03\x02\x01\x01"), None);
        assert_eq!(revocation_list(b""), None);
        assert_eq!(subject_and_serial(b""), None);
    }
}
