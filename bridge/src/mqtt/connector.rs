//! Opens connections to one broker: resolves, connects and verifies. Says nothing on them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::DuplexStream;
use tokio_rustls::TlsConnector;
use tracing::debug;

use super::connection::Connection;
use super::dial::{DialError, StageCell, dial, peer, reasons};
use super::first_bytes::FirstBytes;
use super::login::{Credentials, Login};
use super::tls::{Failure, Freshness, Generations, LiveTls, TlsError, handshake_failed, handshake_never_ends};
use super::transport::Transport;
use crate::config::BrokerUrl;
use crate::crypto;

/// Why a connection cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name of the broker has no address.
    #[error("{host}: no address found: {source}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address accepted the connection.
    #[error("{broker}: no TCP connection: {cause}")]
    Tcp {
        /// Host and port.
        broker: String,
        /// What each address that was tried said.
        cause: String,
    },
    /// The handshake failed.
    #[error("{broker}: tls: {cause}")]
    Tls {
        /// Host, port and, when there was a connection, the address.
        broker: String,
        /// What is wrong, and the way out.
        cause: String,
        /// Whether another try can only succeed when somebody has changed something.
        lasting: bool,
    },
}

/// Opens connections to one broker.
#[derive(Clone)]
pub struct Connector {
    way: Way,
    credentials: Credentials,
}

#[derive(Clone)]
enum Way {
    Tls(Box<OverTls>),
    Memory(InMemory),
}

/// TLS over TCP, which is all that a configuration can ask for.
#[derive(Clone)]
struct OverTls {
    broker: BrokerUrl,
    name: ServerName<'static>,
    /// Where to connect to, whatever the name resolves to.
    address: Option<SocketAddr>,
    tls: LiveTls,
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
    /// For this broker, with the TLS configuration that is in use when a connection is opened.
    ///
    /// # Errors
    /// When the host can stand in no certificate.
    pub fn new(broker: BrokerUrl, tls: LiveTls) -> Result<Self, String> {
        let name = ServerName::try_from(broker.host.clone())
            .map_err(|_| format!("mqtt.url: host `{}` is neither a DNS name nor an IP address", broker.host))?;
        let way = Way::Tls(Box::new(OverTls { broker, name, address: None, tls }));
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
        if let Way::Tls(tls) = &mut self.way {
            tls.address = Some(address);
        }
        self
    }

    /// Tells when there is a newer TLS set than the one in use now.
    pub(super) fn freshness(&self) -> Freshness {
        match &self.way {
            Way::Tls(over) => over.tls.freshness(over.tls.generation()),
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
    /// Says which of the three steps failed, and why.
    pub async fn open(&self, stage: &StageCell) -> Result<Connection, ConnectError> {
        match &self.way {
            Way::Tls(tls) => tls.open(stage).await,
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

impl OverTls {
    async fn open(&self, stage: &StageCell) -> Result<Connection, ConnectError> {
        let unconnected = |error: TlsError| refused(peer(&self.broker, &[]), error.to_string(), true);
        let (config, generation) = self.tls.current().map_err(unconnected)?;
        let large_hello = crypto::hello_is_large(&config);
        let (address, tcp) = dial(&self.broker, self.address, stage).await.map_err(|error| self.unreachable(error))?;
        let peer = peer(&self.broker, &[address.ip()]);
        stage.handshaking(&peer, handshake_never_ends(large_hello));
        let handshake = TlsConnector::from(config).connect(self.name.clone(), FirstBytes::new(tcp));
        match handshake.into_fallible().await {
            Ok(stream) => {
                stage.connected(&peer);
                let freshness = self.tls.freshness(generation);
                Ok(Connection::new(Transport::Tls(Box::new(stream)), freshness, Some(self.tls.clone())))
            }
            Err((error, socket)) => {
                debug!(?error, broker = %self.broker, %address, "handshake failed");
                let Failure { cause, lasting } = match socket.foreign() {
                    Some(foreign) => Failure { cause: format!("not TLS: the port {foreign}"), lasting: true },
                    None => handshake_failed(&error, socket.is_silent(), large_hello),
                };
                Err(refused(peer, cause, lasting))
            }
        }
    }

    fn unreachable(&self, error: DialError) -> ConnectError {
        match error {
            DialError::Resolve(source) => ConnectError::Dns { host: self.broker.host.clone(), source },
            DialError::Connect(failed) => {
                ConnectError::Tcp { broker: peer(&self.broker, &[]), cause: reasons(&failed) }
            }
        }
    }
}

fn refused(broker: String, cause: String, lasting: bool) -> ConnectError {
    ConnectError::Tls { broker, cause, lasting }
}
