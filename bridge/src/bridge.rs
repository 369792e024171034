//! The bridge as a whole: puts sessions, lanes and the admin endpoint together, starts them, and drains them in order.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::admin::{Admin, State, Watched};
use crate::aws::{Aws, AwsError};
use crate::config::{self, Config, OnFailure, Qos};
use crate::dead_letter::{Destination, DestinationError, Destinations};
use crate::lambda::Client;
use crate::mapping::filter::{FilterError, Filters};
use crate::mapping::{self, Parts};
use crate::metrics::Metrics;
use crate::mqtt::{Connector, Publisher, PublisherSettings, Session, Settings, TlsError, client_config};
use crate::outgoing::PublishHandle;
use crate::shutdown::{self, Announcer, Listener, Phase};

/// How long sessions may take to say goodbye once the drain is over.
const GOODBYE: Duration = Duration::from_secs(3);

/// Why a bridge cannot start. Nothing was connected.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// TLS material that cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A failure destination that cannot be opened.
    #[error("mapping `{mapping}`: {cause}")]
    Destination {
        /// Whose.
        mapping: String,
        /// Why.
        cause: DestinationError,
    },
    /// A pattern that is none.
    #[error("mapping `{mapping}`: {cause}")]
    Filter {
        /// Whose.
        mapping: String,
        /// Why.
        cause: FilterError,
    },
    /// A broker that cannot be named.
    #[error("{0}")]
    Broker(String),
    /// No AWS to invoke functions at.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// An admin address that cannot be had.
    #[error("admin.listen: {address}: {source}")]
    Admin {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Why [`serve`] ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It never began.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The operating system would not tell us of signals.
    #[error("signals: {0}")]
    Signals(io::Error),
    /// A part of the bridge ended by itself, which is a fault of the bridge.
    #[error("bridge: a task ended unexpectedly; see the log")]
    Task,
}

impl ServeError {
    /// 2 when somebody has to change the configuration, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Start(StartError::Admin { .. }) | Self::Signals(_) | Self::Task => 1,
            Self::Start(_) => 2,
        }
    }
}

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

fn filters(mappings: &[config::Mapping]) -> Result<Vec<Filters>, StartError> {
    let compile = |mapping: &config::Mapping| {
        Filters::parse(&mapping.filter).map_err(|cause| StartError::Filter { mapping: mapping.name.clone(), cause })
    };
    mappings.iter().map(compile).collect()
}

/// One chain for each mapping.
fn destinations(
    mappings: &[config::Mapping],
    mut destinations: Destinations<'_>,
    metrics: &Metrics,
) -> Result<Vec<Option<Destination>>, StartError> {
    let chain = |mapping: &config::Mapping| {
        destinations
            .chain(&mapping.name, &mapping.on_failure, &metrics.mapping(&mapping.name))
            .map_err(|cause| StartError::Destination { mapping: mapping.name.clone(), cause })
    };
    mappings.iter().map(chain).collect()
}

async fn bind_admin(listen: Option<SocketAddr>) -> Result<Option<Admin>, StartError> {
    match listen {
        None => Ok(None),
        Some(address) => match Admin::bind(address).await {
            Ok(admin) => Ok(Some(admin)),
            Err(source) => Err(StartError::Admin { address, source }),
        },
    }
}

/// Whether anything is published: answers, or dead letters to a topic.
fn needs_publisher(mappings: &[config::Mapping]) -> bool {
    mappings.iter().any(|mapping| {
        let to_topic = mapping.on_failure.iter().any(|on_failure| matches!(on_failure, OnFailure::Topic(_)));
        to_topic || !mapping.response.allow.is_empty()
    })
}

fn publisher_settings(mqtt: &config::Mqtt) -> PublisherSettings {
    PublisherSettings {
        // A mapping's name has no dot in it, so no session can have this client id.
        client_id: format!("{}.publisher", mqtt.client_id),
        protocol: mqtt.protocol,
        keep_alive: mqtt.keep_alive,
        connect_timeout: mqtt.connect_timeout,
        backoff: mqtt.backoff,
    }
}

fn session_settings(mqtt: &config::Mqtt, mapping: &config::Mapping, index: usize) -> Settings {
    Settings {
        mapping: mapping.name.clone(),
        client_id: mqtt.client_id_for(&mapping.name, index),
        protocol: mqtt.protocol,
        topic_filter: mapping.topic_filter.to_string(),
        qos: mapping.qos,
        receive_maximum: mapping.receive_maximum,
        max_outstanding_bytes: mapping.max_outstanding_bytes,
        session_expiry: mqtt.session_expiry,
        keep_alive: mqtt.keep_alive,
        connect_timeout: mqtt.connect_timeout,
        backoff: mqtt.backoff,
    }
}

fn warn_about(mapping: &config::Mapping) {
    let name = &mapping.name;
    if mapping.qos == Qos::AtMostOnce {
        warn!(mapping = name, "qos 0: messages are lost whenever a connection breaks; use qos 1 to keep them");
    }
    if mapping.on_failure.is_empty() {
        warn!(mapping = name, "no on_failure: a message that always fails is tried for ever and holds its place");
    }
}
