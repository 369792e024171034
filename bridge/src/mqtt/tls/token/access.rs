//! One key of one token: logs in, finds the key, signs with it, and repeats all of that after the token was missing.
//! Never tries a refused PIN twice.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;

use super::super::certificate::PublicKey;
use super::fault::Fault;
use super::lookup;
use super::module::{Locked, Module, Stamp};
use super::scheme;
use crate::config::TokenUri;
use crate::secret::Secret;

/// The text that is signed to check whether a key belongs to the certificate. It cannot be part of a handshake.
const PROOF: &[u8] = b"mqtt-lambda-bridge asks whether this key belongs to its certificate";

/// The certificate's side of the key that is looked for.
pub(super) struct Wanted {
    pub(super) public: PublicKey,
    pub(super) provider: Arc<CryptoProvider>,
}

impl Wanted {
    fn is_signed(&self, scheme: SignatureScheme, signature: &[u8]) -> bool {
        let known = self.provider.signature_verification_algorithms.mapping.iter();
        let mut algorithms = known.filter(|(of, _)| *of == scheme).flat_map(|(_, algorithms)| algorithms.iter());
        algorithms.any(|algorithm| algorithm.verify_signature(&self.public.bytes, PROOF, signature).is_ok())
    }
}

/// The way to the key.
pub(super) struct Access {
    module: Arc<Module>,
    uri: TokenUri,
    pin: Option<Secret>,
    wanted: Wanted,
    open: Mutex<Option<Open>>,
    /// A token locks itself after a few wrong PINs: this one is not tried again.
    pin_is_refused: AtomicBool,
}

/// A session with the token that has found the key.
struct Open {
    session: Session,
    key: ObjectHandle,
    stamp: Stamp,
    schemes: Vec<SignatureScheme>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.shown())
    }
}

impl Access {
    /// Finds the key, and says what it can sign with.
    pub(super) fn open(
        uri: TokenUri,
        pin: Option<Secret>,
        wanted: Wanted,
    ) -> Result<(Self, Vec<SignatureScheme>), Fault> {
        let module = Module::of(&uri.module)?;
        let access = Self { module, uri, pin, wanted, open: Mutex::new(None), pin_is_refused: AtomicBool::new(false) };
        let open = access.find(&mut access.module.lock())?;
        let schemes = open.schemes.clone();
        *access.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok((access, schemes))
    }

    /// Signs, with a new session if the current one no longer works.
    pub(super) fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut module = self.module.lock();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = open.take() {
            let signed =
                module.is_current(there.stamp).then(|| scheme::sign(&there.session, there.key, scheme, message));
            if let Some(Ok(signature)) = signed {
                *open = Some(there);
                return Ok(signature);
            }
            module.close(there.session, there.stamp);
        }
        let fresh = self.find(&mut module)?;
        let signature = scheme::sign(&fresh.session, fresh.key, scheme, message);
        *open = Some(fresh);
        signature
    }

    /// A token that was plugged in, or served again, after the module has looked is seen by a module that starts again.
    fn find(&self, module: &mut Locked<'_>) -> Result<Open, Fault> {
        match self.look(module) {
            Err(fault) if fault.may_pass() => {
                module.restart()?;
                self.look(module)
            }
            done => done,
        }
    }

    fn look(&self, module: &mut Locked<'_>) -> Result<Open, Fault> {
        let slot = lookup::slot(module.context(), &self.uri)?;
        // One by one: of a list the library writes a line for each that it does not know.
        let has = |mechanism| module.context().get_mechanism_info(slot, mechanism).is_ok();
        let schemes = scheme::of(self.wanted.public.kind, has)?;
        if self.pin.is_some() {
            self.may_try(module, slot)?;
        }
        // Closed here and not when dropped: by then its number may be that of another session.
        let session = module.context().open_ro_session_no_drop(slot)?;
        let found = self.log_in(&session, module).and_then(|()| self.fitting(&session, schemes[0]));
        let stamp = module.stamp();
        match found {
            Ok(key) => Ok(Open { session, key, stamp, schemes }),
            Err(fault) => {
                module.close(session, stamp);
                Err(fault)
            }
        }
    }

    /// The last try is left to a person.
    fn may_try(&self, module: &Locked<'_>, slot: Slot) -> Result<(), Fault> {
        if self.pin_is_refused.load(Ordering::Relaxed) {
            return Err(Fault::pin("the token has refused the PIN, which is not tried again; correct its file"));
        }
        let token = module.context().get_token_info(slot)?;
        if token.user_pin_locked() {
            return Err(Fault::pin("the PIN is locked after wrong ones; unlock it with the token's own tool"));
        }
        if token.user_pin_final_try() {
            return Err(Fault::pin("one wrong PIN more locks the token; log in once with the token's own tool"));
        }
        Ok(())
    }

    /// Logs out first: a PIN that is new is to be tried, and not to be taken for good because an older one was.
    fn log_in(&self, session: &Session, module: &mut Locked<'_>) -> Result<(), Fault> {
        let Some(pin) = &self.pin else { return Ok(()) };
        // There was no login; that is no failure.
        let _ = session.logout();
        module.logged_in();
        let pin = RawAuthPin::new(Box::new(pin.bytes().to_vec()));
        let login = session.login_with_raw(UserType::User, &pin).map_err(Fault::from);
        if login.as_ref().is_err_and(Fault::is_of_pin) {
            self.pin_is_refused.store(true, Ordering::Relaxed);
        }
        login
    }

    /// The first of the keys in question that belongs to the certificate, so that an old and a new one can stand side
    /// by side.
    fn fitting(&self, session: &Session, scheme: SignatureScheme) -> Result<ObjectHandle, Fault> {
        let keys = lookup::keys(session, &self.uri, self.wanted.public.kind)?;
        let mut trouble = None;
        for key in &keys {
            match scheme::sign(session, *key, scheme, PROOF) {
                Ok(signature) if self.wanted.is_signed(scheme, &signature) => return Ok(*key),
                Ok(_) => {}
                Err(fault) => trouble = Some(fault),
            }
        }
        Err(trouble.unwrap_or_else(|| match (keys.is_empty(), self.pin.is_some()) {
            (false, _) => Fault::words("the key does not belong to the certificate in `cert_file`"),
            (true, true) => Fault::words("the token has no such private key of the certificate's kind"),
            (true, false) => Fault::words(
                "the token shows no such private key of the certificate's kind; most show them after a login: add \
                 `pin-source=file:` and the path of the PIN",
            ),
        }))
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(open) = open {
            self.module.lock().close(open.session, open.stamp);
        }
    }
}
