//! The phases of a life, of the bridge's or of a mapping's, told to every task by one watch. Decides nothing about when they change.

use tokio::sync::watch;

/// Where the bridge, or one mapping of it, is in its life.
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
pub struct Announcer(watch::Sender<Phase>);

/// Hears of the phase.
#[derive(Debug, Clone)]
pub struct Listener(watch::Receiver<Phase>);

/// A life that begins.
#[must_use]
pub fn channel() -> (Announcer, Listener) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (Announcer(sender), Listener(receiver))
}

impl Announcer {
    /// Goes on to `phase`; never back.
    pub fn announce(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }
}

impl Listener {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until `phase` is reached or passed. A bridge that is gone counts as stopping.
    pub async fn reached(&mut self, phase: Phase) {
        // The error says that the announcer is gone: then there is nothing left to wait for.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }

    /// Waits for the next change of phase. Cancel safe.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
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
}
