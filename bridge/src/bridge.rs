//! The bridge as a whole: puts sessions, lanes and the admin endpoint together, starts them, and drains them in order.

mod error;
mod prepare;
mod running;

pub use error::{ServeError, StartError};

use std::net::SocketAddr;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::admin::{Admin, State, Watched};
use crate::aws::Aws;
use crate::config::Config;
use crate::dead_letter::Destinations;
use crate::metrics::Metrics;
use crate::mqtt::{Connector, Publisher, client_config};
use crate::shutdown::{self, Announcer, Phase};
use prepare::{bind_admin, destinations, filters, needs_publisher, publisher_settings, warn_about};
use running::{Given, Running};

/// How long sessions may take to say goodbye once the drain is over.
const GOODBYE: Duration = Duration::from_secs(3);

/// A bridge at work.
pub struct Bridge {
    /// Tells the phase of the bridge as a whole; each mapping has one of its own.
    announcer: Announcer,
    mappings: Vec<Running>,
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
            mappings: Vec::new(),
            publisher: JoinSet::new(),
            admin: JoinSet::new(),
            admin_address: admin.as_ref().map(Admin::address),
            watched: Vec::new(),
            metrics,
        };
        for ((mapping, destination), filters) in config.mappings.iter().zip(destinations).zip(filters) {
            warn_about(mapping);
            let client = aws.client(&mapping.function, mapping.timeout);
            let metrics = bridge.metrics.mapping(&mapping.name);
            let given = Given { filters, client, destination, publisher: handle.clone(), metrics };
            let running = Running::start(mapping, given, &config.mqtt, &connector);
            bridge.watched.extend_from_slice(running.watched());
            bridge.mappings.push(running);
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
        let panicked = running::broken(&mut self.mappings).await;
        error!(panicked, "a task ended unexpectedly");
    }

    /// Admits nothing more, finishes what was admitted, acknowledges it and disconnects. At the end of `patience` the
    /// rest stays un-acknowledged. True when nothing was left.
    pub async fn drain(mut self, patience: Duration) -> bool {
        self.announcer.announce(Phase::Draining);
        self.mappings.iter().for_each(Running::drain);
        let deadline = Instant::now() + patience;
        let drained = timeout_at(deadline, self.ended()).await.is_ok();
        self.announcer.announce(Phase::Stopping);
        self.mappings.iter_mut().for_each(Running::stop);
        let goodbye = async {
            self.ended().await;
            while self.publisher.join_next().await.is_some() {}
        };
        // Who cannot say goodbye now is closed all the same.
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        drained
    }

    async fn ended(&mut self) {
        for mapping in &mut self.mappings {
            mapping.ended().await;
        }
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
