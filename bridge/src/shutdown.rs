//! The phases in the life of the bridge or of a mapping, announced to every task. Does not decide when they change.

use std::sync::Arc;

use crate::latest::{Heard, Latest};

/// The phase of the bridge, or of one of its mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Messages flow.
    Running,
    /// It leaves for good: it is subscribed no more, and what the broker still has for it is received and finished.
    Retiring,
    /// Nothing new is admitted; what was admitted is finished and acknowledged.
    Draining,
    /// Time is up: what is not finished stays un-acknowledged.
    Stopping,
}

/// Tells the phase to all who hold a [`Listener`].
#[derive(Debug, Clone)]
pub struct Announcer(Arc<Voice>);

/// Hears of the phase.
#[derive(Debug, Clone)]
pub struct Listener(Heard<Phase>);

/// What all clones of an [`Announcer`] share: when the last of them goes, nobody can announce anything any more.
#[derive(Debug)]
struct Voice(Latest<Phase>);

/// A life that begins.
#[must_use]
pub fn channel() -> (Announcer, Listener) {
    let phase = Latest::new(Phase::Running);
    let listener = Listener(phase.listen());
    (Announcer(Arc::new(Voice(phase))), listener)
}

impl Voice {
    fn announce(&self, phase: Phase) {
        self.0.update(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.announce(Phase::Stopping);
    }
}

impl Announcer {
    /// Goes on to `phase`; never back.
    pub fn announce(&self, phase: Phase) {
        self.0.announce(phase);
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.0.get()
    }
}

impl Listener {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.get()
    }

    /// Waits until `phase` is reached or passed. A bridge that is gone counts as stopping. Cancel safe.
    pub async fn reached(&mut self, phase: Phase) {
        self.0.wait_for(|now| *now >= phase).await;
    }

    /// Waits for the next change of phase. Cancel safe.
    pub async fn changed(&mut self) {
        self.0.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_go_one_way() {
        let (announcer, mut listener) = channel();
        announcer.announce(Phase::Stopping);
        announcer.announce(Phase::Draining);
        listener.reached(Phase::Draining).await;
        assert_eq!(listener.phase(), Phase::Stopping);
    }

    #[tokio::test]
    async fn a_bridge_that_is_gone_is_stopping() {
        let (announcer, mut listener) = channel();
        let clone = announcer.clone();
        drop(announcer);
        assert_eq!(listener.phase(), Phase::Running);
        drop(clone);
        listener.reached(Phase::Stopping).await;
    }
}
