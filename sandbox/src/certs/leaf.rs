//! One end-entity certificate: its requested content, and the result. Never an authority.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, SerialNumber,
};

use super::{CertError, authority};

const HOUR: Duration = Duration::from_hours(1);
const MONTH: Duration = Duration::from_hours(30 * 24);

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The subject's common name; a broker may take it as the user name.
    pub common_name: String,
    /// Subject alternative names: DNS names and IP addresses. Empty leaves the extension out.
    pub names: Vec<String>,
    /// What the key may be used for.
    pub usage: Usage,
    /// When it is valid.
    pub validity: Validity,
    /// Who signs it.
    pub signed_by: SignedBy,
    /// The kind of its key.
    pub key: KeyKind,
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA of 2048 bits.
    Rsa,
}

/// What a certificate's key may be used for (extended key usage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// `serverAuth`.
    Server,
    /// `clientAuth`.
    Client,
}

/// When something is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From an hour ago, for a month.
    Current,
    /// For a month, of which an hour is left.
    EndsSoon,
    /// Until an hour ago.
    Expired,
    /// From in an hour.
    NotYet,
}

/// Who signs a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// The authority that everybody trusts.
    Authority,
    /// An authority of the same name that nobody trusts.
    Stranger,
    /// Its own key.
    Itself,
}

impl Leaf {
    /// A broker on this machine: `localhost`, `127.0.0.1` and `::1`.
    #[must_use]
    pub fn broker() -> Self {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        Self { names, usage: Usage::Server, ..Self::client("localhost") }
    }

    /// A client that is known by its common name.
    #[must_use]
    pub fn client(common_name: &str) -> Self {
        Self {
            common_name: common_name.to_owned(),
            names: Vec::new(),
            usage: Usage::Client,
            validity: Validity::Current,
            signed_by: SignedBy::Authority,
            key: KeyKind::P256,
        }
    }

    fn params(&self, serial: SerialNumber) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(self.names.clone())?;
        params.distinguished_name.push(DnType::CommonName, self.common_name.as_str());
        params.serial_number = Some(serial);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match self.usage {
            Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let (from, until) = self.validity.bounds();
        params.not_before = from.into();
        params.not_after = until.into();
        Ok(params)
    }
}

impl Validity {
    pub(super) fn bounds(self) -> (SystemTime, SystemTime) {
        let now = SystemTime::now();
        match self {
            Self::Current => (now - HOUR, now + MONTH),
            Self::EndsSoon => (now - MONTH, now + HOUR),
            Self::Expired => (now - MONTH, now - HOUR),
            Self::NotYet => (now + HOUR, now + MONTH),
        }
    }
}

/// A certificate with its key. `Debug` shows neither.
pub struct Identity {
    leaf: Leaf,
    serial: SerialNumber,
    certificate_pem: String,
    private_pem: String,
}

impl Identity {
    pub(super) fn issue(leaf: &Leaf, ca: &CertifiedIssuer<'static, KeyPair>) -> Result<Self, CertError> {
        // 63 random bits behind a first one that is set: DER puts a zero octet before such a number (X.690, clause 8.3), and
        // whoever shows or compares serial numbers has to know it.
        let serial = SerialNumber::from(fastrand::u64(1 << 63..=u64::MAX));
        let params = leaf.params(serial.clone())?;
        let key = KeyPair::generate_for(match leaf.key {
            KeyKind::P256 => &PKCS_ECDSA_P256_SHA256,
            KeyKind::P384 => &PKCS_ECDSA_P384_SHA384,
            KeyKind::Rsa => &PKCS_RSA_SHA256,
        })?;
        let certificate = match leaf.signed_by {
            SignedBy::Authority => params.signed_by(&key, ca)?,
            SignedBy::Stranger => params.signed_by(&key, &*authority("sandbox CA")?)?,
            SignedBy::Itself => params.self_signed(&key)?,
        };
        let (certificate_pem, private_pem) = (certificate.pem(), key.serialize_pem());
        Ok(Self { leaf: leaf.clone(), serial, certificate_pem, private_pem })
    }

    /// The certificate, in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key, in PEM (PKCS #8). Whoever asks for it keeps it from logs.
    #[must_use]
    pub fn private_pem(&self) -> &str {
        &self.private_pem
    }

    pub(super) fn serial(&self) -> &SerialNumber {
        &self.serial
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.leaf).finish()
    }
}
