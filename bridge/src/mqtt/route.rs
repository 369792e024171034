//! The route to one broker: TCP to it or to a proxy, TLS end to end, and a WebSocket if its URL asks for one. Knows
//! nothing of MQTT.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::debug;

use super::connect_error::ConnectError;
use super::connection::Connection;
use super::dial::{DialError, dial, reasons};
use super::first_bytes::FirstBytes;
use super::proxy::Proxy;
use super::stage::{Place, StageCell, peer};
use super::tls::{Failure, Freshness, LiveTls, TlsError, handshake_failed, handshake_never_ends};
use super::transport::Transport;
use super::websocket::upgrade;
use crate::config::{self, BrokerUrl, Carrier};
use crate::crypto;

/// Whatever a configuration can ask for, with TLS over TCP below it.
#[derive(Clone)]
pub(super) struct Route {
    broker: BrokerUrl,
    name: ServerName<'static>,
    /// Where to connect to, whatever the name resolves to.
    address: Option<SocketAddr>,
    proxy: Option<Proxy>,
    /// What is offered by ALPN; nothing when empty.
    alpn: Vec<String>,
    tls: LiveTls,
}

impl Route {
    /// To this broker, with the TLS configuration that is in use when a connection is opened.
    ///
    /// # Errors
    /// When the name can stand in no certificate.
    pub(super) fn new(broker: BrokerUrl, tls: LiveTls) -> Result<Self, String> {
        let name = tls.server_name().unwrap_or(&broker.host).to_owned();
        let name = ServerName::try_from(name)
            .map_err(|_| format!("mqtt.url: host `{}` is neither a DNS name nor an IP address", broker.host))?;
        Ok(Self { broker, name, address: None, proxy: None, alpn: Vec::new(), tls })
    }

    /// The same, in the way that this configuration requires.
    pub(super) fn configured(self, mqtt: &config::Mqtt) -> Self {
        Self { proxy: Proxy::of(mqtt), alpn: mqtt.alpn.clone(), ..self }
    }

    /// The same broker, found at this address without asking for its name.
    pub(super) fn found_at(self, address: SocketAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// The broker's URL.
    pub(super) fn url(&self) -> String {
        self.broker.to_string()
    }

    /// Tells when there is a newer TLS set than the one in use now.
    pub(super) fn freshness(&self) -> Freshness {
        self.tls.freshness(self.tls.generation())
    }

    /// Resolves, connects and verifies; `stage` records the current step.
    ///
    /// # Errors
    /// Says which of the steps failed, and why.
    pub(super) async fn open(&self, stage: &StageCell) -> Result<Connection, ConnectError> {
        let current = self.tls.current();
        let (config, generation) =
            current.map_err(|error| refused(&self.broker.authority(), "tls", tls_failure(error)))?;
        let (tcp, peer) = self.connect(stage).await?;
        let stream = self.shake_hands(config, FirstBytes::new(tcp), &peer, stage).await?;
        let transport = self.carry(stream, &peer, stage).await?;
        stage.connected(&peer);
        Ok(Connection::new(transport, self.tls.freshness(generation), Some(self.tls.clone())))
    }

    /// TCP to the broker, or what the proxy makes of it; and how to call the other end.
    async fn connect(&self, stage: &StageCell) -> Result<(TcpStream, String), ConnectError> {
        let Some(proxy) = &self.proxy else {
            let place = Place::of(&self.broker);
            let (address, tcp) =
                dial(&place, self.address, stage).await.map_err(|error| unreachable(&place, "", error))?;
            return Ok((tcp, peer(&place, &[address.ip()])));
        };
        let dialled = dial(&proxy.place, None, stage).await;
        let (address, tcp) = dialled.map_err(|error| unreachable(&proxy.place, "proxy ", error))?;
        let authority = self.broker.authority();
        let peer = format!("{authority} through the proxy {}", peer(&proxy.place, &[address.ip()]));
        stage.tunnelling(&peer);
        let tcp = proxy.tunnel(tcp, &authority).await.map_err(|failure| refused(&peer, "proxy", failure))?;
        Ok((tcp, peer))
    }

    async fn shake_hands(
        &self,
        config: Arc<ClientConfig>,
        socket: FirstBytes,
        peer: &str,
        stage: &StageCell,
    ) -> Result<TlsStream<FirstBytes>, ConnectError> {
        let config = self.offering(config);
        let large_hello = crypto::hello_is_large(&config);
        stage.handshaking(peer, handshake_never_ends(large_hello));
        match TlsConnector::from(config).connect(self.name.clone(), socket).into_fallible().await {
            Ok(stream) => self.judge_agreed(stream, peer),
            Err((error, socket)) => {
                debug!(event = "broker.handshake_failed", ?error, broker = %self.broker, peer, "handshake failed");
                let failure = match socket.foreign() {
                    Some(foreign) => Failure { cause: format!("not TLS: the port {foreign}"), lasting: true },
                    None => handshake_failed(&error, socket.is_silent(), large_hello),
                };
                Err(refused(peer, "tls", failure))
            }
        }
    }

    /// What carries MQTT over this TLS connection.
    async fn carry(
        &self,
        stream: TlsStream<FirstBytes>,
        peer: &str,
        stage: &StageCell,
    ) -> Result<Transport, ConnectError> {
        let Carrier::WebSocket { path } = &self.broker.carrier else { return Ok(Transport::Tls(Box::new(stream))) };
        stage.upgrading(peer);
        match upgrade(stream, &self.broker.authority(), path).await {
            Ok(socket) => Ok(Transport::WebSocket(Box::new(socket))),
            Err(failure) => Err(refused(peer, "websocket", failure)),
        }
    }

    /// The configuration with what is offered by ALPN.
    fn offering(&self, config: Arc<ClientConfig>) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&config);
        config.alpn_protocols = match self.broker.carrier {
            Carrier::Tls => self.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect(),
            // Alone, so that nobody chooses HTTP/2.
            Carrier::WebSocket { .. } => vec![b"http/1.1".to_vec()],
        };
        Arc::new(config)
    }

    /// A port that ignores ALPN is not the one that was meant: it may be that of another service. Web servers may
    /// ignore it (RFC 7301, section 3.2), and the upgrade tells them apart.
    fn judge_agreed(&self, stream: TlsStream<FirstBytes>, peer: &str) -> Result<TlsStream<FirstBytes>, ConnectError> {
        if self.alpn.is_empty() || self.broker.carrier != Carrier::Tls || stream.get_ref().1.alpn_protocol().is_some() {
            return Ok(stream);
        }
        let offered = self.alpn.join(", ");
        let cause = format!(
            "the broker has agreed to none of the application protocols that were offered ({offered}); write into \
             `mqtt.alpn` what its port takes, or leave the key out"
        );
        Err(refused(peer, "tls", Failure { cause, lasting: true }))
    }
}

fn unreachable(place: &Place, who: &str, error: DialError) -> ConnectError {
    match error {
        DialError::Resolve(source) => ConnectError::Dns { host: format!("{who}{}", place.host), source },
        DialError::Connect(failed) => {
            ConnectError::Tcp { broker: format!("{who}{}", peer(place, &[])), cause: reasons(&failed) }
        }
    }
}

fn tls_failure(error: TlsError) -> Failure {
    Failure { cause: error.to_string(), lasting: true }
}

fn refused(broker: &str, step: &'static str, failure: Failure) -> ConnectError {
    let Failure { cause, lasting } = failure;
    ConnectError::Refused { broker: broker.to_owned(), step, cause, lasting }
}
