//! The endpoint for operators, over plain HTTP on a configured address: a status page, health, metrics and orders. It
//! shows no payload. It can only pause and resume mappings and retire the bridge.

mod about;
mod connections;
mod gate;
mod health;
mod history;
mod orders;
mod page;
mod status;
mod watched;

pub use about::About;
pub use gate::Gate;
pub use health::{Health, Limits, Matter, Note, show};
pub use watched::{Signs, Standing, Watched};

use health::has_retired;
use watched::troubles;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::metrics::{Exposition, Metrics};
use crate::shutdown::{Listener, Phase};
use history::History;

/// The list of paths, for requests to an unknown path.
const PATHS: &str = "not found; there are /, /livez, /startedz, /readyz, /metrics, /status.json, /history.json, /mappings and /retire\n";

/// The headers of every response: it is not cached, has the declared type, and no page of another site may use it.
const GUARDS: [(HeaderName, HeaderValue); 4] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The data that the endpoint shows, and the orders that it accepts.
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
    /// Decides which requests are accepted.
    pub gate: Gate,
    /// When a mapping is degraded.
    pub limits: Limits,
    /// The broker's address.
    pub broker: String,
    /// The version of MQTT.
    pub protocol: String,
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
        let (history, state) = (History::default(), Arc::new(state));
        let (seen, mappings) = (history.clone(), state.mappings.clone());
        let answer = move |request| answer(request, state.clone(), history.clone());
        tokio::select! {
            () = connections::serve(self.listener, answer) => {}
            () = seen.keep(mappings) => {}
        }
    }
}

/// `answered`, with what every answer carries.
async fn answer(request: Request<Incoming>, state: Arc<State>, history: History) -> Response<Full<Bytes>> {
    let mut response = answered(&request, &state, &history).await;
    response.headers_mut().extend(GUARDS);
    response
}

async fn answered(request: &Request<Incoming>, state: &State, history: &History) -> Response<Full<Bytes>> {
    let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
    // `/livez` answers under any host name, because the answer reveals nothing.
    if path != "/livez"
        && let Err((status, reason)) = state.gate.look(headers)
    {
        return text(status, reason);
    }
    if let Some(order) = orders::named(path) {
        return match *method {
            Method::POST => match state.gate.order(headers).await {
                Ok(()) => orders::obey(order, state),
                Err((status, reason)) => text(status, reason),
            },
            _ => only("POST"),
        };
    }
    if method != Method::GET && method != Method::HEAD {
        return only("GET, HEAD");
    }
    match path {
        "/" => page(),
        "/status.json" => json(&status::Document::of(state, history)),
        "/history.json" => json(&history.document()),
        "/mappings" => text(StatusCode::OK, orders::list(state)),
        "/livez" => text(StatusCode::OK, "ok\n".into()),
        "/readyz" => readiness(state),
        "/startedz" => started(state),
        "/metrics" => {
            show(&state.mappings.borrow(), state.limits, state.shutdown.phase(), &state.metrics);
            let exposition = Exposition::preferred(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
            typed(StatusCode::OK, exposition.content_type(), state.metrics.render_as(exposition))
        }
        _ => text(StatusCode::NOT_FOUND, PATHS.into()),
    }
}

fn page() -> Response<Full<Bytes>> {
    let mut response = typed(StatusCode::OK, "text/html; charset=utf-8", page::PAGE.clone());
    if let Ok(policy) = HeaderValue::from_str(&page::POLICY) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn json(document: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_string(document) {
        Ok(body) => typed(StatusCode::OK, "application/json", body + "\n"),
        Err(cause) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("not written: {cause}\n")),
    }
}

fn only(methods: &'static str) -> Response<Full<Bytes>> {
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}\n"));
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    refusal
}

/// The bridge is ready if every mapping is subscribed with the requested QoS, its function accepts invocations,
/// messages held for good leave room for more, and the bridge is not shutting down.
fn readiness(state: &State) -> Response<Full<Bytes>> {
    let (all, phase) = (state.mappings.borrow(), state.shutdown.phase());
    let health = Health::of(&all, state.limits);
    let words = match phase {
        Phase::Running => health.in_words(),
        Phase::Retiring if has_retired(&all) => "retired\n".to_owned(),
        Phase::Retiring => "retiring\n".to_owned() + &health.troubles,
        Phase::Draining | Phase::Stopping => "draining\n".to_owned() + &health.troubles,
    };
    let is_ready = health::is_ready(&all, state.limits, phase);
    text(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, words)
}

/// Whether the bridge was ready once; this stays true for the life of the process. So a deployment that never works
/// fails, and a later outage of the broker restarts nothing.
fn started(state: &State) -> Response<Full<Bytes>> {
    if *state.started.borrow() {
        return text(StatusCode::OK, "started\n".into());
    }
    let troubles = troubles(&state.mappings.borrow());
    text(StatusCode::SERVICE_UNAVAILABLE, format!("never ready yet\n{troubles}"))
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
