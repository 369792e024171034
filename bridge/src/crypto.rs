//! The cryptography of TLS and of signatures: the only file that names its provider, and the names by which users
//! choose suites and groups. Makes no connection.

use ::aws_lc_rs::{digest, hmac};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{CipherSuite, ClientConfig, NamedGroup, SupportedCipherSuite};

/// The provider, for logs and documents.
pub const PROVIDER: &str = if cfg!(feature = "fips") { "aws-lc-rs in FIPS mode" } else { "aws-lc-rs" };

/// The provider with these cipher suites and key exchange groups, the first preferred. An empty list stands for the
/// provider's own, in which X25519MLKEM768 comes first.
#[must_use]
pub fn provider(suites: &[CipherSuite], groups: &[NamedGroup]) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !suites.is_empty() {
        provider.cipher_suites =
            suites.iter().filter_map(|wanted| all_suites().find(|suite| suite.suite() == *wanted)).collect();
    }
    if !groups.is_empty() {
        provider.kx_groups =
            groups.iter().filter_map(|wanted| all_groups().find(|group| group.name() == *wanted)).collect();
    }
    provider
}

/// The cipher suite of this name (IANA's registry of TLS cipher suites).
///
/// # Errors
/// When there is none: the names there are.
pub fn cipher_suite(name: &str) -> Result<CipherSuite, String> {
    let found = all_suites().find(|suite| suite_name(suite.suite()).eq_ignore_ascii_case(name));
    found.map(|suite| suite.suite()).ok_or_else(|| {
        let names: Vec<_> = all_suites().map(|suite| suite_name(suite.suite())).collect();
        format!("unknown cipher suite; there are {}", names.join(", "))
    })
}

/// The key exchange group of this name (IANA's registry of TLS supported groups).
///
/// # Errors
/// When there is none: the names there are.
pub fn key_exchange_group(name: &str) -> Result<NamedGroup, String> {
    let found = all_groups().find(|group| group_name(group.name()).eq_ignore_ascii_case(name));
    found.map(SupportedKxGroup::name).ok_or_else(|| {
        let names: Vec<_> = all_groups().map(|group| group_name(group.name())).collect();
        format!("unknown key exchange group; there are {}", names.join(", "))
    })
}

/// IANA's name; rustls writes those of TLS 1.3 in its own way.
#[must_use]
pub fn suite_name(suite: CipherSuite) -> String {
    format!("{suite:?}").replacen("TLS13_", "TLS_", 1)
}

/// IANA's name.
#[must_use]
pub fn group_name(group: NamedGroup) -> String {
    format!("{group:?}")
}

/// Whether the first message of a handshake, the `ClientHello`, needs more than one TCP segment: rustls puts a key
/// share of the first group into it, and one with ML-KEM is 800 bytes or more.
#[must_use]
pub fn hello_is_large(config: &ClientConfig) -> bool {
    use NamedGroup as G;
    let first = config.crypto_provider().kx_groups.first().map(|group| group.name());
    matches!(first, Some(G::X25519MLKEM768 | G::secp256r1MLKEM768 | G::MLKEM512 | G::MLKEM768 | G::MLKEM1024))
}

/// Whether a suite is one of TLS 1.3.
#[must_use]
pub fn is_tls13(suite: CipherSuite) -> bool {
    all_suites().any(|known| known.suite() == suite && known.tls13().is_some())
}

/// A key of HMAC with SHA-256 (RFC 2104, FIPS 180-4), ready for any number of texts.
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub(crate) fn of(&self, text: &[u8]) -> impl AsRef<[u8]> + use<> {
        hmac::sign(&self.0, text)
    }
}

/// SHA-256 (FIPS 180-4).
pub(crate) fn sha256(text: &[u8]) -> impl AsRef<[u8]> + use<> {
    digest::digest(&digest::SHA256, text)
}

/// SHA-384 (FIPS 180-4).
#[cfg(feature = "pkcs11")]
pub(crate) fn sha384(text: &[u8]) -> impl AsRef<[u8]> + use<> {
    digest::digest(&digest::SHA384, text)
}

fn all_suites() -> impl Iterator<Item = SupportedCipherSuite> {
    aws_lc_rs::ALL_CIPHER_SUITES.iter().copied().filter(|suite| !cfg!(feature = "fips") || suite.fips())
}

fn all_groups() -> impl Iterator<Item = &'static dyn SupportedKxGroup> {
    aws_lc_rs::ALL_KX_GROUPS.iter().copied().filter(|group| !cfg!(feature = "fips") || group.fips())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_what_it_names() {
        for suite in all_suites() {
            assert_eq!(cipher_suite(&suite_name(suite.suite())), Ok(suite.suite()));
        }
        for group in all_groups() {
            assert_eq!(key_exchange_group(&group_name(group.name())), Ok(group.name()));
        }
        assert_eq!(cipher_suite("TLS_AES_256_GCM_SHA384"), Ok(CipherSuite::TLS13_AES_256_GCM_SHA384));
    }

    #[test]
    fn an_unknown_name_is_told_what_there_is() {
        let suites = cipher_suite("TLS_RSA_WITH_AES_128_CBC_SHA").unwrap_err();
        assert!(suites.contains("TLS_AES_256_GCM_SHA384") && !suites.contains("CBC"), "{suites}");
        let groups = key_exchange_group("secp160r1").unwrap_err();
        assert!(groups.contains("X25519MLKEM768") && !groups.contains("160"), "{groups}");
    }

    #[test]
    fn what_is_chosen_comes_in_that_order_and_alone() {
        let (suite, groups) =
            (CipherSuite::TLS13_AES_128_GCM_SHA256, [NamedGroup::secp384r1, NamedGroup::X25519MLKEM768]);
        let provider = provider(&[suite], &groups);
        assert_eq!(provider.cipher_suites.iter().map(SupportedCipherSuite::suite).collect::<Vec<_>>(), [suite]);
        assert_eq!(provider.kx_groups.iter().map(|group| group.name()).collect::<Vec<_>>(), groups);
    }

    #[test]
    fn the_post_quantum_hybrid_comes_first_unless_told_otherwise() {
        assert_eq!(provider(&[], &[]).kx_groups[0].name(), NamedGroup::X25519MLKEM768);
    }

    #[test]
    fn a_client_hello_is_large_when_a_group_with_ml_kem_comes_first() {
        let config = |groups: &[NamedGroup]| {
            let builder = ClientConfig::builder_with_provider(provider(&[], groups).into());
            let builder = builder.with_safe_default_protocol_versions().unwrap();
            builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        };
        assert!(hello_is_large(&config(&[])));
        assert!(!hello_is_large(&config(&[NamedGroup::secp256r1, NamedGroup::X25519MLKEM768])));
    }
}
