//! Finds the token that a URI names among the slots of a module, and the keys that it names in the token (RFC 7512,
//! 2.3).

use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::{Slot, TokenInfo};

use super::super::certificate::KeyKind;
use super::fault::Fault;
use crate::config::TokenUri;

/// The most keys that one URI is tried with: each costs a signature.
const MOST_KEYS: usize = 16;

/// The slot with the one token that fits.
pub(super) fn slot(context: &Pkcs11, uri: &TokenUri) -> Result<Slot, Fault> {
    let mut fitting = None;
    for slot in context.get_slots_with_initialized_token()? {
        if uri.slot_id.is_some_and(|wanted| wanted != slot.id()) || !fits(&context.get_token_info(slot)?, uri) {
            continue;
        }
        if fitting.replace(slot).is_some() {
            return Err(Fault::words("several tokens fit; name one by `token=`, `serial=` or `slot-id=`"));
        }
    }
    fitting.ok_or_else(|| Fault::words("no such token; `pkcs11-tool --module … --list-slots` shows those there are"))
}

fn fits(token: &TokenInfo, uri: &TokenUri) -> bool {
    let fits = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found.trim_end());
    fits(&uri.token, token.label())
        && fits(&uri.manufacturer, token.manufacturer_id())
        && fits(&uri.serial, token.serial_number())
        && fits(&uri.model, token.model())
}

/// The private keys of that kind that fit.
pub(super) fn keys(session: &Session, uri: &TokenUri, kind: KeyKind) -> Result<Vec<ObjectHandle>, Fault> {
    let of_kind = match kind {
        KeyKind::Rsa => KeyType::RSA,
        KeyKind::P256 | KeyKind::P384 => KeyType::EC,
    };
    let mut wanted = vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(of_kind)];
    wanted.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
    wanted.extend(uri.id.clone().map(Attribute::Id));
    let mut keys = session.find_objects(&wanted)?;
    keys.truncate(MOST_KEYS);
    Ok(keys)
}
