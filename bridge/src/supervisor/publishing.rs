//! The bridge's one publisher, which connects when the first mapping has something to publish and not before.

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::settings::{needs_publisher, publisher_link};
use crate::admin::{Signs, Standing, Watched};
use crate::config;
use crate::mqtt::{Connector, Publisher, Status};
use crate::outgoing::PublishHandle;
use crate::shutdown::{self, Announcer, Phase};

/// A publisher, at work or not yet.
pub(super) struct Publishing {
    announcer: Announcer,
    /// Until the first mapping needs it. In a box, since every `Bridge` has one.
    idle: Option<Box<Publisher>>,
    handle: PublishHandle,
    status: watch::Receiver<Status>,
    task: JoinSet<()>,
}

impl Publishing {
    pub(super) fn new(mqtt: &config::Mqtt, connector: &Connector) -> Self {
        let (announcer, shutdown) = shutdown::channel();
        let (publisher, handle, status) = Publisher::new(publisher_link(mqtt), connector.clone(), shutdown);
        Self { announcer, idle: Some(Box::new(publisher)), handle, status, task: JoinSet::new() }
    }

    /// The way to it. What is sent there before it is at work waits.
    pub(super) fn handle(&self) -> &PublishHandle {
        &self.handle
    }

    /// Connects, if one of these mappings publishes and it has not done so yet. From then on it stays.
    pub(super) fn start_if_needed(&mut self, mappings: &[config::Mapping]) {
        if mappings.iter().any(needs_publisher)
            && let Some(publisher) = self.idle.take()
        {
            self.task.spawn(publisher.run());
        }
    }

    /// How it stands; `None` while nobody needs it.
    pub(super) fn watched(&self) -> Option<Watched> {
        let (mapping, session, signs) = ("(publisher)".to_owned(), self.status.clone(), Signs::default());
        let watched = Watched { mapping, session, signs, paused: None, standing: Standing::Stays, about: None };
        self.idle.is_none().then_some(watched)
    }

    /// Says goodbye.
    pub(super) fn stop(&self) {
        self.announcer.announce(Phase::Stopping);
    }

    /// Returns once it has.
    pub(super) async fn ended(&mut self) {
        while self.task.join_next().await.is_some() {}
    }
}
