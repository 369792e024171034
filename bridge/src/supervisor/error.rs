//! Why a bridge does not start, or stops, and the exit code for it.

use std::io;
use std::net::SocketAddr;

use crate::aws::AwsError;
use crate::dead_letter::DestinationError;
use crate::mapping::filter::FilterError;
use crate::mqtt::TlsError;

/// Why a bridge cannot start. Nothing was connected.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// TLS material that cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A failure destination that cannot be opened.
    #[error("mapping `{mapping}`: {cause}")]
    Destination {
        /// Whose.
        mapping: String,
        /// Why.
        cause: DestinationError,
    },
    /// A pattern that is none.
    #[error("mapping `{mapping}`: {cause}")]
    Filter {
        /// Whose.
        mapping: String,
        /// Why.
        cause: FilterError,
    },
    /// A broker that cannot be named.
    #[error("{0}")]
    Broker(String),
    /// No AWS to invoke functions at.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// An admin address that cannot be had.
    #[error("admin.listen: {address}: {source}")]
    Admin {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Why [`serve`](super::serve) ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It never began.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The operating system would not tell us of signals.
    #[error("signals: {0}")]
    Signals(io::Error),
    /// It has retired, but unsubscribed while the broker may have had messages queued.
    #[error(
        "retired: the broker's queue could not be proven empty before UNSUBSCRIBE; a broker that drops its queue then has \
         lost what was in it (docs/brokers.md)"
    )]
    QueueUnproven,
    /// A part of the bridge ended by itself, which is a fault of the bridge.
    #[error("bridge: a task ended unexpectedly; see the log")]
    Task,
}

impl ServeError {
    /// 2 when somebody has to change the configuration, 3 when it has retired without proof that nothing is lost, 1
    /// otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Start(StartError::Admin { .. }) | Self::Signals(_) | Self::Task => 1,
            Self::Start(_) => 2,
            Self::QueueUnproven => 3,
        }
    }
}
