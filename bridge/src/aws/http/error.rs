//! Why an exchange brought no response, by the stage at which it failed. Repeats nothing of the request.

use std::io;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The request has no host to go to.
    #[error("the URL has no host")]
    NoHost,
    /// No connection: the address was not found, nobody listens, or TLS failed. Nothing was sent.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// Neither a connection nor a refusal in time. Nothing was sent.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The proxy does not let the bridge through, for this reason. Nothing was sent.
    #[error("{0}")]
    Proxy(String),
    /// On a connection that there was, no whole response in time.
    #[error("no whole response in time")]
    Timeout,
    /// The connection broke before the whole response was there.
    #[error("the connection broke before the whole response was there")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// More than any response of the service has.
    #[error(
        "HTTP {status}: the response is larger than the {} MB that the service answers at most; something else may be \
         listening there",
        limit / 1_000_000
    )]
    TooLong {
        /// Of its head.
        status: u16,
        /// In bytes.
        limit: usize,
    },
}
