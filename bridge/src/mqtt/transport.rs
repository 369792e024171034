//! What carries the bytes of a connection: TLS, a WebSocket over TLS, or a pair of ends in the memory of one process.
//! Below each that has a network is TLS; the pair in memory has none.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::ClientConnection;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::first_bytes::FirstBytes;
use super::websocket::WebSocket;
use crate::crypto;

/// See the module's page.
pub(super) enum Transport {
    Tls(Box<TlsStream<FirstBytes>>),
    WebSocket(Box<WebSocket<TlsStream<FirstBytes>>>),
    Memory(DuplexStream),
}

impl Transport {
    /// What the handshake agreed on.
    pub(super) fn agreed(&self) -> Agreed {
        match self {
            Self::Tls(stream) => Agreed::on(stream.get_ref().1),
            Self::WebSocket(socket) => Agreed::on(socket.below().get_ref().1),
            Self::Memory(_) => {
                Agreed { version: "none".into(), suite: "in".into(), group: "memory".into(), alpn: None }
            }
        }
    }

    /// The certificates that the other end has sent, its own first.
    pub(super) fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match self {
            Self::Tls(stream) => stream.get_ref().1.peer_certificates(),
            Self::WebSocket(socket) => socket.below().get_ref().1.peer_certificates(),
            Self::Memory(_) => None,
        }
    }
}

/// What a handshake agreed on, by IANA's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// `TLSv1.3`.
    pub version: String,
    /// `TLS_AES_256_GCM_SHA384`.
    pub suite: String,
    /// `X25519MLKEM768`.
    pub group: String,
    /// `mqtt`, where an application protocol was agreed on (ALPN).
    pub alpn: Option<String>,
}

impl Agreed {
    fn on(tls: &ClientConnection) -> Self {
        let unknown = || "unknown".to_owned();
        let group = tls.negotiated_key_exchange_group();
        let version = tls.protocol_version().and_then(|version| version.as_str());
        Self {
            version: version.map_or_else(unknown, |version| version.replace('_', ".")),
            suite: tls.negotiated_cipher_suite().map_or_else(unknown, |suite| crypto::suite_name(suite.suite())),
            group: group.map_or_else(unknown, |group| crypto::group_name(group.name())),
            alpn: tls.alpn_protocol().map(|protocol| protocol.escape_ascii().to_string()),
        }
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.version, self.suite, self.group)?;
        self.alpn.iter().try_for_each(|alpn| write!(f, " {alpn}"))
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::WebSocket(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Memory(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::WebSocket(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Memory(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::WebSocket(socket) => Pin::new(socket).poll_flush(context),
            Self::Memory(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::WebSocket(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
