//! Takes the place of the token if the bridge is built without the feature `pkcs11`. The configuration refuses such a
//! key before this code is reached.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::SigningKey;

use crate::config::TokenUri;
use crate::secret::Secret;

pub(super) fn signing_key(
    _: &TokenUri,
    _: Option<&Secret>,
    _: &[CertificateDer<'static>],
    _: &Arc<CryptoProvider>,
) -> Result<Arc<dyn SigningKey>, String> {
    Err("this bridge is built without PKCS #11; build it with `--features pkcs11`".to_owned())
}
