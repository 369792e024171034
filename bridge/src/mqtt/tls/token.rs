//! A private key that stays in a token and signs there, by PKCS #11. Only this file and its folder name the library for
//! it. They never read a private key.

mod access;
mod der;
mod fault;
mod lookup;
mod module;
mod scheme;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use tokio::runtime::{Handle, RuntimeFlavor};

use self::access::{Access, Wanted};
use super::certificate::{KeyKind, public_key};
use crate::config::TokenUri;
use crate::secret::Secret;

/// The key that `uri` names and that belongs to the first certificate of `chain`, after a signature for proof.
///
/// # Errors
/// In words: the module does not load, there is no such token or key, the PIN is refused, or no key belongs to the
/// certificate.
pub(super) fn signing_key(
    uri: &TokenUri,
    pin: Option<&Secret>,
    chain: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn SigningKey>, String> {
    let public = chain.first().ok_or("there is no certificate for it").and_then(|own| public_key(own))?;
    let kind = public.kind;
    let wanted = Wanted { public, provider: provider.clone() };
    let (access, schemes) =
        apart(|| Access::open(uri.clone(), pin.cloned(), wanted)).map_err(|fault| fault.to_string())?;
    Ok(Arc::new(TokenKey { access: Arc::new(access), kind, schemes }))
}

/// A key in a token.
#[derive(Debug)]
struct TokenKey {
    access: Arc<Access>,
    kind: KeyKind,
    /// The signature schemes of the token, the best first.
    schemes: Vec<SignatureScheme>,
}

impl SigningKey for TokenKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(TokenSigner { access: self.access.clone(), scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.kind {
            KeyKind::Rsa => SignatureAlgorithm::RSA,
            KeyKind::P256 | KeyKind::P384 => SignatureAlgorithm::ECDSA,
        }
    }
}

#[derive(Debug)]
struct TokenSigner {
    access: Arc<Access>,
    scheme: SignatureScheme,
}

impl Signer for TokenSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signed = apart(|| self.access.sign(self.scheme, message));
        signed.map_err(|fault| rustls::Error::General(format!("the key in the token does not sign: {fault}")))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// Runs an operation whose time depends on the token. rustls cannot wait for a signature without its thread, so the
/// other tasks of this thread go to another one.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
