//! HTTP to AWS, for the SDK's clients and the bridge's own: HTTP/1.1 only, one exchange at a time on a connection. So a
//! connection that is dead or stalls breaks one exchange, and is never used again.

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
pub(crate) use exchange::{Http, Limits, REQUEST_IDS};
pub use memory::{Answering, Service};
pub(crate) use origin::Target;
#[cfg(test)]
pub(super) use sdk::error as as_the_sdk_has_it;
