//! The state of the bridge's sessions, for the endpoint and the log. Changes nothing.

use std::sync::Arc;

use tokio::sync::watch;

use super::about::About;
use crate::dead_letter::{Destination, LinkState};
use crate::foreign::one_line;
use crate::latest::Latest;
use crate::mapping::Holding;
use crate::mqtt::Status;

/// Whether a mapping is to stay as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Stays,
    /// It finishes what it has, to start again with other settings.
    Changes,
    /// It leaves for good, once the broker has nothing more for it. Nobody's readiness depends on it.
    Retires,
}

/// How one session of a mapping stands.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The name of the mapping.
    pub mapping: String,
    /// The session.
    pub session: watch::Receiver<Status>,
    /// What its lanes and failure destinations say.
    pub signs: Signs,
    /// Holds it; the bridge's own publisher cannot be held.
    pub paused: Option<Latest<bool>>,
    /// Whether it is to stay.
    pub standing: Standing,
    /// What the mapping does; the bridge's own publisher is none.
    pub about: Option<Arc<About>>,
}

/// What the lanes and the failure destinations of a mapping report. The default never reports anything.
#[derive(Debug, Clone)]
pub struct Signs {
    /// Why Lambda refuses its invocations, while it does.
    pub fault: watch::Receiver<Option<String>>,
    /// Which failure destinations refuse, while they do.
    pub letters: watch::Receiver<Option<String>>,
    /// Messages that are held because they can neither be invoked nor given up.
    pub holding: watch::Receiver<Option<Holding>>,
    /// The failure destinations themselves, which count what they take; `None` without any.
    pub chain: Option<Destination>,
}

impl Default for Signs {
    fn default() -> Self {
        let holding = watch::channel(None).1;
        Self { fault: watch::channel(None).1, letters: watch::channel(None).1, holding, chain: None }
    }
}

impl Signs {
    /// Why no message is received.
    fn full(&self) -> Option<String> {
        self.holding.borrow().as_ref().filter(|holding| holding.is_full).map(Holding::to_string)
    }
}

impl Watched {
    /// Holds the mapping, or lets it go, and shows that at once, whenever its sessions come to it. Whether anything changes; `None`
    /// for what cannot be held.
    #[must_use]
    pub fn hold(&self, pause: bool) -> Option<bool> {
        let changes = self.paused.as_ref()?.replace(pause) != pause;
        if let Some(about) = &self.about {
            about.metrics.show_paused(pause);
        }
        Some(changes)
    }

    /// Why it is not ready; `None` when it is, or need not be.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self.standing {
            Standing::Stays => self.hindrance(),
            Standing::Changes => Some("draining for its new settings".into()),
            Standing::Retires => None,
        }
    }

    /// How each failure destination stands, in their order.
    pub(super) fn destinations(&self) -> Vec<LinkState> {
        self.signs.chain.as_ref().map(Destination::links).unwrap_or_default()
    }

    /// Grants of the broker that are lower than requested.
    pub(super) fn granted(&self) -> Option<String> {
        match &*self.session.borrow() {
            Status::Ready(note) => note.clone(),
            Status::Connecting | Status::Failing(_) => None,
        }
    }

    /// Messages that are held for good.
    pub(super) fn held(&self) -> Option<String> {
        self.signs.holding.borrow().as_ref().map(Holding::to_string)
    }

    /// Why it cannot work, whether it is to stay or not.
    pub(super) fn hindrance(&self) -> Option<String> {
        if let Some(fault) = &*self.signs.fault.borrow() {
            return Some(fault.clone());
        }
        match &*self.session.borrow() {
            Status::Ready(_) => self.signs.full(),
            Status::Connecting => Some("connecting".into()),
            Status::Failing(why) => Some(why.clone()),
        }
    }
}

/// Why the bridge is not ready, a line a mapping; empty when it is.
#[must_use]
pub fn troubles(all: &[Watched]) -> String {
    let line = |watched: &Watched| {
        watched.trouble().map(|trouble| format!("mapping `{}`: {}\n", watched.mapping, one_line(&trouble)))
    };
    all.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::Foreign;

    fn watched(status: Status, standing: Standing) -> Watched {
        let (session, signs) = (watch::channel(status).1, Signs::default());
        Watched { mapping: "m".into(), session, signs, paused: None, standing, about: None }
    }

    /// Whatever comes from outside has been escaped once, where it came in.
    #[test]
    fn nothing_is_escaped_twice() {
        let reason = Foreign::behind("not authorized", "the issuer's \"list\"\nis old");
        let mapping = watched(Status::Failing(reason.to_string()), Standing::Stays);
        assert_eq!(troubles(&[mapping]), "mapping `m`: not authorized: the issuer's \"list\"\\nis old\n");
    }
}
