//! HTTP to AWS, for the clients of the SDK and the bridge's own: HTTP/1.1 alone, one exchange a connection at a time. So a connection that
//! is dead or stalls spoils one exchange, and is never used again.

mod connection;
mod dial;
mod error;
mod exchange;
mod memory;
mod origin;
mod pool;
mod roots;
mod sdk;
mod tcp;

pub(crate) use connection::Body;
pub(crate) use error::HttpError;
pub(crate) use exchange::{Http, Limits};
pub use memory::{Answering, Service};
pub(crate) use origin::Target;
#[cfg(test)]
pub(super) use sdk::error as as_the_sdk_has_it;
