//! The upgrade from HTTP/1.1 to a WebSocket with the subprotocol `mqtt` (RFC 6455, section 4; MQTT 5, section 6), and
//! what a refusal means. Of the answer its status alone is used: no redirect is followed, no body is read.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Result};

use super::WebSocket;
use crate::mqtt::packet::MAX_PACKET_SIZE;
use crate::mqtt::tls::{Failure, explain};

/// For reading and writing each: a frame of small packets, as brokers send them.
const BUFFER: usize = 16 * 1024;

/// Asks for a WebSocket at `path`.
///
/// # Errors
/// Says what the answer means, and whether somebody has to change something.
pub(in crate::mqtt) async fn upgrade<S>(
    stream: S,
    authority: &str,
    path: &str,
) -> std::result::Result<WebSocket<S>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let uri = Uri::builder().scheme("wss").authority(authority).path_and_query(path).build();
    let opened: Result<_> = match uri {
        Ok(uri) => {
            let request = ClientRequestBuilder::new(uri).with_sub_protocol("mqtt");
            client_async_with_config(request, stream, Some(config())).await
        }
        Err(error) => Err(error.into()),
    };
    opened.map(|(socket, _)| WebSocket::over(socket)).map_err(failed)
}

/// A frame, as a message of several frames, holds one packet at least; more than the largest one it need not hold.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_frame_size(Some(MAX_PACKET_SIZE as usize))
        .max_message_size(Some(MAX_PACKET_SIZE as usize))
}

fn failed(error: Error) -> Failure {
    use SubProtocolError as S;
    match error {
        Error::Http(response) => answered(response.status().as_u16()),
        Error::Io(error) => explain(&error),
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(S::NoSubProtocol | S::InvalidSubProtocol)) => {
            lasting("the server agrees to no subprotocol `mqtt`: the path is of another service")
        }
        Error::Protocol(ProtocolError::HandshakeIncomplete | ProtocolError::ResetWithoutClosingHandshake) => {
            let cause = "the server closed the connection in place of an answer; a port that carries MQTT without WebSocket \
                         does that too: then write `mqtts://`";
            Failure { cause: cause.into(), lasting: false }
        }
        Error::Protocol(ProtocolError::HttparseError(_)) => {
            lasting("the answer is no HTTP; where the port carries MQTT without WebSocket, write `mqtts://`")
        }
        _ => lasting("the answer is not that of a WebSocket server; check host, port and path in `mqtt.url`"),
    }
}

/// What the status of another answer than 101 means.
fn answered(status: u16) -> Failure {
    let lasts = |meaning: &str| lasting(format!("the server answers {status}{meaning}"));
    match status {
        200..=299 => lasts(" as to any request: nothing at this path carries WebSocket; check the path in `mqtt.url`"),
        300..=399 => lasts(", a redirect, and none is followed: write where it leads to into `mqtt.url`"),
        401 => lasts(
            ": it wants a login in HTTP, which the bridge does not give; user name and password of MQTT go into CONNECT, so \
             have the server let this path pass",
        ),
        403 => lasts(": it forbids this path; check the path in `mqtt.url` and whom the server lets pass"),
        404 | 410 => lasts(": there is nothing at this path; check the path in `mqtt.url`"),
        426 => lasts(": it wants another version of HTTP or WebSocket than 1.1 and 13"),
        408 | 425 | 429 | 500..=599 => {
            Failure { cause: format!("the server answers {status}: it does not reach the broker now"), lasting: false }
        }
        _ => lasts(": it takes no WebSocket here; check host, port and path in `mqtt.url`"),
    }
}

fn lasting(cause: impl Into<String>) -> Failure {
    Failure { cause: cause.into(), lasting: true }
}
