//! How a connection, or the attempt to make one, ends. Does no I/O.

use tracing::error;

use super::connect_error::ConnectError;
use super::packet::{Close, Reason, WireError};

/// The end of one connection.
#[derive(Debug)]
pub enum End {
    /// Everything is done, and DISCONNECT was sent.
    Drained,
    /// The broker has nothing more for this session, which is given up for good.
    Retired,
    /// It is replaced by a connection with newer TLS files; the session continues.
    Renewed,
    /// It broke, or never was.
    Lost {
        /// Why, in words for the log.
        why: String,
        /// Nothing will change soon: wait the longest time.
        lasting: bool,
        /// The other end closed the connection and named no fault of ours, as it does when another client takes the
        /// session over.
        closed: bool,
        /// Another client has the same client id.
        taken_over: bool,
        /// The reason code to send to the broker.
        close: Option<u8>,
    },
}

impl End {
    /// Lost for a cause that may be gone at once.
    pub fn lost(why: impl ToString) -> Self {
        Self::Lost { why: why.to_string(), lasting: false, closed: false, taken_over: false, close: None }
    }

    /// Lost for a cause that somebody has to repair.
    pub fn lasting(why: String) -> Self {
        Self::Lost { why, lasting: true, closed: false, taken_over: false, close: None }
    }

    /// The broker sent what it must not (MQTT 5, 4.13).
    pub fn protocol_error(what: &str) -> Self {
        error!(event = "broker.protocol_error", packet = what, "protocol error by the broker");
        Self::Lost {
            why: format!("protocol error by the broker: {what}"),
            lasting: false,
            closed: false,
            taken_over: false,
            close: Some(0x82),
        }
    }

    /// The broker closed the connection with a DISCONNECT (MQTT 5, 3.14).
    pub fn disconnected(reason: &Reason) -> Self {
        let taken_over = reason.code == Reason::SESSION_TAKEN_OVER;
        let hint = if taken_over { "; is another process running with the same client id?" } else { "" };
        // Normal disconnection and unspecified error say nothing.
        let closed = taken_over || matches!(reason.code, 0x00 | 0x80);
        let why = format!("the broker disconnects: {}{hint}", reason.text);
        Self::Lost { why, lasting: reason.is_lasting(), closed, taken_over, close: None }
    }

    /// The same, with what it may come from. Where the other end closed the connection, that is a better explanation
    /// than another client with our client id.
    pub fn explained(self, explanation: impl FnOnce() -> String) -> Self {
        match self {
            Self::Lost { why, lasting, closed: true, taken_over, close } => {
                Self::Lost { why: format!("{why}{}", explanation()), lasting, closed: false, taken_over, close }
            }
            other => other,
        }
    }

    /// The reason code to send to the broker.
    pub fn close(&self) -> Close {
        match self {
            Self::Lost { close: Some(code), .. } => Close::Error(*code),
            Self::Retired => Close::Forget,
            _ => Close::Normal,
        }
    }
}

impl From<ConnectError> for End {
    fn from(error: ConnectError) -> Self {
        let lasting = matches!(error, ConnectError::Refused { lasting: true, .. });
        Self::Lost { why: error.to_string(), lasting, closed: false, taken_over: false, close: None }
    }
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        Self::Lost {
            why: error.text.to_string(),
            lasting: error.lasting,
            closed: false,
            taken_over: false,
            close: Some(error.code),
        }
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        // `Connection` reports a refusal by the broker with this kind.
        let lasting = error.kind() == K::PermissionDenied;
        let closed =
            matches!(error.kind(), K::UnexpectedEof | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe);
        Self::Lost { why: error.to_string(), lasting, closed, taken_over: false, close: None }
    }
}
