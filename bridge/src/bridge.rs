//! The bridge as a whole: puts sessions, lanes and the admin endpoint together, starts them, and drains them in order.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::admin::{Admin, State, Watched};
use crate::config::{self, Config, OnFailure, Qos};
use crate::dead_letter::{Destination, DestinationError};
use crate::lambda::{Aws, AwsError};
use crate::mapping::Mapping;
use crate::metrics::Metrics;
use crate::mqtt::{Connector, Session, Settings, TlsError, client_config};
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

/// A bridge at work.
pub struct Bridge {
    announcer: Announcer,
    sessions: JoinSet<()>,
    lanes: JoinSet<()>,
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
        let destinations = destinations(&config.mappings)?;
        let admin = bind_admin(config.admin.listen).await?;
        let mut bridge = Self {
            announcer,
            sessions: JoinSet::new(),
            lanes: JoinSet::new(),
            admin: JoinSet::new(),
            admin_address: admin.as_ref().map(Admin::address),
            watched: Vec::new(),
            metrics: Metrics::new(),
        };
        for (mapping, destination) in config.mappings.iter().zip(destinations) {
            warn_about(mapping);
            bridge.start_mapping(&config.mqtt, mapping, destination, &connector, aws, &listener);
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
        destination: Option<Destination>,
        connector: &Connector,
        aws: &Aws,
        shutdown: &Listener,
    ) {
        let metrics = self.metrics.mapping(&settings.name);
        let (fault, heard_fault) = watch::channel(None);
        let session_settings = session_settings(mqtt, settings);
        let (session, queue, status) =
            Session::new(session_settings, connector.clone(), metrics.clone(), shutdown.clone());
        self.watched.push(Watched { mapping: settings.name.clone(), session: status, fault: heard_fault });
        let client = aws.client(&settings.function, settings.timeout);
        let mapping = Mapping { settings: settings.clone(), client, destination, metrics, fault };
        mapping.start(queue, shutdown, &mut self.lanes);
        self.sessions.spawn(session.run());
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
        if !drained {
            self.announcer.announce(Phase::Stopping);
            self.lanes.abort_all();
            let goodbye = async { while self.sessions.join_next().await.is_some() {} };
            // Who cannot say goodbye now is closed all the same.
            let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        }
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
    info!(version = env!("CARGO_PKG_VERSION"), admin = ?bridge.admin_address(), "started");
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

/// One for each mapping. Mappings that name the same one share it: two writers of one file would be in each other's way.
fn destinations(mappings: &[config::Mapping]) -> Result<Vec<Option<Destination>>, StartError> {
    let mut opened: Vec<(&OnFailure, Destination)> = Vec::new();
    let mut destinations = Vec::with_capacity(mappings.len());
    for mapping in mappings {
        let Some(on_failure) = &mapping.on_failure else {
            destinations.push(None);
            continue;
        };
        let known = opened.iter().find(|(known, _)| *known == on_failure).map(|(_, destination)| destination.clone());
        let destination = match known {
            Some(destination) => destination,
            None => Destination::open(on_failure)
                .map_err(|cause| StartError::Destination { mapping: mapping.name.clone(), cause })?,
        };
        opened.push((on_failure, destination.clone()));
        destinations.push(Some(destination));
    }
    Ok(destinations)
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

fn session_settings(mqtt: &config::Mqtt, mapping: &config::Mapping) -> Settings {
    Settings {
        mapping: mapping.name.clone(),
        client_id: mqtt.client_id_for(&mapping.name),
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
    if mapping.on_failure.is_none() {
        warn!(mapping = name, "no on_failure: a message that always fails is tried for ever and holds its place");
    }
}
