//! Opens connections to one broker: over the network, or in the memory of this process. Says nothing on them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::DuplexStream;

use super::connect_error::ConnectError;
use super::connection::Connection;
use super::dial::StageCell;
use super::login::{Credentials, Login};
use super::route::Route;
use super::tls::{Freshness, Generations, LiveTls};
use super::transport::Transport;
use crate::config::{self, BrokerUrl};

/// Opens connections to one broker.
#[derive(Clone)]
pub struct Connector {
    way: Way,
    credentials: Credentials,
}

#[derive(Clone)]
enum Way {
    Network(Box<Route>),
    Memory(InMemory),
}

/// The way to a broker in this very process: each call is a connection. There is no network below it, so nothing that TLS
/// would have to protect.
#[derive(Clone)]
pub struct InMemory {
    connect: Arc<dyn Fn() -> io::Result<DuplexStream> + Send + Sync>,
    generations: Generations,
}

impl InMemory {
    /// Connections are made by this function.
    pub fn new(connect: impl Fn() -> io::Result<DuplexStream> + Send + Sync + 'static) -> Self {
        Self { connect: Arc::new(connect), generations: Generations::default() }
    }

    /// All connections give way to newer ones, as they do to newer TLS files.
    pub fn renew(&self) {
        self.generations.advance();
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InMemory")
    }
}

impl Connector {
    /// For the broker of this configuration.
    ///
    /// # Errors
    /// When the host can stand in no certificate.
    pub fn of(mqtt: &config::Mqtt, tls: LiveTls) -> Result<Self, String> {
        let route = Route::new(mqtt.url.clone(), tls)?.configured(mqtt);
        Ok(Self { way: Way::Network(Box::new(route)), credentials: Credentials::of(mqtt) })
    }

    /// For this broker, with the TLS configuration that is in use when a connection is opened.
    ///
    /// # Errors
    /// When the host can stand in no certificate.
    pub fn new(broker: BrokerUrl, tls: LiveTls) -> Result<Self, String> {
        let way = Way::Network(Box::new(Route::new(broker, tls)?));
        Ok(Self { way, credentials: Credentials::default() })
    }

    /// For a broker in this process.
    #[must_use]
    pub fn in_memory(memory: InMemory) -> Self {
        Self { way: Way::Memory(memory), credentials: Credentials::default() }
    }

    /// The same, with a user name or a password for the broker.
    #[must_use]
    pub fn with(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// The same broker, found at this address without asking for its name; its certificate must still be good for the name.
    #[must_use]
    pub fn found_at(mut self, address: SocketAddr) -> Self {
        if let Way::Network(route) = &mut self.way {
            route.found_at(address);
        }
        self
    }

    /// Tells when there is a newer TLS set than the one in use now.
    pub(super) fn freshness(&self) -> Freshness {
        match &self.way {
            Way::Network(route) => route.freshness(),
            Way::Memory(memory) => memory.generations.freshness(memory.generations.newest()),
        }
    }

    /// What the next CONNECT says that we are.
    pub(super) fn login(&self) -> Login {
        self.credentials.login()
    }

    /// Resolves, connects and verifies. Has no deadline of its own: the caller's covers CONNACK too, and `stage` says which
    /// step it has interrupted.
    ///
    /// # Errors
    /// Says which of the steps failed, and why.
    pub async fn open(&self, stage: &StageCell) -> Result<Connection, ConnectError> {
        match &self.way {
            // In a box: a handshake is large, and most of a connection's life is after it.
            Way::Network(route) => Box::pin(route.open(stage)).await,
            Way::Memory(InMemory { connect, generations }) => {
                let freshness = generations.freshness(generations.newest());
                stage.connected("the broker in this process");
                let unconnected = |error: io::Error| ConnectError::Tcp {
                    broker: "the broker in this process".to_owned(),
                    cause: error.to_string(),
                };
                connect().map(|stream| Connection::new(Transport::Memory(stream), freshness, None)).map_err(unconnected)
            }
        }
    }
}
