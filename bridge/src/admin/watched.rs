//! How the sessions of the bridge stand, for whoever has to say so: the endpoint, and the log. Changes nothing.

use tokio::sync::watch;

use crate::foreign::one_line;
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
    /// Why Lambda refuses its invocations, while it does.
    pub fault: watch::Receiver<Option<String>>,
    /// Holds it; the bridge's own publisher cannot be held.
    pub paused: Option<watch::Sender<bool>>,
    /// Whether it is to stay.
    pub standing: Standing,
}

impl Watched {
    /// Why it is not ready; `None` when it is, or need not be.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self.standing {
            Standing::Stays => self.hindrance(),
            Standing::Changes => Some("draining for its new settings".into()),
            Standing::Retires => None,
        }
    }

    /// What must be known of it although it is ready.
    pub(super) fn note(&self) -> Option<String> {
        match &*self.session.borrow() {
            Status::Ready(Some(note)) if self.standing == Standing::Stays => {
                Some(format!("note: mapping `{}`: {}\n", self.mapping, one_line(note)))
            }
            _ => None,
        }
    }

    pub(super) fn hindrance(&self) -> Option<String> {
        if let Some(fault) = &*self.fault.borrow() {
            return Some(fault.clone());
        }
        match &*self.session.borrow() {
            Status::Ready(_) => None,
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
        let (session, fault) = (watch::channel(status).1, watch::channel(None).1);
        Watched { mapping: "m".into(), session, fault, paused: None, standing }
    }

    #[test]
    fn f30_what_an_operator_must_know_of_a_mapping_that_is_ready_is_a_note() {
        let note = |status, standing| watched(status, standing).note();
        let ready = || Status::Ready(Some("the broker keeps no\nsession".into()));
        let expected = "note: mapping `m`: the broker keeps no\\nsession\n";
        assert_eq!(note(ready(), Standing::Stays).as_deref(), Some(expected));
        assert_eq!(note(ready(), Standing::Retires), None);
        assert_eq!(note(Status::Ready(None), Standing::Stays), None);
        assert_eq!(watched(ready(), Standing::Stays).trouble(), None, "it is ready all the same");
    }

    /// Whatever comes from outside has been escaped once, where it came in.
    #[test]
    fn nothing_is_escaped_twice() {
        let reason = Foreign::behind("not authorized", "the issuer's \"list\"\nis old");
        let mapping = watched(Status::Failing(reason.to_string()), Standing::Stays);
        assert_eq!(troubles(&[mapping]), "mapping `m`: not authorized: the issuer's \"list\"\\nis old\n");
    }
}
