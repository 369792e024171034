//! Opens connections to one of a few brokers: over the network, or in the memory of this process. Sends nothing on
//! them.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::time::{sleep, timeout};

use super::choice::Choice;
use super::connect_error::ConnectError;
use super::connection::Connection;
use super::login::{Credentials, Login};
use super::route::Route;
use super::stage::StageCell;
use super::tls::{Freshness, Generations, LiveTls};
use super::transport::Transport;
use crate::config::{self, BrokerUrl, Prefer};

/// Opens connections to a broker, or to one of several.
#[derive(Clone)]
pub struct Connector {
    way: Way,
    credentials: Credentials,
    /// After how long away from the first broker a client looks whether it is reachable again; `None` for never.
    return_after: Option<Duration>,
    /// The broker that each client id was connected to last, so that a mapping that restarts comes back to its session.
    last: Arc<Mutex<HashMap<String, usize>>>,
}

#[derive(Clone)]
enum Way {
    /// In the order of preference; one at least.
    Network(Arc<[Route]>),
    /// To so many brokers.
    Memory(InMemory, usize),
}

/// The way to brokers in this very process: each call is a connection. There is no network below it, so nothing that
/// TLS would have to protect.
#[derive(Clone)]
pub struct InMemory {
    connect: Arc<dyn Fn(usize) -> io::Result<DuplexStream> + Send + Sync>,
    generations: Generations,
}

impl InMemory {
    /// This function makes connections. It gets the broker's place in the configuration's list, from 0.
    pub fn new(connect: impl Fn(usize) -> io::Result<DuplexStream> + Send + Sync + 'static) -> Self {
        Self { connect: Arc::new(connect), generations: Generations::default() }
    }

    /// Has all connections replaced, as after a change of TLS files.
    pub fn renew(&self) {
        self.generations.advance();
    }

    fn open(&self, place: usize, stage: &StageCell) -> Result<Connection, ConnectError> {
        let freshness = self.generations.freshness(self.generations.newest());
        stage.connected("the broker in this process");
        let unconnected = |error: io::Error| ConnectError::Tcp {
            broker: "the broker in this process".to_owned(),
            cause: error.to_string(),
        };
        (self.connect)(place)
            .map(|stream| Connection::new(Transport::Memory(stream), freshness, None))
            .map_err(unconnected)
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InMemory")
    }
}

impl Connector {
    /// For the brokers of this configuration.
    ///
    /// # Errors
    /// When the host can stand in no certificate.
    pub fn of(mqtt: &config::Mqtt, tls: LiveTls) -> Result<Self, String> {
        let route = |url: &BrokerUrl| Ok::<_, String>(Route::new(url.clone(), tls.clone())?.configured(mqtt));
        let routes = mqtt.url.iter().map(route).collect::<Result<_, _>>()?;
        Ok(Self::by(Way::Network(routes), mqtt))
    }

    fn by(way: Way, mqtt: &config::Mqtt) -> Self {
        let return_after = (mqtt.prefer == Prefer::First).then_some(mqtt.return_after);
        Self { way, credentials: Credentials::of(mqtt), return_after, last: Arc::default() }
    }

    /// For this broker, with the TLS configuration that is in use when a connection is opened.
    ///
    /// # Errors
    /// When the host can stand in no certificate.
    pub fn new(broker: BrokerUrl, tls: LiveTls) -> Result<Self, String> {
        let way = Way::Network([Route::new(broker, tls)?].into());
        Ok(Self { way, credentials: Credentials::default(), return_after: None, last: Arc::default() })
    }

    /// For as many brokers in this process as the configuration has URLs.
    #[must_use]
    pub fn in_memory_of(mqtt: &config::Mqtt, memory: InMemory) -> Self {
        Self::by(Way::Memory(memory, mqtt.url.len()), mqtt)
    }

    /// For one broker in this process.
    #[cfg(test)]
    pub(super) fn in_memory(memory: InMemory) -> Self {
        let way = Way::Memory(memory, 1);
        Self { way, credentials: Credentials::default(), return_after: None, last: Arc::default() }
    }

    /// The same, with a user name or a password for the broker.
    #[must_use]
    pub fn with(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// The same broker, found at this address without asking for its name; its certificate must still be good for the
    /// name.
    #[must_use]
    pub fn found_at(mut self, address: SocketAddr) -> Self {
        if let Way::Network(routes) = &self.way {
            self.way = Way::Network(routes.iter().cloned().map(|route| route.found_at(address)).collect());
        }
        self
    }

    /// Tells when there is a newer TLS set than the one in use now.
    pub(super) fn freshness(&self) -> Freshness {
        match &self.way {
            // All routes use the same files.
            Way::Network(routes) => routes[0].freshness(),
            Way::Memory(memory, _) => memory.generations.freshness(memory.generations.newest()),
        }
    }

    /// The login of the next CONNECT.
    pub(super) fn login(&self) -> Login {
        self.credentials.login()
    }

    /// For a client of that id.
    pub(super) fn choice(&self, client_id: &str) -> Choice {
        let places = match &self.way {
            Way::Network(routes) => routes.len(),
            Way::Memory(_, places) => *places,
        };
        Choice::new(places, self.last().get(client_id).copied().unwrap_or(0))
    }

    /// A client of that id is connected to this one of the brokers.
    pub(super) fn note(&self, client_id: &str, place: usize) {
        self.last().insert(client_id.to_owned(), place);
    }

    /// The URL of the one that a client of that id was connected to last.
    pub(super) fn url_of(&self, client_id: &str) -> Option<String> {
        let place = self.last().get(client_id).copied();
        self.url(place?)
    }

    fn last(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The URL of one of them, which holds no secret; one in this process has none.
    pub(super) fn url(&self, place: usize) -> Option<String> {
        match &self.way {
            Way::Network(routes) => routes.get(place).map(Route::url),
            Way::Memory(..) => None,
        }
    }

    /// Returns when the first broker is reachable again, so far as TLS and WebSocket go: CONNECT would touch its
    /// session. Never, where nobody goes back. Cancel safe.
    pub(super) async fn first_is_back(&self, patience: Duration) {
        let Some(return_after) = self.return_after else { return std::future::pending().await };
        loop {
            sleep(return_after).await;
            let stage = StageCell::default();
            if let Ok(Ok(connection)) = timeout(patience, self.open_at(0, &stage)).await {
                return connection.close(patience).await;
            }
        }
    }

    /// A connection to the first broker.
    ///
    /// # Errors
    /// Says which of the steps failed, and why.
    pub async fn open(&self, stage: &StageCell) -> Result<Connection, ConnectError> {
        self.open_at(0, stage).await
    }

    /// Resolves, connects and verifies. Has no deadline of its own: the caller's covers CONNACK too, and `stage` says
    /// which step it has interrupted.
    ///
    /// # Errors
    /// Says which of the steps failed, and why.
    pub(super) async fn open_at(&self, place: usize, stage: &StageCell) -> Result<Connection, ConnectError> {
        match &self.way {
            // In a box: a handshake is large, and most of a connection's life is after it.
            Way::Network(routes) => Box::pin(routes[place].open(stage)).await,
            Way::Memory(memory, _) => memory.open(place, stage),
        }
    }
}
