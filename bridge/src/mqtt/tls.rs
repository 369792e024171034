//! TLS towards the broker: always verified. There is no way to weaken it here, because there is no code that could: the one
//! verifier is that of rustls, and the witness in front of it writes down what it refuses.
//!
//! [`LiveTls`] holds the configuration that new connections use, and renews it when its files change.

mod certificate;
mod error;
mod explain;
mod files;
mod live;
mod set;
mod witness;

pub use error::TlsError;
pub(super) use explain::{Failure, explain};
pub(super) use live::Freshness;
pub use live::LiveTls;
