//! One mapping at work: its sessions, its lanes and a shutdown of its own, so that it can be started, drained and ended
//! while the others go on. Decides nothing about when.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::prepare::session_settings;
use crate::admin::Watched;
use crate::config;
use crate::dead_letter::Destination;
use crate::lambda::Client;
use crate::mapping::filter::Filters;
use crate::mapping::{self, Parts};
use crate::metrics::MappingMetrics;
use crate::mqtt::{Connector, Session, Settings};
use crate::outgoing::PublishHandle;
use crate::shutdown::{self, Announcer, Phase};

/// What a mapping is given beside its settings.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) filters: Filters,
    pub(super) client: Client,
    pub(super) destination: Option<Destination>,
    pub(super) publisher: Option<PublishHandle>,
    pub(super) metrics: MappingMetrics,
}

/// A mapping that runs. Dropping it ends it between two instructions.
pub(super) struct Running {
    announcer: Announcer,
    sessions: JoinSet<()>,
    lanes: JoinSet<()>,
    watched: Vec<Watched>,
}

impl Running {
    /// Starts sessions and lanes. Returns before anything is connected.
    pub(super) fn start(settings: &config::Mapping, given: Given, mqtt: &config::Mqtt, connector: &Connector) -> Self {
        let (announcer, shutdown) = shutdown::channel();
        let Given { filters, client, destination, publisher, metrics } = given;
        let (fault, heard_fault) = watch::channel(None);
        let all_sessions: Vec<_> =
            (0..settings.sessions).map(|index| session_settings(mqtt, settings, index)).collect();
        let paused = watch::Sender::new(false);
        // Room for all that all sessions may admit: none of them ever waits for a lane.
        let (deliveries, queue) = mpsc::channel(all_sessions.iter().map(Settings::max_outstanding).sum());
        let (mut sessions, mut lanes, mut watched) = (JoinSet::new(), JoinSet::new(), Vec::new());
        for session_settings in all_sessions {
            let (session, status) = Session::new(
                session_settings,
                connector.clone(),
                deliveries.clone(),
                paused.subscribe(),
                metrics.clone(),
                shutdown.clone(),
            );
            let mapping = settings.name.clone();
            let (fault, paused) = (heard_fault.clone(), Some(paused.clone()));
            watched.push(Watched { mapping, session: status, fault, paused });
            sessions.spawn(async move {
                let _ = session.run().await;
            });
        }
        let parts = Parts { settings: settings.clone(), filters, client, destination, publisher, metrics, fault };
        mapping::start(parts, queue, &shutdown, &mut lanes);
        Self { announcer, sessions, lanes, watched }
    }

    /// How it stands, session by session.
    pub(super) fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// Admits nothing more; finishes what was admitted.
    pub(super) fn drain(&self) {
        self.announcer.announce(Phase::Draining);
    }

    /// Leaves what is not finished un-acknowledged, and says goodbye.
    pub(super) fn stop(&mut self) {
        self.announcer.announce(Phase::Stopping);
        self.lanes.abort_all();
    }

    /// Returns once all sessions have ended.
    pub(super) async fn ended(&mut self) {
        while self.sessions.join_next().await.is_some() {}
    }

    /// Ready when a session or a lane has ended, which none does before a drain; with whether it panicked.
    pub(super) fn poll_broken(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        for tasks in [&mut self.sessions, &mut self.lanes] {
            if let Poll::Ready(Some(ended)) = tasks.poll_join_next(context) {
                return Poll::Ready(ended.is_err_and(|error| error.is_panic()));
            }
        }
        Poll::Pending
    }
}

/// Returns when a part of one of these mappings has ended, with whether it panicked. Cancel safe.
pub(super) async fn broken(mappings: &mut [Running]) -> bool {
    let any = |context: &mut Context<'_>| {
        let polls = mappings.iter_mut().map(|mapping| mapping.poll_broken(context));
        polls.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
    };
    poll_fn(any).await
}
