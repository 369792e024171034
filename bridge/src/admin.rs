//! The endpoint for operators: `/livez`, `/readyz`, `/metrics` and `/mappings` over plain HTTP on an address of the
//! operator's choice. Shows no payload, and changes nothing but whether a mapping is paused.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use tracing::info;

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
    /// Holds it; the bridge's own publisher cannot be held.
    pub paused: Option<watch::Sender<bool>>,
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
    let path = request.uri().path();
    if let Some(order) = path.strip_prefix("/mappings/") {
        return match *request.method() {
            // A page in a browser on this machine must not hold a mapping; browsers name the origin of every POST.
            Method::POST if request.headers().contains_key(ORIGIN) => {
                text(StatusCode::FORBIDDEN, "not for browsers; use curl -X POST\n".into())
            }
            Method::POST => obey(order, state),
            _ => only("POST"),
        };
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return only("GET, HEAD");
    }
    match path {
        "/mappings" => text(StatusCode::OK, list(state)),
        "/livez" => text(StatusCode::OK, "ok\n".into()),
        "/readyz" => readiness(state),
        "/metrics" => {
            let mut response = text(StatusCode::OK, state.metrics.render());
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
            response
        }
        _ => text(StatusCode::NOT_FOUND, "not found; there are /livez, /readyz, /metrics and /mappings\n".into()),
    }
}

/// `{mapping}/pause` and `{mapping}/resume`. A paused mapping keeps its connection and its session, finishes what it has
/// and takes no more; it is not paused any more after a restart of the bridge.
fn obey(order: &str, state: &State) -> Response<Full<Bytes>> {
    let (name, pause) = match order.rsplit_once('/') {
        Some((name, "pause")) => (name, true),
        Some((name, "resume")) => (name, false),
        _ => return text(StatusCode::NOT_FOUND, "not found; there are /mappings/{name}/pause and …/resume\n".into()),
    };
    let held: Vec<_> = state.mappings.iter().filter(|watched| watched.mapping == name).collect();
    let Some(paused) = held.first().and_then(|watched| watched.paused.as_ref()) else {
        let name = name.escape_debug();
        return text(StatusCode::NOT_FOUND, format!("mapping `{name}`: not found; /mappings lists them\n"));
    };
    if paused.send_replace(pause) != pause {
        info!(mapping = name, "{}", if pause { "paused" } else { "resumed" });
    }
    text(StatusCode::OK, if pause { "paused\n" } else { "resumed\n" }.into())
}

/// One line a session: the mapping, and how it stands.
fn list(state: &State) -> String {
    let line = |watched: &Watched| {
        let paused = watched.paused.as_ref().is_some_and(|paused| *paused.borrow());
        let stands = watched.trouble().unwrap_or_else(|| if paused { "paused" } else { "ready" }.to_owned());
        format!("{}: {}\n", watched.mapping, stands.escape_debug())
    };
    state.mappings.iter().map(line).collect()
}

fn only(methods: &'static str) -> Response<Full<Bytes>> {
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}\n"));
    refusal.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static(methods));
    refusal
}

/// Ready is: every mapping subscribed with the QoS asked, its function takes invocations, and no drain has begun.
fn readiness(state: &State) -> Response<Full<Bytes>> {
    let draining = (state.shutdown.phase() >= Phase::Draining).then(|| "draining\n".to_owned());
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
