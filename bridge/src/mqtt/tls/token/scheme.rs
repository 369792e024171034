//! Which mechanism of PKCS #11 makes which signature of TLS, and makes it. Chooses no key.

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use rustls::SignatureScheme;

use super::super::certificate::KeyKind;
use super::der;
use super::fault::Fault;
use crate::crypto;

/// The signatures that a key of this kind can make where `has` says which mechanisms there are, the best first; never
/// none.
pub(super) fn of(kind: KeyKind, has: impl Fn(MechanismType) -> bool) -> Result<Vec<SignatureScheme>, Fault> {
    use SignatureScheme as S;
    let schemes: &[_] = match kind {
        KeyKind::P256 => &[S::ECDSA_NISTP256_SHA256],
        KeyKind::P384 => &[S::ECDSA_NISTP384_SHA384],
        KeyKind::Rsa => &[
            S::RSA_PSS_SHA256,
            S::RSA_PSS_SHA384,
            S::RSA_PSS_SHA512,
            S::RSA_PKCS1_SHA256,
            S::RSA_PKCS1_SHA384,
            S::RSA_PKCS1_SHA512,
        ],
    };
    let can = |scheme: &S| mechanism(*scheme).is_some_and(|of| has(of.mechanism_type()));
    let found: Vec<_> = schemes.iter().copied().filter(can).collect();
    if found.is_empty() {
        return Err(Fault::words(
            "the token makes no signature that TLS takes from such a key: neither CKM_ECDSA nor CKM_SHA256_RSA_PKCS_PSS nor \
             CKM_SHA256_RSA_PKCS",
        ));
    }
    Ok(found)
}

/// Signs, in the form that TLS wants.
pub(super) fn sign(
    session: &Session,
    key: ObjectHandle,
    scheme: SignatureScheme,
    message: &[u8],
) -> Result<Vec<u8>, Fault> {
    let mechanism = mechanism(scheme).ok_or_else(|| Fault::words("not a signature that was offered"))?;
    let sign = |text: &[u8]| session.sign(&mechanism, key, text).map_err(Fault::from);
    match scheme {
        // Few tokens hash for ECDSA.
        SignatureScheme::ECDSA_NISTP256_SHA256 => ecdsa(&sign(crypto::sha256(message).as_ref())?),
        SignatureScheme::ECDSA_NISTP384_SHA384 => ecdsa(&sign(crypto::sha384(message).as_ref())?),
        _ => sign(message),
    }
}

fn ecdsa(signature: &[u8]) -> Result<Vec<u8>, Fault> {
    der::ecdsa_signature(signature).ok_or_else(|| Fault::words("the token's signature is none of ECDSA"))
}

fn mechanism(scheme: SignatureScheme) -> Option<Mechanism<'static>> {
    use SignatureScheme as S;
    Some(match scheme {
        S::ECDSA_NISTP256_SHA256 | S::ECDSA_NISTP384_SHA384 => Mechanism::Ecdsa,
        S::RSA_PSS_SHA256 => Mechanism::Sha256RsaPkcsPss(pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32)),
        S::RSA_PSS_SHA384 => Mechanism::Sha384RsaPkcsPss(pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48)),
        S::RSA_PSS_SHA512 => Mechanism::Sha512RsaPkcsPss(pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64)),
        S::RSA_PKCS1_SHA256 => Mechanism::Sha256RsaPkcs,
        S::RSA_PKCS1_SHA384 => Mechanism::Sha384RsaPkcs,
        S::RSA_PKCS1_SHA512 => Mechanism::Sha512RsaPkcs,
        _ => return None,
    })
}

/// The salt is as long as the hash (RFC 8446, 4.2.3).
fn pss(hash_alg: MechanismType, mgf: PkcsMgfType, salt: u8) -> PkcsPssParams {
    PkcsPssParams { hash_alg, mgf, s_len: u64::from(salt).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_offers_what_its_mechanisms_can() {
        use SignatureScheme as S;
        let of = |kind, there: &[MechanismType]| of(kind, |one| there.contains(&one)).unwrap_or_default();
        let pkcs1 = [MechanismType::SHA256_RSA_PKCS, MechanismType::ECDSA];
        assert_eq!(of(KeyKind::Rsa, &pkcs1), [S::RSA_PKCS1_SHA256]);
        assert_eq!(of(KeyKind::P256, &pkcs1), [S::ECDSA_NISTP256_SHA256]);
        assert_eq!(of(KeyKind::P384, &pkcs1), [S::ECDSA_NISTP384_SHA384]);
        let pss = [MechanismType::SHA256_RSA_PKCS, MechanismType::SHA384_RSA_PKCS_PSS];
        assert_eq!(of(KeyKind::Rsa, &pss), [S::RSA_PSS_SHA384, S::RSA_PKCS1_SHA256]);
        assert_eq!(of(KeyKind::P256, &pss), []);
    }
}
