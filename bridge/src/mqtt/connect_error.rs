//! Why a connection cannot be made, by the step that failed. Does no I/O.

use std::io;

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
    #[error("{broker}: no TCP connection: {cause}")]
    Tcp {
        /// Host and port.
        broker: String,
        /// What each address that was tried said.
        cause: String,
    },
    /// A step above TCP failed.
    #[error("{broker}: {step}: {cause}")]
    Refused {
        /// Host, port and, when there was a connection, the address.
        broker: String,
        /// `proxy`, `tls`, or `websocket`.
        step: &'static str,
        /// What is wrong, and the way out.
        cause: String,
        /// Whether another try can only succeed when somebody has changed something.
        lasting: bool,
    },
}
