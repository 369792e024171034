//! The life of one MQTT session over its connections: connect, serve, wait, again. The only place that acknowledges.
//!
//! A session task never waits for the functions: the queue it fills has room for all that it admits, and it stops
//! reading from the socket when it holds as much as it may. That is the back-pressure under MQTT 3.1.1, and the last
//! resort under MQTT 5 with a broker that does not honour Receive Maximum.

mod serve;

use std::time::{Duration, Instant as StdInstant};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::connection::{Connection, Connector};
use super::end::End;
use super::greeting::{STABLE, greet};
use super::ledger::Ledger;
use super::packet::{ConnAck, Hello};
use super::rival::Rival;
use super::wire::Wire;
use crate::backoff::Backoff;
use crate::config::{Protocol, Qos, Range};
use crate::delivery::{Delivery, Settlement, Settler};
use crate::metrics::MappingMetrics;
use crate::shutdown::{Listener, Phase};

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The mapping it belongs to, for the log.
    pub mapping: String,
    /// Names the session at the broker; the same after every restart.
    pub client_id: String,
    /// The protocol version.
    pub protocol: Protocol,
    /// The filter, with `$share/…` where it has that.
    pub topic_filter: String,
    /// The QoS to subscribe with.
    pub qos: Qos,
    /// How many un-acknowledged messages the broker may send.
    pub receive_maximum: u16,
    /// How many bytes of messages may be held before reading stops.
    pub max_outstanding_bytes: u64,
    /// How long the broker keeps the session without a connection.
    pub session_expiry: Duration,
    /// The Keep Alive to ask for.
    pub keep_alive: Duration,
    /// Time for TCP, TLS and CONNACK together, and for SUBACK.
    pub connect_timeout: Duration,
    /// Waits between attempts to connect.
    pub backoff: Range,
}

impl Settings {
    /// How many messages may be held, whatever the broker does. Under MQTT 5 a right broker stays within Receive Maximum;
    /// the room above it keeps the session reading, and so able to tell a dead broker from a busy function.
    #[must_use]
    pub fn max_outstanding(&self) -> usize {
        let receive_maximum = usize::from(self.receive_maximum);
        match self.protocol {
            Protocol::V311 => receive_maximum,
            Protocol::V5 => (2 * receive_maximum).min(usize::from(u16::MAX) - 1),
        }
    }
}

/// How a session, or the publisher, stands, as readiness tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Not connected yet, or not subscribed.
    Connecting,
    /// Subscribed with the QoS asked; for the publisher, connected.
    Ready,
    /// The last attempt failed, or the connection broke; the reason.
    Failing(String),
}

/// One MQTT session. [`Session::run`] is its whole life.
pub struct Session {
    settings: Settings,
    connector: Connector,
    wire: Wire,
    ledger: Ledger,
    settler: Settler,
    settlements: mpsc::Receiver<Settlement>,
    /// Where deliveries go; gone while draining, which tells the lanes that no more will come.
    deliveries: Option<mpsc::Sender<Delivery>>,
    status: watch::Sender<Status>,
    /// Set while an operator holds the mapping: what is admitted goes on, nothing more is.
    paused: watch::Receiver<bool>,
    metrics: MappingMetrics,
    shutdown: Listener,
    /// The run part of record ids.
    run: u64,
    /// Deliveries made so far.
    delivered: u64,
    /// Whether a SUBACK of this process granted what was asked, so that a session present holds the subscription.
    subscribed: bool,
    /// Whether this process has had a session that the broker could lose.
    established: bool,
    /// This session's part of what the mapping's gauges show.
    shown: Shown,
}

/// What a session has added to gauges that it shares with the mapping's other sessions.
#[derive(Debug, Default)]
struct Shown {
    ready: i64,
    outstanding: i64,
    bytes: i64,
}

impl Session {
    /// A session that sends its deliveries there; the queue must have room for the [`Settings::max_outstanding`] of all
    /// sessions that share it.
    #[must_use]
    pub fn new(
        settings: Settings,
        connector: Connector,
        deliveries: mpsc::Sender<Delivery>,
        paused: watch::Receiver<bool>,
        metrics: MappingMetrics,
        shutdown: Listener,
    ) -> (Self, watch::Receiver<Status>) {
        let (settler, settlements) = mpsc::channel(settings.max_outstanding());
        let (status, heard) = watch::channel(Status::Connecting);
        let wire = Wire(settings.protocol);
        let session = Self {
            settings,
            connector,
            wire,
            ledger: Ledger::default(),
            settler,
            settlements,
            deliveries: Some(deliveries),
            status,
            paused,
            metrics,
            shutdown,
            run: fastrand::u64(..),
            delivered: 0,
            subscribed: false,
            established: false,
            shown: Shown::default(),
        };
        (session, heard)
    }

    /// Connects, serves and connects again until the bridge drains or stops.
    pub async fn run(mut self) {
        let (mut backoff, mut rival) = (Backoff::new(self.settings.backoff), Rival::new(self.settings.backoff.max));
        while !self.finished() {
            let begun = Instant::now();
            let (end, lived) = match self.open().await {
                Ok((connection, connack)) => {
                    let made = Instant::now();
                    (self.serve(connection, &connack).await, Some(made.elapsed()))
                }
                Err(end) => (end, None),
            };
            self.show_ready(false);
            let end = rival.judge(end, lived, &self.settings.client_id, StdInstant::now());
            let End::Lost { why, lasting, .. } = end else { break };
            if begun.elapsed() >= STABLE {
                backoff.reset();
            }
            let wait = if lasting { self.settings.backoff.max } else { backoff.next(fastrand::f64()) };
            self.tell_failure(why, lasting, wait);
            self.rest(wait).await;
        }
    }

    fn show_ready(&mut self, ready: bool) {
        move_to(&self.metrics.ready, &mut self.shown.ready, i64::from(ready));
    }

    fn show_outstanding(&mut self) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        move_to(&self.metrics.outstanding, &mut self.shown.outstanding, number(self.ledger.outstanding()));
        move_to(&self.metrics.outstanding_bytes, &mut self.shown.bytes, number(self.ledger.bytes()));
    }

    /// Whether there is nothing left to do: after a stop, or in a drain when no delivery waits for its outcome.
    fn finished(&self) -> bool {
        match self.shutdown.phase() {
            Phase::Running => false,
            Phase::Draining => self.ledger.running() == 0,
            Phase::Stopping => true,
        }
    }

    async fn open(&self) -> Result<(Connection, ConnAck), End> {
        let hello = Hello {
            client_id: &self.settings.client_id,
            clean_start: false,
            keep_alive: self.settings.keep_alive,
            session_expiry: self.settings.session_expiry,
            receive_maximum: self.settings.receive_maximum,
        };
        // A drain needs the connection only for what is still to be acknowledged.
        let until = if self.ledger.running() == 0 { Phase::Draining } else { Phase::Stopping };
        greet(&self.connector, self.wire, &hello, self.settings.connect_timeout, self.shutdown.clone(), until).await
    }

    fn tell_failure(&self, why: String, lasting: bool, wait: Duration) {
        if self.shutdown.phase() != Phase::Running {
            return;
        }
        self.metrics.connection_failures.inc();
        let mapping = &self.settings.mapping;
        if lasting {
            error!(mapping, reason = why, retry_in = ?wait, "session failing");
        } else {
            warn!(mapping, reason = why, retry_in = ?wait, "session failing");
        }
        self.status.send_replace(Status::Failing(why));
    }

    /// Waits between connections, still hearing of outcomes.
    async fn rest(&mut self, wait: Duration) {
        let wait = sleep(wait);
        tokio::pin!(wait);
        let mut shutdown = self.shutdown.clone();
        loop {
            if self.shutdown.phase() >= Phase::Draining {
                self.deliveries = None;
            }
            if self.finished() {
                return;
            }
            tokio::select! {
                () = &mut wait => return,
                () = shutdown.changed() => {}
                Some(settlement) = self.settlements.recv() => self.settle(settlement),
            }
        }
    }

    fn settle(&mut self, settlement: Settlement) {
        use crate::delivery::Outcome;
        let m = &self.metrics;
        match settlement.outcome {
            Outcome::Delivered => m.delivered.inc(),
            Outcome::Filtered => m.filtered.inc(),
            Outcome::DeadLettered => m.dead_lettered.inc(),
            Outcome::Expired => m.expired.inc(),
            Outcome::Abandoned => m.abandoned.inc(),
        };
        if !self.ledger.settle(settlement) {
            self.metrics.stale.inc();
        }
    }

    fn tell_connected(&mut self, connection: &Connection, connack: &ConnAck) {
        let lost = self.ledger.connect(connack.session_present);
        self.metrics.connects.inc();
        let (mapping, session_present) = (&self.settings.mapping, connack.session_present);
        info!(mapping, session_present, tls = connection.agreed(), client_id = self.settings.client_id, "connected");
        if self.established && !session_present {
            self.metrics.session_lost.inc();
            self.subscribed = false;
            error!(mapping, unacknowledged = lost, "session lost: the broker kept neither queue nor subscription");
        }
        self.established = true;
    }
}

/// Moves our part of a shared gauge to a new value.
fn move_to(gauge: &Gauge, ours: &mut i64, value: i64) {
    if *ours != value {
        gauge.inc_by(value - *ours);
        *ours = value;
    }
}
