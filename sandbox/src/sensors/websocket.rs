//! A device's way to a broker over `wss://`: TCP, verified TLS and a WebSocket. Knows no packet.

use std::io;
use std::sync::Arc;

use bridge::config::{BrokerUrl, Carrier};
use bridge::mqtt::open_websocket;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Connects, as often as it is called.
pub(super) async fn dial(
    broker: BrokerUrl,
    tls: Arc<ClientConfig>,
) -> io::Result<impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static> {
    let tcp = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
    let name = ServerName::try_from(broker.host.clone()).map_err(io::Error::other)?;
    let tls = TlsConnector::from(tls).connect(name, tcp).await?;
    let path = match &broker.carrier {
        Carrier::WebSocket { path } => path.as_str(),
        Carrier::Tls => "/",
    };
    open_websocket(tls, &broker.authority(), path).await
}
