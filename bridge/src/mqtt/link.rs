//! The state that all connections of a client share. Plain data.

use std::time::Duration;

use crate::config::{Protocol, Range};

/// How a client names itself, and how long it is patient.
#[derive(Debug, Clone)]
pub struct Link {
    /// Names the client at the broker.
    pub client_id: String,
    /// The protocol version.
    pub protocol: Protocol,
    /// The Keep Alive to ask for; also how long the broker may refuse to take our bytes.
    pub keep_alive: Duration,
    /// Time for TCP, TLS and CONNACK together, and for SUBACK.
    pub connect_timeout: Duration,
    /// Waits between attempts to connect.
    pub backoff: Range,
}
