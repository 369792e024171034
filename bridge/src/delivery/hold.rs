//! The hold on an ordering key: who is behind waits until all deliveries that share it have their outcome.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The hold that deliveries of one ordering key, taken together, have on that key. When the last of them has its
/// outcome, the key is free for those behind.
#[derive(Debug)]
pub struct Hold {
    key: u64,
    abandoned: AtomicBool,
    keys: Arc<dyn Keys>,
}

/// Where keys are released. This is a call and not a message, because a message that found no room would leave its key
/// held for ever.
pub trait Keys: fmt::Debug + Send + Sync {
    /// The key is free again. Must not be called while the lock that this takes is held.
    fn free(&self, freed: Freed);
}

/// A key that is free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freed {
    /// Which.
    pub key: u64,
    /// Whether a delivery was abandoned, so that those behind it must not overtake it.
    pub abandoned: bool,
}

impl Hold {
    /// A hold on `key`. `keys` is notified when it ends.
    #[must_use]
    pub fn new(key: u64, keys: Arc<dyn Keys>) -> Self {
        Self { key, abandoned: AtomicBool::new(false), keys }
    }

    /// The key held.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// A delivery of this key is abandoned.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Whether a delivery of this key was abandoned, so that the others must not go on.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.keys.free(Freed { key: self.key, abandoned: self.is_abandoned() });
    }
}
