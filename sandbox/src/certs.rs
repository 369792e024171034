//! Makes a fresh certificate authority for each run, and the certificates of broker, bridge and devices under it.
//!
//! Everything is in memory until [`Pki::write_to`]; nothing here is ever read back, reused or printed.

mod client;
mod files;
mod leaf;

pub use client::ClientTlsError;
pub(crate) use client::{client_config, server_config};
pub use files::{IdentityFiles, PkiFiles};
pub use leaf::{Identity, KeyKind, Leaf, SignedBy, Usage, Validity};

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, RevokedCertParams, SerialNumber,
};

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("certificate: {0}; check the names it should carry")]
pub struct CertError(#[from] rcgen::Error);

/// Whose certificate is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The server.
    Broker,
    /// The subscriber.
    Bridge,
    /// The simulated sensors, which share one certificate.
    Device,
}

/// What a [`Pki`] holds. The default is a world in which every check succeeds.
#[derive(Debug, Clone)]
pub struct PkiOptions {
    /// The broker's certificate.
    pub broker: Leaf,
    /// The bridge's certificate.
    pub bridge: Leaf,
    /// The devices' certificate.
    pub device: Leaf,
    /// Whose certificates the revocation list names.
    pub revoked: Vec<Role>,
    /// When the revocation list is valid.
    pub crl: Validity,
}

impl Default for PkiOptions {
    fn default() -> Self {
        Self {
            broker: Leaf::broker(),
            bridge: Leaf::client("bridge"),
            device: Leaf::client("device"),
            revoked: Vec::new(),
            crl: Validity::Current,
        }
    }
}

/// A certificate authority with all that one world needs. `Debug` shows no key.
pub struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
    broker: Identity,
    bridge: Identity,
    device: Identity,
    crl_pem: String,
}

impl Pki {
    /// A world in which every check succeeds: EC P-256 keys, a broker named `localhost`, `127.0.0.1` and `::1`, client
    /// certificates for the bridge and the devices, and an empty revocation list.
    ///
    /// # Errors
    /// When a certificate cannot be made.
    pub fn generate() -> Result<Self, CertError> {
        Self::with(&PkiOptions::default())
    }

    /// A world with the flaws that a test wants.
    ///
    /// # Errors
    /// When a certificate cannot be made, for instance for a name that is no ASCII.
    pub fn with(options: &PkiOptions) -> Result<Self, CertError> {
        let ca = authority("sandbox CA")?;
        let broker = Identity::issue(&options.broker, &ca)?;
        let bridge = Identity::issue(&options.bridge, &ca)?;
        let device = Identity::issue(&options.device, &ca)?;
        let revoked = options.revoked.iter().map(|role| match role {
            Role::Broker => broker.serial(),
            Role::Bridge => bridge.serial(),
            Role::Device => device.serial(),
        });
        let crl_pem = revocation_list(&ca, revoked, options.crl)?;
        Ok(Self { ca, broker, bridge, device, crl_pem })
    }

    /// One more certificate under the same authority.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn issue(&self, leaf: &Leaf) -> Result<Identity, CertError> {
        Identity::issue(leaf, &self.ca)
    }

    /// One more revocation list, which names `revoked`.
    ///
    /// # Errors
    /// When the list cannot be signed.
    pub fn revoke(&self, revoked: &[&Identity], validity: Validity) -> Result<String, CertError> {
        revocation_list(&self.ca, revoked.iter().map(|identity| identity.serial()), validity)
    }

    /// The authority's own certificate, in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    /// The revocation list, in PEM.
    #[must_use]
    pub fn crl_pem(&self) -> &str {
        &self.crl_pem
    }

    /// The certificate and key of `role`.
    #[must_use]
    pub fn identity(&self, role: Role) -> &Identity {
        match role {
            Role::Broker => &self.broker,
            Role::Bridge => &self.bridge,
            Role::Device => &self.device,
        }
    }
}

impl fmt::Debug for Pki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pki")
            .field("broker", &self.broker)
            .field("bridge", &self.bridge)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// A new authority, good for a month.
fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, CertError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let (from, until) = Validity::Current.bounds();
    params.not_before = from.into();
    params.not_after = until.into();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok(CertifiedIssuer::self_signed(params, key)?)
}

fn revocation_list<'a>(
    ca: &CertifiedIssuer<'static, KeyPair>,
    serials: impl Iterator<Item = &'a SerialNumber>,
    validity: Validity,
) -> Result<String, CertError> {
    let (from, until) = validity.bounds();
    let entry = |serial: &SerialNumber| RevokedCertParams {
        serial_number: serial.clone(),
        revocation_time: from.into(),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: from.into(),
        next_update: until.into(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: serials.map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(params.signed_by(ca)?.pem()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_key() {
        let pki = Pki::generate().unwrap();
        let text = format!("{pki:?}");
        assert!(text.contains("localhost") && !text.contains("PRIVATE"), "{text}");
        assert!(!text.contains("BEGIN") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn every_world_has_an_authority_of_its_own() {
        assert_ne!(Pki::generate().unwrap().ca_pem(), Pki::generate().unwrap().ca_pem());
    }
}
