//! The document `/status.json`: the state of the bridge, for the status page and `mqtt-lambda-bridge status`.
//! docs/status.md explains each field. Contains no payload and no secret.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::State;
use super::about::About;
use super::health::{Health, Limits};
use super::history::{Flow, History, rounded};
use super::watched::{Standing, Watched};
use crate::dead_letter::LinkState;
use crate::foreign::one_line;
use crate::metrics::{Connection, Process, Trouble};
use crate::shutdown::Phase;

#[derive(Debug, Serialize)]
pub(super) struct Document {
    version: &'static str,
    now: String,
    started: String,
    state: &'static str,
    broker: String,
    protocol: String,
    resident_bytes: Option<u64>,
    open_descriptors: Option<u64>,
    max_descriptors: Option<u64>,
    dropped_by_broker: Option<i64>,
    tls_ends: BTreeMap<&'static str, String>,
    publisher: Option<Publisher>,
    mappings: Vec<Mapping>,
}

#[derive(Debug, Serialize)]
struct Publisher {
    state: &'static str,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct Mapping {
    name: String,
    state: &'static str,
    reason: Option<String>,
    notes: Vec<String>,
    topic_filter: String,
    function: String,
    destinations: Vec<OnFailure>,
    paused_since: Option<String>,
    per_second: Flow,
    totals: Totals,
    held: Held,
    invocations: Invocations,
    last_received: Option<String>,
    last_success: Option<String>,
    troubles: Vec<Said>,
    sessions: Vec<Session>,
}

/// Since the process started.
#[derive(Debug, Serialize)]
struct Totals {
    received: u64,
    redelivered: u64,
    delivered: u64,
    filtered: u64,
    dead_lettered: u64,
    expired: u64,
    abandoned: u64,
    invocations_failed: u64,
}

/// What waits for its outcome or its acknowledgement.
#[derive(Debug, Serialize)]
struct Held {
    messages: i64,
    capacity: i64,
    bytes: i64,
    oldest_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Invocations {
    in_flight: i64,
    allowed: u64,
    configured: u64,
}

/// A failure destination.
#[derive(Debug, Serialize)]
struct OnFailure {
    place: String,
    state: &'static str,
    taken: u64,
    refused: u64,
    last_taken: Option<String>,
    refuses_since: Option<String>,
    refusal: Option<String>,
}

#[derive(Debug, Serialize)]
struct Said {
    about: String,
    text: String,
    count: u64,
    since: String,
    last: String,
    is_over: bool,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "MQTT calls it Session Present, and Session Expiry")]
struct Session {
    client_id: String,
    connected_since: Option<String>,
    session_present: Option<bool>,
    session_expiry_seconds: Option<u64>,
    tls: Option<String>,
}

impl Document {
    pub(super) fn of(state: &State, history: &History) -> Self {
        let (process, all) = (Process::now(), state.mappings.borrow());
        let mut mappings: Vec<Mapping> = Vec::new();
        for watched in all.iter() {
            let Some(about) = &watched.about else { continue };
            let limits = state.limits;
            match mappings.iter_mut().find(|mapping| mapping.name == watched.mapping) {
                Some(mapping) => mapping.join(watched, limits),
                None => mappings.push(Mapping::of(watched, about, history.flow(&watched.mapping), limits)),
            }
        }
        let tls_ends = state.metrics.tls().ends().into_iter();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now: time(SystemTime::now()),
            started: time(process.started),
            state: bridge_state(state.shutdown.phase(), &Health::of(&all, state.limits)),
            broker: state.broker.clone(),
            protocol: state.protocol.clone(),
            resident_bytes: process.resident_bytes,
            open_descriptors: process.open_descriptors,
            max_descriptors: process.max_descriptors,
            dropped_by_broker: state.metrics.broker().total(),
            tls_ends: tls_ends.map(|(of, at)| (of, time(UNIX_EPOCH + Duration::from_secs(at)))).collect(),
            publisher: all.iter().find(|watched| watched.about.is_none()).map(Publisher::of),
            mappings,
        }
    }
}

fn bridge_state(phase: Phase, health: &Health) -> &'static str {
    match phase {
        Phase::Running if !health.troubles.is_empty() => "not ready",
        Phase::Running if health.degraded.is_empty() => "ready",
        Phase::Running => "degraded",
        Phase::Retiring => "retiring",
        Phase::Draining | Phase::Stopping => "draining",
    }
}

impl Publisher {
    fn of(watched: &Watched) -> Self {
        let reason = watched.hindrance().map(|reason| one_line(&reason));
        Self { state: if reason.is_none() { "ready" } else { "not ready" }, reason }
    }
}

impl Mapping {
    fn of(watched: &Watched, about: &About, per_second: Flow, limits: Limits) -> Self {
        let metrics = &about.metrics;
        let sessions = metrics.live.sessions().into_iter().map(Session::of).collect();
        let concurrency = u64::try_from(metrics.concurrency.get()).ok().filter(|allowed| *allowed > 0);
        let mut mapping = Self {
            name: watched.mapping.clone(),
            state: "ready",
            reason: None,
            notes: Vec::new(),
            topic_filter: about.topic_filter.clone(),
            function: about.function.clone(),
            destinations: about.destinations.iter().zip(watched.destinations()).map(OnFailure::of).collect(),
            paused_since: metrics.live.paused_since().map(time),
            per_second,
            totals: Totals::of(about),
            held: Held::of(about),
            invocations: Invocations {
                in_flight: metrics.in_flight.get(),
                allowed: concurrency.unwrap_or(about.concurrency),
                configured: about.concurrency,
            },
            last_received: moment(metrics.last_received.get()),
            last_success: moment(metrics.last_success.get()),
            troubles: metrics.live.troubles().into_iter().map(Said::of).collect(),
            sessions,
        };
        mapping.join(watched, limits);
        mapping
    }

    /// The first session in trouble decides; without any, whether the mapping is paused.
    fn join(&mut self, watched: &Watched, limits: Limits) {
        self.notes.extend(watched.notes(limits).into_iter().map(|note| note.text));
        // The sessions of one mapping say the same of it.
        self.notes.dedup();
        let hindrance = watched.hindrance().map(|reason| one_line(&reason));
        let (paused, degraded) = (self.paused_since.is_some(), watched.degraded(limits));
        let (state, reason) = match (watched.standing, hindrance) {
            (Standing::Changes, _) => ("changing", Some("draining for its new settings".to_owned())),
            (Standing::Retires, reason) => ("retiring", reason),
            (Standing::Stays, Some(reason)) => ("not ready", Some(reason)),
            (Standing::Stays, None) if degraded.is_some() => ("degraded", degraded),
            (Standing::Stays, None) if paused => ("paused", None),
            (Standing::Stays, None) => ("ready", None),
        };
        if matches!(self.state, "ready" | "paused" | "degraded") {
            (self.state, self.reason) = (state, reason);
        }
    }
}

impl Totals {
    fn of(about: &About) -> Self {
        let metrics = &about.metrics;
        Self {
            received: metrics.received.get(),
            redelivered: metrics.redelivered.get(),
            delivered: metrics.delivered.get(),
            filtered: metrics.filtered.get(),
            dead_lettered: metrics.dead_lettered.get(),
            expired: metrics.expired.get(),
            abandoned: metrics.abandoned.get(),
            invocations_failed: metrics.failures.total(),
        }
    }
}

impl Held {
    fn of(about: &About) -> Self {
        let metrics = &about.metrics;
        Self {
            messages: metrics.outstanding.get(),
            capacity: metrics.window_capacity.get(),
            bytes: metrics.outstanding_bytes.get(),
            oldest_seconds: metrics.live.oldest_in_flight().map(|age| rounded(age.as_secs_f64())),
        }
    }
}

impl OnFailure {
    fn of((place, link): (&String, LinkState)) -> Self {
        let state = match (&link.reason, link.taken) {
            (Some(_), _) => "refuses",
            (None, 0) => "not used yet",
            (None, _) => "works",
        };
        Self {
            place: one_line(place),
            state,
            taken: link.taken,
            refused: link.refused,
            last_taken: link.last_taken.map(time),
            refuses_since: link.refuses_since.map(time),
            refusal: link.reason.map(|reason| one_line(&reason)),
        }
    }
}

impl Said {
    fn of(trouble: Trouble) -> Self {
        let Trouble { about, text, count, since, last, is_over } = trouble;
        Self { about: about.to_string(), text, count, since: time(since), last: time(last), is_over }
    }
}

impl Session {
    fn of((client_id, connection): (String, Option<Connection>)) -> Self {
        let Some(connection) = connection else {
            return Self {
                client_id,
                connected_since: None,
                session_present: None,
                session_expiry_seconds: None,
                tls: None,
            };
        };
        Self {
            client_id,
            connected_since: Some(time(connection.since)),
            session_present: Some(connection.session_present),
            session_expiry_seconds: connection.session_expiry.map(|expiry| expiry.as_secs()),
            tls: Some(connection.tls.join(" ")),
        }
    }
}

/// By RFC 3339, in UTC.
fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

/// A Unix time of a gauge, which is 0 before there was any.
fn moment(seconds: i64) -> Option<String> {
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    Some(time(UNIX_EPOCH + Duration::from_secs(seconds)))
}
