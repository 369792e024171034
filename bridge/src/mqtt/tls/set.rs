//! Makes a valid TLS configuration from files, or none. Opens no file and no connection.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::certificate::{Dates, certificate, issued, revocation_list};
use super::error::TlsError;
use super::files::Files;
use super::logging_verifier::LoggingVerifier;
use super::token;
use crate::config::{PrivateKey, Tls, TlsVersion};
use crate::crypto;

/// What a date belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Certificate,
    Authority,
    RevocationList,
}

impl Part {
    /// For logs and labels.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Authority => "authority",
            Self::RevocationList => "revocation_list",
        }
    }

    /// For sentences.
    pub(super) fn in_words(self) -> String {
        self.name().replace('_', " ")
    }
}

/// A configuration and what is known of its parts.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) client: Arc<ClientConfig>,
    /// Of everything that came from files.
    pub(super) dates: Vec<(Part, Dates)>,
    /// When a root begins or ceases to be valid, which rustls does not look at: then the set must be built again.
    pub(super) rebuild_at: Option<SystemTime>,
}

impl Set {
    /// Builds the configuration, in which only roots that are valid `now` are trusted.
    ///
    /// # Errors
    /// When a file holds not what it should, no root is valid, or certificate and key do not match.
    pub(super) fn build(files: &Files, settings: &Tls, now: SystemTime) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::provider(&settings.cipher_suites, &settings.key_exchange_groups));
        let roots = Roots::select(files, settings, now)?;
        let mut dates: Vec<_> = roots.dates.into_iter().map(|dates| (Part::Authority, dates)).collect();
        let mut verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots.store), provider.clone());
        let lists = newest_first(files.revocation_lists(settings)?);
        if !lists.is_empty() {
            dates.extend(lists.iter().filter_map(|list| revocation_list(list)).map(|d| (Part::RevocationList, d)));
            // Without this rustls accepts a list whose next update is long past.
            verifier = verifier.with_crls(lists).enforce_revocation_expiration();
        }
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions(settings.min_version))
            .map_err(setup)?
            .dangerous()
            // This wrapper only logs; the verifier above decides.
            .with_custom_certificate_verifier(Arc::new(LoggingVerifier::of(verifier.build().map_err(setup)?)));
        let mut client = match identity(files, settings, &provider)? {
            Some((identity, own)) => {
                dates.extend(own.into_iter().map(|dates| (Part::Certificate, dates)));
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
            None => builder.with_no_client_auth(),
        };
        // A resumed handshake skips the certificate: a revocation or an expiry since then would go unnoticed.
        client.resumption = Resumption::disabled();
        Ok(Self { client: Arc::new(client), dates, rebuild_at: roots.rebuild_at })
    }

    /// Why a part does not hold at `now`.
    pub(super) fn troubles(&self, now: SystemTime) -> impl Iterator<Item = (Part, String)> {
        self.dates.iter().filter_map(move |(part, dates)| dates.trouble(now).map(|trouble| (*part, trouble)))
    }
}

/// The newest list first: of the lists of one issuer rustls takes the first that fits, so that an older one in front
/// would hide what was revoked since. None is left out, since an issuer may divide its revocations into several lists.
fn newest_first(mut lists: Vec<CertificateRevocationListDer<'static>>) -> Vec<CertificateRevocationListDer<'static>> {
    lists.sort_by_cached_key(|list| Reverse(issued(list)));
    lists
}

/// The roots to trust.
struct Roots {
    store: RootCertStore,
    /// Of those in the file, trusted or not.
    dates: Vec<Dates>,
    rebuild_at: Option<SystemTime>,
}

impl Roots {
    /// rustls takes a root as it is, also one that has expired.
    fn select(files: &Files, settings: &Tls, now: SystemTime) -> Result<Self, TlsError> {
        let (mut roots, mut troubles) =
            (Self { store: RootCertStore::empty(), dates: Vec::new(), rebuild_at: None }, Vec::new());
        let Some(found) = files.authorities(settings)? else { return Self::of_the_system(now) };
        let file = settings.ca_file.as_deref().unwrap_or(std::path::Path::new("ca_file"));
        for der in found {
            let dates = certificate(&der).ok_or_else(|| TlsError::at(file, "not an X.509 certificate"))?;
            match dates.trouble(now) {
                Some(trouble) => troubles.push(trouble),
                None => roots.trust(der).map_err(|cause| TlsError::at(file, cause))?,
            }
            roots.turns_at(&dates, now);
            roots.dates.push(dates);
        }
        if roots.store.is_empty() {
            let cause = format!("no CA certificate in it is valid now: {}; take a current one", troubles.join(", "));
            return Err(TlsError::at(file, cause));
        }
        Ok(roots)
    }

    fn of_the_system(now: SystemTime) -> Result<Self, TlsError> {
        let mut roots = Self { store: RootCertStore::empty(), dates: Vec::new(), rebuild_at: None };
        for der in rustls_native_certs::load_native_certs().certs {
            let Some(dates) = certificate(&der) else { continue };
            if dates.trouble(now).is_none() && roots.trust(der).is_ok() {
                roots.turns_at(&dates, now);
            }
        }
        if roots.store.is_empty() {
            let cause = "the system has no valid root certificates; name a CA file with `ca_file`";
            return Err(TlsError::Setup(cause.into()));
        }
        Ok(roots)
    }

    fn trust(&mut self, der: CertificateDer<'static>) -> Result<(), String> {
        self.store.add(der).map_err(|error| format!("not a usable CA certificate: {error}"))
    }

    fn turns_at(&mut self, dates: &Dates, now: SystemTime) {
        let turns = [Some(dates.from), dates.until].into_iter().flatten().filter(|turn| *turn > now);
        self.rebuild_at = turns.chain(self.rebuild_at).min();
    }
}

fn identity(
    files: &Files,
    settings: &Tls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<(CertifiedKey, Vec<Dates>)>, TlsError> {
    let (Some(chain), Some(cert_file), Some(key)) = (files.chain(settings)?, &settings.cert_file, &settings.key_file)
    else {
        return Ok(None);
    };
    let dates: Option<Vec<_>> = chain.iter().map(|der| certificate(der)).collect();
    let dates = dates.ok_or_else(|| TlsError::at(cert_file, "not an X.509 certificate"))?;
    let identity = match key {
        PrivateKey::File(path) => {
            CertifiedKey::from_der(chain, files.key(path)?, provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    TlsError::at(path, format!("does not belong to the certificate in {}", cert_file.display()))
                }
                other => TlsError::at(path, format!("not a usable key: {other}")),
            })?
        }
        PrivateKey::Token(uri) => {
            let signing = token::signing_key(uri, files.pin(), &chain, provider);
            CertifiedKey::new(chain, signing.map_err(|cause| TlsError::at(key.place(), cause))?)
        }
    };
    Ok(Some((identity, dates)))
}

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_1_2: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
    match min {
        TlsVersion::V1_2 => &FROM_1_2,
        TlsVersion::V1_3 => &FROM_1_2[..1],
    }
}

fn setup(error: impl ToString) -> TlsError {
    TlsError::Setup(error.to_string())
}
