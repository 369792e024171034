//! `cargo sandbox bench`: what a message costs, by both clients for Lambda in one run. Figures are printed and judged by
//! nobody: on a machine that does other work only their ratios mean something.

pub mod command;
mod cpu;
mod figures;
mod publisher;
mod scenario;
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
    #[error("bench: {0}")]
    Io(#[from] std::io::Error),
    /// Its figures could not be written.
    #[error("figures: {0}")]
    Json(#[from] serde_json::Error),
    /// Something did not come in time.
    #[error("bench: {0} did not come in time")]
    Late(&'static str),
}
