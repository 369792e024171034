//! Explains how a WebSocket ended, as text. Does no I/O.

use std::fmt;
use std::io;

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::foreign::Foreign;

/// The cause of an [`io::Error`] that says all there is to say.
#[derive(Debug)]
pub(in crate::mqtt) struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

/// MQTT 5, 6.0.0-1.
pub(super) fn text_frame() -> io::Error {
    said(io::ErrorKind::InvalidData, "the broker sends a text frame, and MQTT goes in binary frames alone".into())
}

/// The broker's Close frame. Where it names no fault, that is as if it had closed the connection; where it names a
/// policy, somebody has to change something.
pub(super) fn closed(frame: Option<&CloseFrame>) -> io::Error {
    let Some(frame) = frame else {
        return said(io::ErrorKind::ConnectionAborted, "the broker closed the WebSocket".into());
    };
    let (kind, meaning) = match frame.code {
        CloseCode::Normal => (io::ErrorKind::ConnectionAborted, "normal closure"),
        CloseCode::Away => (io::ErrorKind::ConnectionAborted, "going away"),
        CloseCode::Protocol => (io::ErrorKind::InvalidData, "protocol error"),
        CloseCode::Unsupported => (io::ErrorKind::InvalidData, "unsupported data"),
        CloseCode::Invalid => (io::ErrorKind::InvalidData, "invalid data"),
        CloseCode::Policy => (io::ErrorKind::PermissionDenied, "policy violation"),
        CloseCode::Size => (io::ErrorKind::InvalidData, "message too big"),
        CloseCode::Error => (io::ErrorKind::Other, "internal error"),
        CloseCode::Restart => (io::ErrorKind::Other, "it restarts"),
        CloseCode::Again => (io::ErrorKind::Other, "try again later"),
        _ => (io::ErrorKind::Other, "for a reason of its own"),
    };
    let ours = format!("the broker closed the WebSocket with {}, {meaning}", u16::from(frame.code));
    said(kind, Foreign::behind(&ours, frame.reason.as_str()).to_string())
}

/// What the library says of a connection that is broken. Errors of TLS and TCP stay what they are.
pub(super) fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing) => {
            io::ErrorKind::UnexpectedEof.into()
        }
        Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => said(
            io::ErrorKind::InvalidData,
            format!("the broker sends a frame of more than {max_size} bytes, which no packet of MQTT has"),
        ),
        Error::Protocol(fault) => said(io::ErrorKind::InvalidData, format!("the broker breaks WebSocket: {fault}")),
        _ => said(io::ErrorKind::InvalidData, "the broker breaks WebSocket".into()),
    }
}

fn said(kind: io::ErrorKind, words: String) -> io::Error {
    io::Error::new(kind, Said(words))
}
