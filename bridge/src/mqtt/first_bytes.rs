//! A socket that remembers the first bytes that the other end sent, so that an error can name the protocol of a port
//! that does not speak TLS. Passes everything on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Enough to tell protocols apart.
const ENOUGH: usize = 8;

/// A TCP connection and what came first.
#[derive(Debug)]
pub struct FirstBytes {
    tcp: TcpStream,
    first: Vec<u8>,
}

impl FirstBytes {
    /// Nothing has been read yet.
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, first: Vec::new() }
    }

    /// Whether the other end has said nothing yet.
    pub fn is_silent(&self) -> bool {
        self.first.is_empty()
    }

    /// What the other end speaks, when it is not TLS; `None` when it is, or has said nothing.
    pub fn foreign(&self) -> Option<String> {
        let first = *self.first.first()?;
        // The content types of TLS (RFC 8446, section 5.1): change_cipher_spec, alert, handshake, application_data.
        if (0x14..=0x17).contains(&first) {
            return None;
        }
        Some(match first {
            _ if self.first.starts_with(b"HTTP/") => "speaks HTTP; is this the port of a web server?".into(),
            // CONNACK, PINGRESP and DISCONNECT (MQTT 5, 2.1.2).
            0x20 | 0xd0 | 0xe0 => "speaks MQTT without TLS; use the TLS port, usually 8883".into(),
            _ => format!("speaks neither TLS nor MQTT: its first bytes are {}", self.first.escape_ascii()),
        })
    }
}

impl AsyncRead for FirstBytes {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        if self.first.len() < ENOUGH {
            let new = &buf.filled()[before..];
            let missing = (ENOUGH - self.first.len()).min(new.len());
            self.first.extend_from_slice(&new[..missing]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FirstBytes {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
