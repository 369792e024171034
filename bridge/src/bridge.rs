//! The bridge as a whole: puts sessions, lanes and the admin endpoint together, starts them, and drains them in order.

mod error;
mod prepare;

pub use error::{ServeError, StartError};

use std::net::SocketAddr;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::admin::{Admin, State, Watched};
use crate::aws::Aws;
use crate::config::{self, Config};
use crate::dead_letter::{Destination, Destinations};
use crate::lambda::Client;
use crate::mapping::filter::Filters;
use crate::mapping::{self, Parts};
use crate::metrics::Metrics;
use crate::mqtt::{Connector, Publisher, Session, Settings, client_config};
use crate::outgoing::PublishHandle;
use crate::shutdown::{self, Announcer, Listener, Phase};
use prepare::{bind_admin, destinations, filters, needs_publisher, publisher_settings, session_settings, warn_about};

/// How long sessions may take to say goodbye once the drain is over.
const GOODBYE: Duration = Duration::from_secs(3);

/// What a mapping is given beside its settings.
struct Given {
    filters: Filters,
    client: Client,
    destination: Option<Destination>,
    publisher: Option<PublishHandle>,
}

/// A bridge at work.
pub struct Bridge {
    announcer: Announcer,
    sessions: JoinSet<()>,
    lanes: JoinSet<()>,
    /// The connection that publishes answers and dead letters, where a mapping needs one. Outlives the lanes.
    publisher: JoinSet<()>,
    /// The admin endpoint; held so that it ends with the bridge.
    admin: JoinSet<()>,
    admin_address: Option<SocketAddr>,
    watched: Vec<Watched>,
    metrics: Metrics,
}

impl Bridge {
    /// Opens what can be opened without the broker, then starts every mapping. Returns before anything is connected.
    ///
    /// # Errors
    /// When something of the configuration cannot be used.
    pub async fn start(config: Config, aws: &Aws) -> Result<Self, StartError> {
        let (announcer, listener) = shutdown::channel();
        let tls = client_config(&config.mqtt.tls)?;
        let connector = Connector::new(config.mqtt.url.clone(), tls).map_err(StartError::Broker)?;
        let filters = filters(&config.mappings)?;
        let metrics = Metrics::new();
        let publisher = needs_publisher(&config.mappings)
            .then(|| Publisher::new(publisher_settings(&config.mqtt), connector.clone(), listener.clone()));
        let (publisher, handle) = match publisher {
            Some((publisher, handle, status)) => (Some((publisher, status)), Some(handle)),
            None => (None, None),
        };
        let opener = Destinations::new(aws, handle.clone().map(|handle| (handle, config.mqtt.protocol)));
        let destinations = destinations(&config.mappings, opener, &metrics)?;
        let admin = bind_admin(config.admin.listen).await?;
        let mut bridge = Self {
            announcer,
            sessions: JoinSet::new(),
            lanes: JoinSet::new(),
            publisher: JoinSet::new(),
            admin: JoinSet::new(),
            admin_address: admin.as_ref().map(Admin::address),
            watched: Vec::new(),
            metrics,
        };
        for ((mapping, destination), filters) in config.mappings.iter().zip(destinations).zip(filters) {
            warn_about(mapping);
            let client = aws.client(&mapping.function, mapping.timeout);
            let given = Given { filters, client, destination, publisher: handle.clone() };
            bridge.start_mapping(&config.mqtt, mapping, given, &connector, &listener);
        }
        if let Some((publisher, status)) = publisher {
            let (mapping, fault) = ("(publisher)".to_owned(), watch::channel(None).1);
            bridge.watched.push(Watched { mapping, session: status, fault, paused: None });
            bridge.publisher.spawn(publisher.run());
        }
        if let Some(admin) = admin {
            let state = State { mappings: bridge.watched.clone(), metrics: bridge.metrics.clone(), shutdown: listener };
            bridge.admin.spawn(admin.serve(state));
        }
        Ok(bridge)
    }

    fn start_mapping(
        &mut self,
        mqtt: &config::Mqtt,
        settings: &config::Mapping,
        given: Given,
        connector: &Connector,
        shutdown: &Listener,
    ) {
        let metrics = self.metrics.mapping(&settings.name);
        let (fault, heard_fault) = watch::channel(None);
        let all_sessions: Vec<_> =
            (0..settings.sessions).map(|index| session_settings(mqtt, settings, index)).collect();
        let paused = watch::Sender::new(false);
        // Room for all that all sessions may admit: none of them ever waits for a lane.
        let (deliveries, queue) = mpsc::channel(all_sessions.iter().map(Settings::max_outstanding).sum());
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
            self.watched.push(Watched { mapping, session: status, fault, paused });
            self.sessions.spawn(session.run());
        }
        let Given { filters, client, destination, publisher } = given;
        let parts = Parts { settings: settings.clone(), filters, client, destination, publisher, metrics, fault };
        mapping::start(parts, queue, shutdown, &mut self.lanes);
    }

    /// Where the admin endpoint listens.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// All numbers.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns once every mapping is subscribed.
    pub async fn ready(&self) {
        for watched in &self.watched {
            let mut session = watched.session.clone();
            // The error says that the session has ended, and with it the bridge.
            let _ = session.wait_for(|status| *status == crate::mqtt::Status::Ready).await;
        }
    }

    /// Why it is not ready, a line a mapping.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.watched.iter().filter_map(Watched::trouble).collect()
    }

    /// Returns when a session or a lane ends, which none does before a drain.
    async fn broken(&mut self) {
        let ended = tokio::select! {
            Some(ended) = self.sessions.join_next() => ended,
            Some(ended) = self.lanes.join_next() => ended,
            else => return,
        };
        error!(panicked = ended.is_err_and(|error| error.is_panic()), "a task ended unexpectedly");
    }

    /// Admits nothing more, finishes what was admitted, acknowledges it and disconnects. At the end of `patience` the
    /// rest stays un-acknowledged. True when nothing was left.
    pub async fn drain(mut self, patience: Duration) -> bool {
        self.announcer.announce(Phase::Draining);
        let deadline = Instant::now() + patience;
        let drained = timeout_at(deadline, async { while self.sessions.join_next().await.is_some() {} }).await.is_ok();
        self.announcer.announce(Phase::Stopping);
        self.lanes.abort_all();
        let goodbye = async {
            while self.sessions.join_next().await.is_some() {}
            while self.publisher.join_next().await.is_some() {}
        };
        // Who cannot say goodbye now is closed all the same.
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        drained
    }
}

/// Runs a bridge until SIGTERM or SIGINT, then drains it.
///
/// # Errors
/// When it cannot start, or breaks.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let drain_timeout = config.drain_timeout;
    let aws = Aws::from_environment().await.map_err(StartError::from)?;
    let mut bridge = Bridge::start(config, &aws).await?;
    info!(version = env!("CARGO_PKG_VERSION"), admin = bridge.admin_address().map(tracing::field::display), "started");
    if let Err(cause) = aws.credentials().await {
        warn!(%cause, "aws credentials: none found yet; messages are held until there are some");
    }
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        () = bridge.broken() => return Err(ServeError::Task),
    };
    info!(signal = name, at_most = ?drain_timeout, "draining");
    let begun = Instant::now();
    if bridge.drain(drain_timeout).await {
        info!(took = ?begun.elapsed(), "drained: everything admitted is acknowledged");
    } else {
        warn!(took = ?begun.elapsed(), "drain ran out of time: the rest stays un-acknowledged for the next start");
    }
    Ok(())
}
