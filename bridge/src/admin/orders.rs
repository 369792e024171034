//! The orders of the endpoint: pause a mapping, resume it, or retire. The gate decides who may give them.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use tracing::info;

use super::{Standing, State, Watched, text};
use crate::foreign::{Foreign, one_line};
use crate::latest::Latest;

/// The order that a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order<'a> {
    /// `/retire`
    Retire,
    /// The path after `/mappings/`.
    Mapping(&'a str),
}

/// The order of a path; `None` when it is for looking.
pub(super) fn named(path: &str) -> Option<Order<'_>> {
    if path == "/retire" { Some(Order::Retire) } else { path.strip_prefix("/mappings/").map(Order::Mapping) }
}

/// Does it.
pub(super) fn obey(order: Order<'_>, state: &State) -> Response<Full<Bytes>> {
    match order {
        Order::Retire => retire(state),
        Order::Mapping(order) => hold(order, state),
    }
}

/// The bridge unsubscribes, finishes what the broker still has for it, has the broker forget its sessions, and ends.
/// There is no way back but SIGTERM, which cuts it short, and another start.
fn retire(state: &State) -> Response<Full<Bytes>> {
    state.retire.send_replace(true);
    text(StatusCode::ACCEPTED, "retiring; the process ends when the broker has nothing more for it\n".into())
}

/// `{mapping}/pause` and `{mapping}/resume`. A paused mapping keeps its connection and its session, finishes what it
/// has and takes no more; it is not paused any more after a restart of the bridge.
fn hold(order: &str, state: &State) -> Response<Full<Bytes>> {
    let (name, pause) = match order.rsplit_once('/') {
        Some((name, "pause")) => (name, true),
        Some((name, "resume")) => (name, false),
        _ => return text(StatusCode::NOT_FOUND, "not found; there are /mappings/{name}/pause and …/resume\n".into()),
    };
    let mappings = state.mappings.borrow();
    let Some(changes) = mappings.iter().find(|watched| watched.mapping == name).and_then(|found| found.hold(pause))
    else {
        let name = Foreign::of(name);
        return text(StatusCode::NOT_FOUND, format!("mapping `{name}`: not found; /mappings lists them\n"));
    };
    if changes {
        if pause {
            info!(event = "mapping.paused", mapping = name, "paused");
        } else {
            info!(event = "mapping.resumed", mapping = name, "resumed");
        }
    }
    text(StatusCode::OK, if pause { "paused\n" } else { "resumed\n" }.into())
}

/// One line a session: the mapping, and how it stands.
pub(super) fn list(state: &State) -> String {
    let line = |watched: &Watched| {
        let paused = watched.paused.as_ref().is_some_and(Latest::get);
        let trouble = match watched.standing {
            Standing::Retires => watched.hindrance().map(|why| format!("retiring: {why}")),
            Standing::Stays | Standing::Changes => watched.trouble(),
        };
        let stands = trouble.unwrap_or_else(|| {
            let stands = if watched.standing == Standing::Retires { "retiring" } else { "ready" };
            let degraded = watched.degraded(state.limits).map(|why| format!("degraded: {why}"));
            degraded.unwrap_or_else(|| if paused { "paused" } else { stands }.to_owned())
        });
        format!("{}: {}\n", watched.mapping, one_line(&stands))
    };
    state.mappings.borrow().iter().map(line).collect()
}
