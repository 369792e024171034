//! `cargo sandbox bench`: measures the cost of a message, with both clients for Lambda and with other programs, in one
//! run. On a busy machine only ratios are meaningful, so the goals are ratios, and no test depends on a time.

mod case;
mod choice;
pub mod command;
mod cpu;
mod decompression;
mod endpoint;
mod exchange;
mod figures;
mod goals;
mod header;
mod held;
mod pace;
mod peers;
mod picture;
mod play;
mod publisher;
mod queued;
mod quiet;
mod received;
pub mod rust_peer;
mod scenario;
mod shared;
mod start;
pub mod stub;

/// What a bench could not do.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Its world.
    #[error(transparent)]
    World(#[from] crate::world::WorldError),
    /// Its certificates.
    #[error("certificates: {0}")]
    Tls(String),
    /// A process or a socket.
    #[error("bench")]
    Io(#[from] std::io::Error),
    /// Its figures could not be written.
    #[error("figures")]
    Json(#[from] serde_json::Error),
    /// The broker that was asked for.
    #[error("broker {0}")]
    Broker(String),
    /// The bridge that was given.
    #[error("binary `{}`: cannot be measured: {}; name one with --bridge, or leave that out", .0.display(), .1)]
    Bridge(std::path::PathBuf, std::io::Error),
    /// A peer, or what it needs.
    #[error("{0}")]
    Peer(String),
    /// The picture.
    #[error("picture: {0}")]
    Picture(String),
    /// Something did not come in time.
    #[error("bench: {0} did not come in time")]
    Late(&'static str),
}
