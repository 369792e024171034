//! The state that a session shows: its part of the gauges that it shares with the mapping's other sessions, the ages of
//! its deliveries, and its connection. Decides nothing.

use std::time::{Instant, SystemTime};

use prometheus_client::metrics::gauge::Gauge;

use super::Settings;
use super::ages::Ages;
use crate::config::Protocol;
use crate::delivery::{Outcome, Settlement, Ticket};
use crate::metrics::{About, Connection, LiveSession, MappingMetrics};
use crate::mqtt::packet::ConnAck;
use crate::mqtt::transport::Agreed;

#[derive(Debug)]
pub(super) struct Shown {
    metrics: MappingMetrics,
    live: LiveSession,
    ages: Ages,
    ready: i64,
    outstanding: i64,
    bytes: i64,
    capacity: i64,
}

impl Shown {
    pub(super) fn new(metrics: MappingMetrics, client_id: &str) -> Self {
        let live = metrics.live.session(client_id);
        Self { metrics, live, ages: Ages::default(), ready: 0, outstanding: 0, bytes: 0, capacity: 0 }
    }

    pub(super) fn ready(&mut self, ready: bool) {
        move_to(&self.metrics.subscribed, &mut self.ready, i64::from(ready));
        if ready {
            self.metrics.live.subscribed();
            self.metrics.live.went_well(About::Broker);
        }
    }

    pub(super) fn outstanding(&mut self, (messages, bytes): (usize, usize)) {
        move_to(&self.metrics.outstanding, &mut self.outstanding, count(messages));
        move_to(&self.metrics.outstanding_bytes, &mut self.bytes, count(bytes));
        self.live.oldest(self.ages.oldest());
    }

    /// A broker that is right sends so many messages ahead of our acknowledgements.
    pub(super) fn capacity(&mut self, messages: usize) {
        move_to(&self.metrics.window_capacity, &mut self.capacity, count(messages));
    }

    /// Whether an operator holds the mapping.
    pub(super) fn paused(&self, paused: bool) {
        self.metrics.show_paused(paused);
    }

    /// A delivery was made of a message.
    pub(super) fn received(&mut self, ticket: Ticket, (received_at, now): (SystemTime, Instant)) {
        self.metrics.last_received.set(unix(received_at));
        self.ages.received(ticket, now);
    }

    /// A delivery has its outcome.
    pub(super) fn settled(&mut self, settlement: Settlement, now: Instant) {
        if let Some(received) = self.ages.settled(settlement.ticket) {
            self.metrics.receive_to_settle.observe(now.saturating_duration_since(received));
        }
        if settlement.outcome == Outcome::Delivered {
            self.metrics.last_success.set(unix(SystemTime::now()));
        }
    }

    pub(super) fn connected(&self, settings: &Settings, connack: &ConnAck, agreed: &Agreed) {
        let granted = connack.session_expiry.unwrap_or(settings.session_expiry);
        let Agreed { version, suite, group, .. } = agreed.clone();
        self.live.connection(Some(Connection {
            since: SystemTime::now(),
            session_present: connack.session_present,
            session_expiry: (settings.link.protocol == Protocol::V5).then_some(granted),
            tls: [version, suite, group],
        }));
    }

    pub(super) fn disconnected(&self) {
        self.live.connection(None);
    }

    /// The connection, or the attempt to make one, has failed.
    pub(super) fn failed(&self, why: &str) {
        self.metrics.live.failed(About::Broker, why);
    }

    /// Takes its part out of the gauges.
    pub(super) fn withdraw(&mut self) {
        self.ready(false);
        self.outstanding((0, 0));
        self.capacity(0);
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Moves our part of a shared gauge to a new value.
fn move_to(gauge: &Gauge, ours: &mut i64, value: i64) {
    if *ours != value {
        gauge.inc_by(value - *ours);
        *ours = value;
    }
}
