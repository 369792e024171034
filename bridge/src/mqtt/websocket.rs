//! MQTT over a WebSocket (RFC 6455; MQTT 5, section 6): binary frames become a stream of bytes and back. Packet
//! boundaries and frame boundaries are independent. Knows no packets.

mod upgrade;
mod words;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use zeroize::Zeroizing;

pub(super) use upgrade::upgrade;
pub(super) use words::Said;

/// The targets that log all frames, below the level error.
pub const TALKATIVE: &[&str] = &["tokio_tungstenite", "tungstenite"];

/// The longest frame that is written. A broker may have a limit of its own, and none below this.
const LONGEST_WRITTEN: usize = 64 * 1024;

/// A WebSocket over `S`, as a stream of the bytes in its frames.
pub(super) struct WebSocket<S> {
    socket: WebSocketStream<S>,
    /// The bytes of a frame that are not read yet.
    rest: Bytes,
}

/// MQTT over a WebSocket, for a client that is none of the bridge: the bytes of its packets go in and out of what is
/// returned. `stream` is verified TLS.
///
/// # Errors
/// When the server does not agree; in words.
pub async fn open_websocket<S>(
    stream: S,
    authority: &str,
    path: &str,
) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + use<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    upgrade(stream, authority, path).await.map_err(|failure| io::Error::other(failure.cause))
}

impl<S> WebSocket<S> {
    fn over(socket: WebSocketStream<S>) -> Self {
        Self { socket, rest: Bytes::new() }
    }

    /// The underlying stream.
    pub(super) fn below(&self) -> &S
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.socket.get_ref()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    /// Pings are answered by reading on; so who does not read does not answer.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => return Poll::Ready(Ok(())),
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Text(_))) => return Poll::Ready(Err(words::text_frame())),
                Some(Ok(Message::Close(frame))) => return Poll::Ready(Err(words::closed(frame.as_ref()))),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Poll::Ready(Err(words::broken(error))),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(words::broken)?;
        let frame = &bytes[..bytes.len().min(LONGEST_WRITTEN)];
        // CONNECT may hold a password: the copy is wiped.
        let copy = Bytes::from_owner(Zeroizing::new(frame.to_vec()));
        Pin::new(&mut self.socket).start_send(Message::Binary(copy)).map_err(words::broken)?;
        Poll::Ready(Ok(frame.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context).map_err(words::broken)
    }

    /// Sends a Close frame; the broker answers with its own and closes the connection below (RFC 6455, 7.1.1).
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context).map_err(words::broken)
    }
}

#[cfg(test)]
mod tests;
