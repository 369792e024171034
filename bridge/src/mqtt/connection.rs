//! One connection, and the bytes in both directions. Reads packets only to report what is wrong.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::buffer::make_room;
use super::tls::{Failure, Freshness, LiveTls, ShownCertificate, explain};
use super::transport::{Agreed, Transport};
use super::websocket::Said;

/// An open connection, with what was read and not decoded, and what is to be written.
pub struct Connection {
    transport: Transport,
    /// The generation of the TLS set that it was made with.
    freshness: Freshness,
    tls: Option<LiveTls>,
    /// Received bytes that are not decoded yet.
    pub input: BytesMut,
    /// Packets that the next [`Connection::flush`] writes.
    pub output: BytesMut,
}

impl Connection {
    /// Nothing was said on it yet.
    pub(super) fn new(transport: Transport, freshness: Freshness, tls: Option<LiveTls>) -> Self {
        Self { transport, freshness, tls, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// Waits for more bytes, and says how many have come. Cancel safe.
    ///
    /// # Errors
    /// When the connection is broken or closed; as [`io::ErrorKind::PermissionDenied`] when the broker refuses us, which
    /// under TLS 1.3 it can say only after the handshake.
    pub async fn read(&mut self) -> io::Result<usize> {
        make_room(&mut self.input);
        match self.transport.read_buf(&mut self.input).await {
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
        let written = write(&mut self.transport, &self.output, patience).await;
        self.judge(written).await?;
        self.output.clear();
        Ok(())
    }

    /// Writes this packet and nothing else, and keeps no copy of it.
    ///
    /// # Errors
    /// As [`Connection::flush`].
    pub async fn send(&mut self, packet: &[u8], patience: Duration) -> io::Result<()> {
        let written = write(&mut self.transport, packet, patience).await;
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

    /// Says goodbye on the TLS level, and waits for the broker to hang up: closing a socket that still has something to
    /// be read would reset the connection, and with it the acknowledgements under way. What fails now does not matter
    /// any more.
    pub async fn close(mut self, patience: Duration) {
        let goodbye = async {
            self.transport.shutdown().await?;
            loop {
                self.input.clear();
                make_room(&mut self.input);
                if self.transport.read_buf(&mut self.input).await? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        let _ = tokio::time::timeout(patience, goodbye).await;
    }

    /// Signals when this connection should be replaced by one with newer TLS files.
    pub(super) fn freshness(&self) -> Freshness {
        self.freshness.clone()
    }

    /// Counts this connection, which the broker has accepted, and lets the next one be replaced.
    pub fn accepted(&self) {
        let Agreed { version, suite, group, .. } = self.agreed();
        if let Some(tls) = &self.tls {
            tls.connected(version, suite, group);
        }
        self.freshness.accepted();
    }

    /// What the handshake agreed on.
    #[must_use]
    pub fn agreed(&self) -> Agreed {
        self.transport.agreed()
    }

    /// The broker's certificate, with the fields that operators need.
    pub(super) fn certificate(&self) -> Option<ShownCertificate> {
        self.transport.certificates().and_then(ShownCertificate::of)
    }

    async fn last_words(&mut self) -> Option<io::Error> {
        const PATIENCE: Duration = Duration::from_secs(1);
        match tokio::time::timeout(PATIENCE, self.read()).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Some(error),
            _ => None,
        }
    }
}

async fn write(transport: &mut Transport, bytes: &[u8], patience: Duration) -> io::Result<()> {
    let write = async {
        transport.write_all(bytes).await?;
        transport.flush().await
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the broker takes no more bytes");
    tokio::time::timeout(patience, write).await.unwrap_or_else(|_| Err(late()))
}

fn in_words(error: &io::Error) -> io::Error {
    if let Some(said) = error.get_ref().and_then(|inner| inner.downcast_ref::<Said>()) {
        return io::Error::new(error.kind(), said.to_string());
    }
    let Failure { cause, lasting } = explain(error);
    io::Error::new(if lasting { io::ErrorKind::PermissionDenied } else { error.kind() }, cause)
}
