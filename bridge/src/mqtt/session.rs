//! The life of one MQTT session over its connections: connect, serve, wait, again. The only place that acknowledges.
//!
//! A session task never waits for the functions: the queue it fills has room for all that it admits, and it stops
//! reading from the socket when it holds as much as it may. That is the back-pressure under MQTT 3.1.1, and the last
//! resort under MQTT 5 with a broker that does not honour Receive Maximum.

mod line;
mod receive_maximum;
mod retire;
mod serve;
mod settings;

use std::collections::VecDeque;
use std::time::{Duration, Instant as StdInstant};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use self::receive_maximum::Overrun;
use self::retire::Retirement;
use super::connect::{STABLE, greet};
use super::connection::{Connection, Connector};
use super::end::End;
use super::ledger::{Kept, Ledger};
use super::login::Login;
use super::packet::{ConnAck, Hello};
use super::takeover::TakeoverGuard;
use super::wire::Wire;
use crate::backoff::Backoff;
use crate::delivery::{Delivery, Settlement, Settler};
use crate::metrics::MappingMetrics;
use crate::shutdown::{Listener, Phase};

pub use settings::{Identifies, Settings, Status};

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
    /// What had to be read while it was held, to get at a SUBACK or UNSUBACK; no more than may be outstanding.
    held: VecDeque<Delivery>,
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
    /// How far it has come in leaving for good.
    retirement: Retirement,
    /// Watches whether the broker keeps to Receive Maximum.
    overrun: Overrun,
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
    /// A session that sends its deliveries there; the queue must have room for the [`Settings::max_running`] of all
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
        let (settler, settlements) = mpsc::channel(settings.max_running());
        let (status, heard) = watch::channel(Status::Connecting);
        let (wire, subscribed) = (Wire(settings.protocol), settings.subscribed);
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
            held: VecDeque::new(),
            metrics,
            shutdown,
            run: fastrand::u64(..),
            delivered: 0,
            subscribed,
            established: false,
            retirement: Retirement::default(),
            overrun: Overrun::default(),
            shown: Shown::default(),
        };
        (session, heard)
    }

    /// Connects, serves and connects again until it drains, stops, or has left for good. Returns whether the broker's
    /// session, as far as is known, holds the subscription.
    pub async fn run(mut self) -> bool {
        let (mut backoff, mut takeover) =
            (Backoff::new(self.settings.backoff), TakeoverGuard::new(self.settings.backoff.max));
        while !self.finished() {
            let mut freshness = self.connector.freshness(self.connector.generation());
            let mut login = self.connector.login();
            let (end, lived) = match self.open(&mut login).await {
                Ok((connection, connack)) => {
                    let made = Instant::now();
                    (self.serve(connection, &connack).await, Some(made.elapsed()))
                }
                Err(end) => (end, None),
            };
            self.show_ready(false);
            let (why, lasting) = match takeover.judge(end, lived, &self.settings.client_id, StdInstant::now()) {
                End::Lost { why, lasting, .. } => (why, lasting),
                End::Drained => break,
                End::Retired if self.is_forgotten() => break,
                // The latter now with Clean Session, which is how MQTT 3.1.1 makes a broker forget (3.1.2.4).
                End::Renewed | End::Retired => continue,
            };
            if lived.is_some_and(|lived| lived >= STABLE) {
                backoff.reset();
            }
            let wait = if lasting { self.settings.backoff.max } else { backoff.next(fastrand::f64()) };
            self.log_failure(why, lasting, wait);
            // New TLS files may be what was missing, or another password.
            tokio::select! {
                () = self.rest(wait) => {}
                () = freshness.renewed() => {}
                () = login.renewed(), if lasting => {}
            }
        }
        self.withdraw();
        self.subscribed
    }

    /// Takes its part out of what the mapping shows, and tells how it has left.
    fn withdraw(&mut self) {
        move_to(&self.metrics.outstanding, &mut self.shown.outstanding, 0);
        move_to(&self.metrics.outstanding_bytes, &mut self.shown.bytes, 0);
        let (mapping, unacknowledged) = (&self.settings.mapping, self.ledger.outstanding());
        if unacknowledged > 0 {
            warn!(mapping, unacknowledged, "ended with messages un-acknowledged; the broker keeps them");
        }
        self.log_retirement();
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
            Phase::Running | Phase::Retiring => false,
            Phase::Draining => self.ledger.running() == 0,
            Phase::Stopping => true,
        }
    }

    async fn open(&self, login: &mut Login) -> Result<(Connection, ConnAck), End> {
        let hello = Hello {
            client_id: &self.settings.client_id,
            clean_start: self.retirement == Retirement::Emptied,
            keep_alive: self.settings.keep_alive,
            session_expiry: self.settings.session_expiry,
            receive_maximum: self.settings.receive_maximum,
        };
        // A drain needs the connection only for what is still to be acknowledged.
        let until = if self.ledger.running() == 0 { Phase::Draining } else { Phase::Stopping };
        let (patience, shutdown) = (self.settings.connect_timeout, self.shutdown.clone());
        greet(&self.connector, self.wire, &hello, login, patience, shutdown, until).await
    }

    fn log_failure(&self, why: String, lasting: bool, wait: Duration) {
        if self.shutdown.phase() >= Phase::Draining {
            return;
        }
        self.metrics.connection_failures.inc();
        let mapping = &self.settings.mapping;
        if lasting {
            error!(event = "broker.refused", mapping, reason = why, retry_in = ?wait, "session failing");
        } else {
            warn!(event = "broker.lost", mapping, reason = why, retry_in = ?wait, "session failing");
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
                self.admit_no_more();
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

    /// A drain begins: the lanes hear that no more will come, and what no lane has yet is left to the broker.
    fn admit_no_more(&mut self) {
        self.deliveries = None;
        self.held.clear();
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

    fn log_connected(&mut self, connection: &Connection, connack: &ConnAck) {
        let lost = self.ledger.connect(if connack.session_present { Kept::Yes } else { Kept::No });
        self.metrics.connects.inc();
        let (mapping, session_present) = (&self.settings.mapping, connack.session_present);
        let (tls, client_id) = (connection.agreed(), &self.settings.client_id);
        info!(event = "broker.connected", mapping, session_present, %tls, client_id, "connected");
        if self.established && !session_present && self.retirement != Retirement::Emptied {
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
