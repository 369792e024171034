//! The endpoint for operators: `/livez`, `/startedz`, `/readyz`, `/metrics` and `/mappings` over plain HTTP on an address of
//! the operator's choice. Shows no payload, and changes nothing but whether a mapping is paused, and whether the bridge is to
//! retire.

mod watched;

pub use watched::{Signs, Standing, Watched, troubles};

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

use crate::foreign::{Foreign, one_line};
use crate::metrics::Metrics;
use crate::shutdown::{Listener, Phase};

/// More connections than this wait: an operator's endpoint must not become a way to exhaust descriptors.
const MAX_CONNECTIONS: usize = 32;
/// How long a client may take to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the endpoint shows, and what it can be asked for.
#[derive(Debug, Clone)]
pub struct State {
    /// All sessions of all mappings.
    pub mappings: watch::Receiver<Vec<Watched>>,
    /// All numbers.
    pub metrics: Metrics,
    /// The phase: a bridge that drains is not ready.
    pub shutdown: Listener,
    /// Set when the bridge is to retire.
    pub retire: watch::Sender<bool>,
    /// Whether it was ready once.
    pub started: watch::Receiver<bool>,
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
    let order = path.strip_prefix("/mappings/");
    if order.is_some() || path == "/retire" {
        return match *request.method() {
            // A page in a browser on this machine must not hold anything; browsers name the origin of every POST.
            Method::POST if request.headers().contains_key(ORIGIN) => {
                text(StatusCode::FORBIDDEN, "not for browsers; use curl -X POST\n".into())
            }
            Method::POST => order.map_or_else(|| retire(state), |order| obey(order, state)),
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
        "/startedz" => started(state),
        "/metrics" => {
            let mut response = text(StatusCode::OK, state.metrics.render());
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
            response
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "not found; there are /livez, /startedz, /readyz, /metrics, /mappings and /retire\n".into(),
        ),
    }
}

/// The bridge unsubscribes, finishes what the broker still has for it, has the broker forget its sessions, and ends. There
/// is no way back but SIGTERM, which cuts it short, and another start.
fn retire(state: &State) -> Response<Full<Bytes>> {
    state.retire.send_replace(true);
    text(StatusCode::ACCEPTED, "retiring; the process ends when the broker has nothing more for it\n".into())
}

/// `{mapping}/pause` and `{mapping}/resume`. A paused mapping keeps its connection and its session, finishes what it has
/// and takes no more; it is not paused any more after a restart of the bridge.
fn obey(order: &str, state: &State) -> Response<Full<Bytes>> {
    let (name, pause) = match order.rsplit_once('/') {
        Some((name, "pause")) => (name, true),
        Some((name, "resume")) => (name, false),
        _ => return text(StatusCode::NOT_FOUND, "not found; there are /mappings/{name}/pause and …/resume\n".into()),
    };
    let mappings = state.mappings.borrow();
    let Some(paused) = mappings.iter().find(|watched| watched.mapping == name).and_then(|held| held.paused.as_ref())
    else {
        let name = Foreign::of(name);
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
        let trouble = match watched.standing {
            Standing::Retires => watched.hindrance().map(|why| format!("retiring: {why}")),
            Standing::Stays | Standing::Changes => watched.trouble(),
        };
        let stands = trouble.unwrap_or_else(|| {
            let stands = if watched.standing == Standing::Retires { "retiring" } else { "ready" };
            if paused { "paused" } else { stands }.to_owned()
        });
        format!("{}: {}\n", watched.mapping, one_line(&stands))
    };
    state.mappings.borrow().iter().map(line).collect()
}

fn only(methods: &'static str) -> Response<Full<Bytes>> {
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}\n"));
    refusal.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static(methods));
    refusal
}

/// Ready is: every mapping subscribed with the QoS asked, its function takes invocations, what it holds for good leaves room for
/// more, and no end has begun.
fn readiness(state: &State) -> Response<Full<Bytes>> {
    let ending = match state.shutdown.phase() {
        Phase::Running => None,
        Phase::Retiring => Some("retiring\n".to_owned()),
        Phase::Draining | Phase::Stopping => Some("draining\n".to_owned()),
    };
    let mappings = state.mappings.borrow();
    let troubles = ending.unwrap_or_default() + &troubles(&mappings);
    if troubles.is_empty() {
        let mut notes: Vec<String> = mappings.iter().flat_map(Watched::notes).collect();
        // The sessions of one mapping say the same of it.
        notes.dedup();
        text(StatusCode::OK, format!("ready\n{}", notes.concat()))
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, troubles)
    }
}

/// Whether it was ready once; from then on it says yes for the life of the process. So a deployment that never works fails, and
/// a broker outage later restarts nothing.
fn started(state: &State) -> Response<Full<Bytes>> {
    if *state.started.borrow() {
        return text(StatusCode::OK, "started\n".into());
    }
    let troubles = troubles(&state.mappings.borrow());
    text(StatusCode::SERVICE_UNAVAILABLE, format!("never ready yet\n{troubles}"))
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
