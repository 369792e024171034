//! TCP to a host. It resolves the name for each connection, so it finds a service that has moved, and turns keep-alive
//! on. Knows neither TLS nor HTTP.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::net::TcpStream;
use tower_service::Service;

use super::error::HttpError;

/// NAT gateways and load balancers forget a connection that is silent for 350 s, and a function may take 900 s.
const KEEP_ALIVE: Duration = Duration::from_mins(1);
/// How often a peer that does not answer the keep-alive is asked again, and how many times; Linux goes by [`UNTAKEN`]
/// instead.
const ASK_AGAIN: (Duration, u32) = (Duration::from_secs(30), 2);
/// A connection whose other side takes nothing of what is sent for so long is dead. Without it a request on a dead
/// connection would have the function's whole time, and be an attempt, though nobody has received it.
#[cfg(target_os = "linux")]
const UNTAKEN: Duration = Duration::from_secs(30);

type Looking = Pin<Box<dyn Future<Output = io::Result<std::vec::IntoIter<SocketAddr>>> + Send>>;

/// Resolves names.
#[derive(Clone)]
pub(super) struct Names(Arc<dyn Fn(String) -> Looking + Send + Sync>);

impl Names {
    /// The system's resolver.
    pub(super) fn of_the_system() -> Self {
        Self::looked_up(|name| async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.collect())
        })
    }

    /// Whoever `lookup` asks.
    pub(super) fn looked_up<L>(lookup: impl Fn(String) -> L + Send + Sync + 'static) -> Self
    where
        L: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Self(Arc::new(move |name| {
            let looking = lookup(name);
            Box::pin(async { looking.await.map(Vec::into_iter) })
        }))
    }
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Looking;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Looking {
        (self.0)(name.as_str().to_owned())
    }
}

/// Makes TCP connections.
#[derive(Clone)]
pub(super) struct Tcp(HttpConnector<Names>);

impl Tcp {
    /// The addresses that a name has share the time, so that one that is dead leaves some for the next.
    pub(super) fn new(names: Names, longest: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(names);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.set_keepalive_interval(Some(ASK_AGAIN.0));
        tcp.set_keepalive_retries(Some(ASK_AGAIN.1));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNTAKEN));
        tcp.set_connect_timeout(Some(longest));
        Self(tcp)
    }

    /// A connection to the host and port of `uri`, or to the port that its scheme implies.
    pub(super) async fn connect(&self, uri: Uri) -> Result<TcpStream, HttpError> {
        let mut tcp = self.0.clone();
        let failed = |error| HttpError::Connect(innermost(&error));
        poll_fn(|context| Service::<Uri>::poll_ready(&mut tcp, context)).await.map_err(failed)?;
        Ok(tcp.call(uri).await.map_err(failed)?.into_inner())
    }
}

/// The I/O error at the bottom, which says most: `Connection refused`.
fn innermost(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        found = error.downcast_ref::<io::Error>().or(found);
        next = error.source();
    }
    found.map_or_else(|| io::Error::other("no address answers"), |io| io::Error::new(io.kind(), io.to_string()))
}
