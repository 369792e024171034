//! Other projects' brokers, started on this machine for tests: each over mutual TLS on 127.0.0.1, in a directory of its
//! own. Installs nothing, and reads no configuration of the machine.

mod activemq;
mod aedes;
mod daemon;
mod ejabberd;
mod foreign;
mod habits;
mod install;
mod launch;
mod mosquitto;
mod nats;
mod product;
mod rabbitmq;
mod rumqttd;
pub mod table;

pub use foreign::Foreign;
pub use habits::{Habits, Kept, Shared, Stranger};
pub use install::{NotInstalled, REQUIRE_BROKERS, require};
pub use nats::ACK_WAIT;
pub use product::Product;

use std::io;

/// A broker of the lab did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// It is not on this machine.
    #[error(transparent)]
    Missing(#[from] NotInstalled),
    /// Its directory could not be written, or its process not be started or signalled.
    #[error("broker `{broker}`: {source}")]
    Io {
        /// Which broker.
        broker: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// It ended, or does not listen.
    #[error("broker `{broker}`: {what}; the end of its log: {log}")]
    Failed {
        /// Which broker.
        broker: &'static str,
        /// What went wrong.
        what: &'static str,
        /// Its own last words.
        log: String,
    },
    /// Its certificates could not be made.
    #[error(transparent)]
    Certificates(#[from] crate::certs::CertError),
}
