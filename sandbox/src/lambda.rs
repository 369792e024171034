//! A local AWS Lambda: the Invoke API in front, the Runtime API behind, faults on request, every invocation on record.
//!
//! Speaks to the bridge as the service does, and to a function as the service does, so that neither knows the
//! difference. It never checks signatures, and never retries an asynchronous invocation.

mod caller;
mod errors;
mod execution;
mod faults;
mod function;
pub(crate) mod http;
mod invoke_api;
mod kind;
mod log;
mod output;
mod process;
mod runtime_api;

pub use errors::{Refusal, ThrottleReason};
pub use faults::{Action, Armed, Fault, FaultId, Faults, When};
pub use function::{Answer, Body, BoxFuture, Call, Function, Inline};
pub use kind::Kind;
pub use log::{History, Invocation, Keep, Late, Log, Outcome, Totals};
pub use output::{Line, Output};

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use execution::Host;

/// Largest payload and largest answer of a synchronous invocation, in bytes
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
pub const SYNC_LIMIT: usize = 6 * 1024 * 1024;
/// Largest payload of an asynchronous invocation, in bytes (the same page).
pub const EVENT_LIMIT: usize = 1024 * 1024;

/// The region in every ARN.
pub const REGION: &str = "us-east-1";
/// The account in every ARN.
pub const ACCOUNT: &str = "000000000000";

/// How a [`Lambda`] listens and what it remembers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; a free port of the loopback interface unless said otherwise.
    pub listen: SocketAddr,
    /// What the log keeps of each invocation.
    pub keep: Keep,
    /// How many invocations the log keeps; older ones are forgotten, the totals stay.
    pub history: usize,
    /// How many lines of the functions' output are kept.
    pub output_lines: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { listen, keep: Keep::Payloads, history: 65_536, output_lines: 1_000 }
    }
}

/// Why a [`Lambda`] did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("local lambda: cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// Two functions share a name.
    #[error("local lambda: function `{0}` is given twice: give each function its own name")]
    Duplicate(String),
}

/// A running local Lambda. Dropping it ends the server and kills every function process.
#[derive(Debug)]
pub struct Lambda {
    host: Arc<Host>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Lambda {
    /// Starts with default settings.
    ///
    /// # Errors
    /// When no port is free or two functions share a name.
    pub async fn start(functions: impl IntoIterator<Item = Function>) -> Result<Self, StartError> {
        Self::start_with(functions, Settings::default()).await
    }

    /// Starts as `settings` say.
    ///
    /// # Errors
    /// When the address cannot be listened on or two functions share a name.
    pub async fn start_with(
        functions: impl IntoIterator<Item = Function>,
        settings: Settings,
    ) -> Result<Self, StartError> {
        let host = Arc::new(Host::new(functions, &settings)?);
        let refused = |error| StartError::Listen(settings.listen, error);
        let listener = TcpListener::bind(settings.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let api = Arc::clone(&host);
        let server = tokio::spawn(http::serve(listener, move |request| invoke_api::route(Arc::clone(&api), request)));
        Ok(Self { host, address, server })
    }

    /// The value for `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The switchboard of faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.host.faults.clone()
    }

    /// The record of every invocation.
    #[must_use]
    pub fn log(&self) -> Log {
        self.host.log.clone()
    }

    /// What the function processes wrote to stdout and stderr.
    #[must_use]
    pub fn output(&self) -> Output {
        self.host.output.clone()
    }

    /// Ends the server and waits until every function process is gone.
    pub async fn stop(mut self) {
        self.server.abort();
        // The abort is the only way for the server to end: its result says nothing.
        let _ = (&mut self.server).await;
        self.host.stop().await;
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        self.server.abort();
        self.host.abort();
    }
}

/// Locks, also after a panic elsewhere: nothing here is left half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
