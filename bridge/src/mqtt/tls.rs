//! TLS towards the broker: always verified. There is no way to weaken it here, because there is no code that could: the
//! one verifier is that of rustls, and the logging verifier in front of it writes refusals to the log.
//!
//! [`LiveTls`] holds the configuration that new connections use, and renews it when its files change.

mod certificate;
mod error;
mod explain;
mod files;
mod generations;
mod live;
mod logging_verifier;
mod set;
#[cfg(feature = "pkcs11")]
mod token;
#[cfg(not(feature = "pkcs11"))]
#[path = "tls/no_token.rs"]
mod token;

pub use certificate::ShownCertificate;
pub use error::TlsError;
pub(super) use explain::{Failure, explain, handshake_failed, handshake_never_ends};
pub(super) use generations::{Freshness, Generations};
pub use live::{LiveTls, Reminder};
