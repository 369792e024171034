//! One TCP connection with TLS on it, and the bytes in both directions. Knows packets only to tell what is wrong.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, InvalidMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::BrokerUrl;

/// How much is read at once. A message keeps the buffer it came in alive, so this also bounds what a small one costs.
const READ_AHEAD: usize = 16 * 1024;

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
    #[error("{broker}: {source}")]
    Tcp {
        /// Host and port.
        broker: String,
        /// What the last address tried said.
        source: io::Error,
    },
    /// The handshake failed.
    #[error("{broker}: tls: {cause}")]
    Tls {
        /// Host and port.
        broker: String,
        /// What is wrong, and the way out.
        cause: String,
    },
}

/// Opens connections to one broker.
#[derive(Clone)]
pub struct Connector {
    broker: BrokerUrl,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl Connector {
    /// For this broker, with this TLS configuration.
    ///
    /// # Errors
    /// When the host can stand in no certificate.
    pub fn new(broker: BrokerUrl, tls: Arc<ClientConfig>) -> Result<Self, String> {
        let name = ServerName::try_from(broker.host.clone())
            .map_err(|_| format!("mqtt.url: host `{}` is neither a DNS name nor an IP address", broker.host))?;
        Ok(Self { broker, name, tls: tls.into() })
    }

    /// Resolves, connects and verifies. Has no deadline of its own: the caller's covers CONNACK too.
    ///
    /// # Errors
    /// Says which of the three steps failed, and why.
    pub async fn open(&self) -> Result<Connection, ConnectError> {
        let tcp = self.tcp().await?;
        // Acknowledgements are small and are written in batches already.
        let _ = tcp.set_nodelay(true);
        match self.tls.connect(self.name.clone(), tcp).await {
            Ok(stream) => Ok(Connection { stream, input: BytesMut::new(), output: BytesMut::new() }),
            Err(error) => Err(ConnectError::Tls { broker: self.broker.to_string(), cause: explain(&error) }),
        }
    }

    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let BrokerUrl { host, port } = &self.broker;
        let dns = |source| ConnectError::Dns { host: host.clone(), source };
        let addresses = lookup_host((host.as_str(), *port)).await.map_err(dns)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(ConnectError::Tcp { broker: self.broker.to_string(), source: last })
    }
}

/// An open connection, with what was read and not decoded, and what is to be written.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    /// Received bytes that are not decoded yet.
    pub input: BytesMut,
    /// Packets that the next [`Connection::flush`] writes.
    pub output: BytesMut,
}

impl Connection {
    /// Waits for more bytes. Cancel safe.
    ///
    /// # Errors
    /// When the connection is broken or closed.
    pub async fn read(&mut self) -> io::Result<()> {
        self.input.reserve(READ_AHEAD);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed the connection")),
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), explain(&error))),
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
        let write = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(patience, write).await {
            Ok(written) => written?,
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the broker takes no more bytes")),
        }
        self.output.clear();
        Ok(())
    }

    /// Says goodbye on the TLS level. What fails now does not matter any more.
    pub async fn close(mut self, patience: Duration) {
        let _ = tokio::time::timeout(patience, self.stream.shutdown()).await;
    }

    /// The TLS version and cipher suite agreed on, for the log.
    #[must_use]
    pub fn agreed(&self) -> String {
        let (_, tls) = self.stream.get_ref();
        let version = tls.protocol_version().and_then(|v| v.as_str()).unwrap_or("unknown version");
        let suite =
            tls.negotiated_cipher_suite().map_or_else(|| "unknown suite".into(), |s| format!("{:?}", s.suite()));
        let group = tls.negotiated_key_exchange_group().map_or_else(String::new, |g| format!(" {:?}", g.name()));
        format!("{version} {suite}{group}")
    }
}

/// What a TLS failure means for the person who has to mend it.
fn explain(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the broker closed the connection during the handshake".into(),
            _ => error.to_string(),
        };
    };
    match tls {
        rustls::Error::InvalidCertificate(wrong) => explain_certificate(wrong),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the answer is not TLS; is this the plain port (1883)? use the TLS port, usually 8883".into()
        }
        rustls::Error::AlertReceived(alert) => {
            let name = format!("{alert:?}");
            if name.contains("Certificate") || name == "AccessDenied" || name == "UnknownCA" {
                format!("the broker refuses our certificate ({name}); check `cert_file` against what its CA has issued")
            } else {
                format!("the broker refuses ({name})")
            }
        }
        other => other.to_string(),
    }
}

fn explain_certificate(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| plain_name(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!(
                "the broker's certificate is not valid for `{}`: it names {names}; connect by one of its names, or give \
                 the broker a certificate with this one as subject alternative name",
                expected.to_str()
            )
        }
        CertificateError::UnknownIssuer => {
            "the broker's certificate comes from an unknown issuer; set `ca_file` to the CA that issued it".into()
        }
        CertificateError::BadSignature => {
            "the broker's certificate is not signed by the CA in `ca_file`, though that CA has its issuer's name; take the \
             CA certificate that this broker uses now"
                .into()
        }
        CertificateError::UnhandledCriticalExtension | CertificateError::BadEncoding => {
            format!("the broker's certificate cannot be used ({wrong:?}); X.509 version 3 is required")
        }
        CertificateError::ExpiredContext { .. } | CertificateError::Expired => {
            format!("the broker's certificate has expired: {wrong}")
        }
        other => format!("the broker's certificate is refused: {other}"),
    }
}

/// rustls prints `DnsName("localhost")` and `IpAddress(127.0.0.1)`.
fn plain_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrong_name_is_told_with_the_right_ones() {
        let wrong = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("broker.example").unwrap(),
            presented: vec!["DnsName(\"localhost\")".into(), "IpAddress(127.0.0.1)".into()],
        };
        let text = explain_certificate(&wrong);
        assert!(text.contains("`broker.example`") && text.contains("localhost, 127.0.0.1"), "{text}");
    }
}
