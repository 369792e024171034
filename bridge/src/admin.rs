//! The endpoint for operators: `/livez`, `/readyz` and `/metrics` over plain HTTP on an address of the operator's
//! choice. Changes nothing and shows no payload.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::metrics::Metrics;
use crate::mqtt::Status;
use crate::shutdown::{Listener, Phase};

/// More connections than this wait: an operator's endpoint must not become a way to exhaust descriptors.
const MAX_CONNECTIONS: usize = 32;
/// How long a client may take to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How one mapping stands.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its name.
    pub mapping: String,
    /// Its session.
    pub session: watch::Receiver<Status>,
    /// Why Lambda refuses its invocations, while it does.
    pub fault: watch::Receiver<Option<String>>,
}

impl Watched {
    /// Why it is not ready; `None` when it is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        if let Some(fault) = &*self.fault.borrow() {
            return Some(fault.clone());
        }
        match &*self.session.borrow() {
            Status::Ready => None,
            Status::Connecting => Some("connecting".into()),
            Status::Failing(why) => Some(why.clone()),
        }
    }
}

/// What the endpoint shows.
#[derive(Debug, Clone)]
pub struct State {
    /// All mappings.
    pub mappings: Vec<Watched>,
    /// All numbers.
    pub metrics: Metrics,
    /// The phase: a bridge that drains is not ready.
    pub shutdown: Listener,
}

/// The endpoint, listening.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Listens there; port 0 takes any that is free.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped.
    pub async fn serve(self, state: State) {
        let state = Arc::new(state);
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let state = state.clone();
                    tokio::spawn(async move {
                        converse(stream, state).await;
                        drop(permit);
                    });
                }
                // Out of descriptors, most likely: they come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

async fn converse(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, &state);
        async move { Ok::<_, Infallible>(answer) }
    });
    // A client that goes away in the middle is its own affair.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer(request: &Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into());
        refusal.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n".into()),
        "/readyz" => readiness(state),
        "/metrics" => {
            let mut response = text(StatusCode::OK, state.metrics.render());
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
            response
        }
        _ => text(StatusCode::NOT_FOUND, "not found; there are /livez, /readyz and /metrics\n".into()),
    }
}

/// Ready is: every mapping subscribed with the QoS asked, its function takes invocations, and no drain has begun.
fn readiness(state: &State) -> Response<Full<Bytes>> {
    let draining = (state.shutdown.phase() > Phase::Running).then(|| "draining\n".to_owned());
    let troubles = state.mappings.iter().filter_map(|mapping| {
        mapping.trouble().map(|trouble| format!("mapping `{}`: {}\n", mapping.mapping, trouble.escape_debug()))
    });
    let troubles: String = draining.into_iter().chain(troubles).collect();
    if troubles.is_empty() {
        text(StatusCode::OK, "ready\n".into())
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, troubles)
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
