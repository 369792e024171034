//! One TCP connection with TLS on it, and the bytes in both directions. Knows packets only to tell what is wrong.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::debug;

use super::buffer::make_room;
use super::dial::{DialError, StageCell, dial, peer, reasons};
use super::first_bytes::FirstBytes;
use super::login::{Credentials, Login};
use super::tls::{Failure, Freshness, LiveTls, TlsError, explain, handshake_failed};
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
    broker: BrokerUrl,
    name: ServerName<'static>,
    /// Where to connect to, whatever the name resolves to.
    address: Option<SocketAddr>,
    tls: LiveTls,
    credentials: Credentials,
}

impl Connector {
    /// For this broker, with the TLS configuration that is in use when a connection is opened.
    ///
    /// # Errors
    /// When the host can stand in no certificate.
    pub fn new(broker: BrokerUrl, tls: LiveTls) -> Result<Self, String> {
        let name = ServerName::try_from(broker.host.clone())
            .map_err(|_| format!("mqtt.url: host `{}` is neither a DNS name nor an IP address", broker.host))?;
        Ok(Self { broker, name, address: None, tls, credentials: Credentials::default() })
    }

    /// The same, with a user name or a password for the broker.
    #[must_use]
    pub fn with(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// The same broker, found at this address without asking for its name; its certificate must still be good for the name.
    #[must_use]
    pub fn found_at(self, address: SocketAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// The number of the TLS set in use.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.tls.generation()
    }

    /// Tells when there is a newer TLS set than that of the number.
    #[must_use]
    pub fn freshness(&self, generation: u64) -> Freshness {
        self.tls.freshness(generation)
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
        let unconnected = |error: TlsError| refused(peer(&self.broker, &[]), error.to_string(), true);
        let (config, generation) = self.tls.current().map_err(unconnected)?;
        let large_hello = crypto::hello_is_large(&config);
        let (address, tcp) = dial(&self.broker, self.address, stage).await.map_err(|error| self.unreachable(error))?;
        let peer = peer(&self.broker, &[address.ip()]);
        stage.handshaking(&peer);
        let handshake = TlsConnector::from(config).connect(self.name.clone(), FirstBytes::new(tcp));
        match handshake.into_fallible().await {
            Ok(stream) => {
                stage.connected(&peer);
                let freshness = self.tls.freshness(generation);
                Ok(Connection {
                    stream,
                    freshness,
                    tls: self.tls.clone(),
                    input: BytesMut::new(),
                    output: BytesMut::new(),
                })
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

/// An open connection, with what was read and not decoded, and what is to be written.
pub struct Connection {
    stream: TlsStream<FirstBytes>,
    freshness: Freshness,
    tls: LiveTls,
    /// Received bytes that are not decoded yet.
    pub input: BytesMut,
    /// Packets that the next [`Connection::flush`] writes.
    pub output: BytesMut,
}

impl Connection {
    /// Waits for more bytes, and says how many have come. Cancel safe.
    ///
    /// # Errors
    /// When the connection is broken or closed; as [`io::ErrorKind::PermissionDenied`] when the broker refuses us, which
    /// under TLS 1.3 it can say only after the handshake.
    pub async fn read(&mut self) -> io::Result<usize> {
        make_room(&mut self.input);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(in_words(&io::ErrorKind::UnexpectedEof.into())),
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(in_words(&error)),
        }
    }

    /// Writes what is in `output`, all of it, in as few TLS records as it fits.
    ///
    /// # Errors
    /// When the connection is broken, or takes nothing for as long as `patience`.
    pub async fn flush(&mut self, patience: Duration) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let written = write(&mut self.stream, &self.output, patience).await;
        self.judge(written).await?;
        self.output.clear();
        Ok(())
    }

    /// Writes this packet and nothing else, and keeps no copy of it.
    ///
    /// # Errors
    /// As [`Connection::flush`].
    pub async fn send(&mut self, packet: &[u8], patience: Duration) -> io::Result<()> {
        let written = write(&mut self.stream, packet, patience).await;
        self.judge(written).await
    }

    async fn judge(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(error),
            // A broker that refuses us has said so before it closed, and that says more than a broken pipe.
            Err(error) => Err(self.last_words().await.unwrap_or_else(|| in_words(&error))),
            Ok(()) => Ok(()),
        }
    }

    /// Says goodbye on the TLS level, and waits for the broker to hang up: closing a socket that still has something to be
    /// read would reset the connection, and with it the acknowledgements under way. What fails now does not matter any
    /// more.
    pub async fn close(mut self, patience: Duration) {
        let goodbye = async {
            self.stream.shutdown().await?;
            loop {
                self.input.clear();
                make_room(&mut self.input);
                if self.stream.read_buf(&mut self.input).await? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        let _ = tokio::time::timeout(patience, goodbye).await;
    }

    /// Tells when this connection should give way to one with newer TLS files.
    pub fn freshness(&self) -> Freshness {
        self.freshness.clone()
    }

    /// The broker has accepted this connection: counts it, and lets the next one give way.
    pub fn accepted(&self) {
        let Agreed { version, suite, group } = self.agreed();
        self.tls.accepted(version, suite, group);
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn agreed(&self) -> Agreed {
        let (_, tls) = self.stream.get_ref();
        let unknown = || "unknown".to_owned();
        Agreed {
            version: tls.protocol_version().and_then(|version| version.as_str()).map_or_else(unknown, str::to_owned),
            suite: tls.negotiated_cipher_suite().map_or_else(unknown, |suite| crypto::suite_name(suite.suite())),
            group: tls.negotiated_key_exchange_group().map_or_else(unknown, |group| crypto::group_name(group.name())),
        }
    }

    async fn last_words(&mut self) -> Option<io::Error> {
        const PATIENCE: Duration = Duration::from_secs(1);
        match tokio::time::timeout(PATIENCE, self.read()).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Some(error),
            _ => None,
        }
    }
}

async fn write(stream: &mut TlsStream<FirstBytes>, bytes: &[u8], patience: Duration) -> io::Result<()> {
    let write = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the broker takes no more bytes");
    tokio::time::timeout(patience, write).await.unwrap_or_else(|_| Err(late()))
}

/// What a handshake agreed on, by IANA's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// `TLSv1_3`.
    pub version: String,
    /// `TLS_AES_256_GCM_SHA384`.
    pub suite: String,
    /// `X25519MLKEM768`.
    pub group: String,
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.version, self.suite, self.group)
    }
}

fn in_words(error: &io::Error) -> io::Error {
    let Failure { cause, lasting } = explain(error);
    io::Error::new(if lasting { io::ErrorKind::PermissionDenied } else { error.kind() }, cause)
}
