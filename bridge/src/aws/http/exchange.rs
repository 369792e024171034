//! One request and its whole response, with a timeout for each stage: the wait for a connection never counts as the
//! service's time. Sends a request again only if it provably was not sent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, PROXY_AUTHORIZATION};
use hyper::{Request, Response};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::time::timeout;

use super::connection::{Body, Connection};
use super::dial::Dialler;
use super::error::HttpError;
use super::memory::{self, Service};
use super::origin::Target;
use super::pool::{Next, Pool};
use super::roots;
use super::tcp::{Names, Tcp};

/// The headers by which AWS names a request, of which each response has one.
pub(crate) static REQUEST_IDS: [HeaderName; 2] =
    [HeaderName::from_static("x-amzn-requestid"), HeaderName::from_static("x-amz-request-id")];

/// How long a connection may take unless a client says otherwise: name, TCP, proxy and TLS together.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest response of any service that the bridge calls is an object of S3 with one message in it.
const LONGEST: usize = 512 * 1024 * 1024;

/// How long the stages of an exchange may take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// Until there is a connection; five seconds unless said.
    pub(crate) connect: Option<Duration>,
    /// From then until the last byte of the response; without limit unless said.
    pub(crate) exchange: Option<Duration>,
}

/// The client; clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    way: Way,
    longest: usize,
}

#[derive(Debug, Clone)]
enum Way {
    Network(Arc<Network>),
    Memory(Arc<dyn Service>),
}

#[derive(Debug)]
struct Network {
    dialler: Dialler,
    pool: Pool,
}

/// The result of a request on one connection.
enum Sent {
    Answered(Response<Bytes>),
    /// The connection had ended before the first byte; here is the request back.
    Unsent(Request<Body>),
}

impl Http {
    /// A client as the environment says: roots, `AWS_CA_BUNDLE`, and the proxies of `HTTPS_PROXY`, `HTTP_PROXY`,
    /// `NO_PROXY`.
    ///
    /// # Errors
    /// If `AWS_CA_BUNDLE` cannot be used.
    pub(crate) fn from_environment() -> Result<Self, &'static str> {
        let bundle = std::env::var_os("AWS_CA_BUNDLE");
        let tcp = Tcp::new(Names::of_the_system(), CONNECT);
        let dialler = Dialler::new(tcp, roots::roots(bundle.as_deref())?, Matcher::from_env());
        dialler.map(Self::of).map_err(|_| "TLS cannot be set up with this build")
    }

    /// A client for a local endpoint: without TLS, and straight to its host.
    pub(crate) fn plain() -> Self {
        Self::of(Dialler::plain(Tcp::new(Names::of_the_system(), CONNECT)))
    }

    /// A client whose requests go over no network.
    pub(crate) fn in_memory(service: impl Service + 'static) -> Self {
        Self { way: Way::Memory(Arc::new(service)), longest: LONGEST }
    }

    fn of(dialler: Dialler) -> Self {
        Self { way: Way::Network(Arc::new(Network { dialler, pool: Pool::default() })), longest: LONGEST }
    }

    /// The same connections, for responses of at most so many bytes.
    pub(crate) fn at_most(&self, longest: usize) -> Self {
        Self { longest, ..self.clone() }
    }

    /// Sends a request with an absolute URL and returns the whole response.
    ///
    /// # Errors
    /// [`HttpError`], by the stage at which it failed. Before [`HttpError::Timeout`] nothing but the exchange has taken time.
    pub(crate) async fn send(&self, request: Request<Body>, limits: Limits) -> Result<Response<Bytes>, HttpError> {
        let target = Target::of(request.uri().clone())?;
        self.send_to(&target, request, limits).await
    }

    /// The same for a request that leads to `target`, whatever its URL is.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub(crate) async fn send_to(
        &self,
        target: &Target,
        mut request: Request<Body>,
        limits: Limits,
    ) -> Result<Response<Bytes>, HttpError> {
        if !request.headers().contains_key(HOST) {
            request.headers_mut().insert(HOST, target.host().clone());
        }
        match &self.way {
            Way::Network(network) => network.send(target, request, limits, self.longest).await,
            Way::Memory(service) => {
                *request.uri_mut() = target.uri.clone();
                timeout(most(limits.exchange), memory::exchange(&**service, request, self.longest))
                    .await
                    .unwrap_or(Err(HttpError::Timeout))
            }
        }
    }
}

impl Network {
    async fn send(
        &self,
        target: &Target,
        mut request: Request<Body>,
        limits: Limits,
        longest: usize,
    ) -> Result<Response<Bytes>, HttpError> {
        loop {
            let (mut connection, fresh) = self.connection(target, limits).await?;
            address(&mut request, target, &connection);
            // In one expression: a future in a variable is kept twice, there and where it is awaited.
            match timeout(most(limits.exchange), exchange(&mut connection, request, longest))
                .await
                .unwrap_or(Err(HttpError::Timeout))
            {
                Ok(Sent::Answered(response)) => {
                    self.keep(target, connection, &response);
                    return Ok(response);
                }
                Ok(Sent::Unsent(back)) if !fresh => request = back,
                Ok(Sent::Unsent(_)) => {
                    return Err(HttpError::Connect(io::Error::other("closed before anything was sent")));
                }
                Err(error) => {
                    self.pool.forget(&target.origin);
                    return Err(error);
                }
            }
        }
    }

    /// One from the pool, or a new one (`true`).
    async fn connection(&self, target: &Target, limits: Limits) -> Result<(Connection, bool), HttpError> {
        let pooled = self.pool.take(&target.origin);
        match pooled {
            // The usual case needs no timeout.
            Some(connection) if connection.sender.is_ready() => Ok((connection, false)),
            pooled => {
                // In a box, or every exchange would carry the room for a handshake.
                let connecting = Box::pin(self.connect(target, pooled));
                let limit = limits.connect.unwrap_or(CONNECT);
                timeout(limit, connecting).await.unwrap_or(Err(HttpError::ConnectTimeout))
            }
        }
    }

    async fn connect(&self, target: &Target, pooled: Option<Connection>) -> Result<(Connection, bool), HttpError> {
        let mut next = pooled;
        loop {
            if let Some(mut connection) = next
                && connection.sender.ready().await.is_ok()
            {
                return Ok((connection, false));
            }
            match self.pool.next(&target.origin).await {
                Next::Idle(connection) => next = Some(connection),
                Next::Dial(dial) => {
                    let connection = self.dialler.dial(&target.origin, &target.uri).await?;
                    dial.succeeded();
                    return Ok((connection, true));
                }
            }
        }
    }

    /// For the next request. After an answer that is not AWS's the service may have moved, so the next connection goes
    /// to the address that its name has then.
    fn keep(&self, target: &Target, connection: Connection, response: &Response<Bytes>) {
        if is_of_the_service(response) {
            self.pool.put(&target.origin, connection);
        } else {
            self.pool.forget(&target.origin);
        }
    }
}

/// All responses of AWS name the request; of those that do not, only pages and errors are suspicious, because emulators
/// and the sources of credentials name none.
fn is_of_the_service(response: &Response<Bytes>) -> bool {
    let headers = response.headers();
    let is_page = || headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    REQUEST_IDS.iter().any(|name| headers.contains_key(name)) || (response.status().is_success() && !is_page())
}

/// A server is asked for a path, a proxy for the whole URL (RFC 9112, 3.2).
fn address(request: &mut Request<Body>, target: &Target, connection: &Connection) {
    *request.uri_mut() = if connection.forwarded.is_some() { target.uri.clone() } else { target.path.clone() };
    request.headers_mut().remove(PROXY_AUTHORIZATION);
    if let Some(login) = connection.forwarded.as_ref().and_then(|proxy| proxy.login.clone()) {
        request.headers_mut().insert(PROXY_AUTHORIZATION, login);
    }
}

async fn exchange(connection: &mut Connection, request: Request<Body>, longest: usize) -> Result<Sent, HttpError> {
    let response = match connection.sender.try_send_request(request).await {
        Ok(response) => response,
        Err(mut error) => {
            return match error.take_message() {
                Some(request) => Ok(Sent::Unsent(request)),
                None => Err(HttpError::Broken(error.into_error().into())),
            };
        }
    };
    let (head, body) = response.into_parts();
    match Limited::new(body, longest).collect().await {
        Ok(body) => Ok(Sent::Answered(Response::from_parts(head, body.to_bytes()))),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(HttpError::TooLong { status: head.status.as_u16(), limit: longest })
        }
        Err(error) => Err(HttpError::Broken(error)),
    }
}

/// How long a stage may take: for ever unless there is a limit.
fn most(limit: Option<Duration>) -> Duration {
    limit.unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;
