//! The PKCS #11 modules of this process. Each is loaded and initialized once and used by one thread at a time, for all
//! keys in it. Knows nothing of keys.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::Session;

use super::fault::Fault;

/// A module that is loaded stays loaded: what it has set up in the process cannot be undone.
static MODULES: Mutex<Vec<(PathBuf, Arc<Module>)>> = Mutex::new(Vec::new());

/// A shared library that speaks to tokens.
pub(super) struct Module(Mutex<State>);

struct State {
    context: Pkcs11,
    stamp: Stamp,
}

/// When something was found in a module: numbers of sessions and objects mean something else after a start, and those
/// of objects also after a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    starts: u64,
    logins: u64,
}

/// A module that nobody else uses meanwhile.
pub(super) struct Locked<'a>(MutexGuard<'a, State>);

impl Module {
    /// Loads it, unless it is already loaded.
    pub(super) fn of(path: &Path) -> Result<Arc<Self>, Fault> {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, module)) = modules.iter().find(|(of, _)| of == path) {
            return Ok(module.clone());
        }
        let context = Pkcs11::new(path)?;
        initialize(&context)?;
        let module = Arc::new(Self(Mutex::new(State { context, stamp: Stamp { starts: 0, logins: 0 } })));
        modules.push((path.to_owned(), module.clone()));
        Ok(module)
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        Locked(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Locked<'_> {
    pub(super) fn context(&self) -> &Pkcs11 {
        &self.0.context
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.0.stamp
    }

    /// Whether what was found then is still what it was.
    pub(super) fn is_current(&self, stamp: Stamp) -> bool {
        self.0.stamp == stamp
    }

    /// Somebody logs in, or tries to.
    pub(super) fn logged_in(&mut self) {
        self.0.stamp.logins += 1;
    }

    /// Begins again, without any session.
    pub(super) fn restart(&mut self) -> Result<(), Fault> {
        self.0.stamp.starts += 1;
        // Fails for a module that was not initialized; only the next step counts.
        let _ = self.0.context.clone().finalize();
        initialize(&self.0.context)
    }

    /// Ends a session, unless a start has done so before.
    pub(super) fn close(&self, session: Session, stamp: Stamp) {
        if stamp.starts == self.0.stamp.starts {
            // Fails if the token has been removed.
            let _ = session.close();
        }
    }
}

fn initialize(context: &Pkcs11) -> Result<(), Fault> {
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
