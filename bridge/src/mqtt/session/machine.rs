//! The session as a state machine: packets and outcomes in, packets and deliveries out. Pure: it has no socket, no
//! clock, no channel and no randomness of its own, so that a test of any broker behaviour takes a few lines. The only
//! place that acknowledges.
//!
//! It never waits for the functions: the number of admitted messages is bounded, and at the limit it reads no more
//! bytes. That is the back-pressure under MQTT 3.1.1, and the last resort under MQTT 5 with a broker that does not
//! honour Receive Maximum.

mod brokers;
mod connack;
mod due;
mod line;
mod receive;
mod retire;
mod session_lost;
mod subscribe;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use self::brokers::Brokers;
use self::line::Line;
use self::retire::Retirement;
use super::event::Event;
use super::filters::Filters;
use super::settings::Settings;
use crate::delivery::{Outcome, RecordId, Settlement, Ticket};
use crate::message::Message;
use crate::metrics::{FilterCounts, MappingMetrics};
use crate::mqtt::end::End;
use crate::mqtt::ledger::Ledger;
use crate::mqtt::packet::Hello;
use crate::mqtt::wire::Wire;
use crate::shutdown::Phase;

/// A message that was received and recorded in the ledger; it becomes a delivery.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) message: Message,
    pub(super) ticket: Ticket,
    pub(super) id: RecordId,
    /// The filter that it came by.
    pub(super) subscription: Option<Arc<str>>,
}

/// One MQTT session, over all its connections.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and none excludes another")]
pub(super) struct Machine {
    pub(super) settings: Settings,
    wire: Wire,
    ledger: Ledger,
    metrics: MappingMetrics,
    phase: Phase,
    /// An operator has paused the mapping: admitted messages continue, and no more are admitted.
    paused: bool,
    /// Messages that had to be read while the mapping was paused, to reach a SUBACK or UNSUBACK behind them; no more
    /// than may be outstanding.
    held: VecDeque<Admitted>,
    /// Deliveries that are not handed over yet.
    admitted: Vec<Admitted>,
    /// Events that are not reported yet.
    events: Vec<Event>,
    /// The run part of record ids, and deliveries made so far.
    run: u64,
    delivered: u64,
    filters: Filters,
    /// The text of each, for records.
    subscriptions: Vec<Arc<str>>,
    counts: FilterCounts,
    /// For which of them a SUBACK of this process granted what was asked, so that a session present holds them.
    subscribed: Vec<bool>,
    /// Filters that it gives up at the current broker.
    former: Vec<String>,
    /// Whether all that the broker has for the session was published when all filters were subscribed.
    paired: bool,
    /// Whether this process has had a session that the broker could lose.
    established: bool,
    /// Whether the broker was seen to deny a session that it had kept.
    denies_sessions: bool,
    retirement: Retirement,
    brokers: Brokers,
    /// It was asked to leave for good; this stays set whatever happens later.
    was_retiring: bool,
    /// An UNSUBSCRIBE was sent although the broker may have had messages queued.
    unproven: bool,
    /// UNSUBSCRIBEs without an answer, one behind the other.
    unsubscribes_unanswered: u8,
    /// Facts that were logged once and are not logged again.
    said_overrun: bool,
    said_unmatched: bool,
    /// The connection, when there is one.
    line: Option<Line>,
}

impl Machine {
    /// A session that never connected. `run` tells its record ids from those of every other start.
    pub(super) fn new(settings: Settings, metrics: MappingMetrics, run: u64) -> Self {
        let wire = Wire(settings.link.protocol);
        let filters = Filters::new(settings.topic_filters.clone());
        let subscriptions: Vec<Arc<str>> = filters.all().iter().map(|filter| filter.as_str().into()).collect();
        let mut subscribed = settings.subscribed.clone();
        subscribed.resize(subscriptions.len(), false);
        let counts = metrics.received_by_filter.of(&subscriptions);
        let former = settings.former_filters.clone();
        Self {
            settings,
            wire,
            ledger: Ledger::default(),
            metrics,
            phase: Phase::Running,
            paused: false,
            held: VecDeque::new(),
            admitted: Vec::new(),
            events: Vec::new(),
            run,
            delivered: 0,
            filters,
            subscriptions,
            counts,
            subscribed,
            former,
            paired: false,
            established: false,
            denies_sessions: false,
            retirement: Retirement::default(),
            brokers: Brokers::default(),
            was_retiring: false,
            unproven: false,
            unsubscribes_unanswered: 0,
            said_overrun: false,
            said_unmatched: false,
            line: None,
        }
    }

    /// The CONNECT for the broker of the last connection.
    #[cfg(test)]
    pub(super) fn hello(&self) -> Hello {
        self.hello_to(self.brokers.current)
    }

    /// The CONNECT for this one of the brokers. Only the broker whose session was emptied should forget it.
    pub(super) fn hello_to(&self, broker: usize) -> Hello {
        Hello {
            client_id: self.settings.link.client_id.clone(),
            clean_start: self.retirement == Retirement::Emptied && broker == self.brokers.current,
            keep_alive: self.settings.link.keep_alive,
            session_expiry: self.settings.session_expiry,
            receive_maximum: self.settings.receive_maximum,
            will: None,
        }
    }

    /// CONNECT went out and no CONNACK came back. A broker that had lost the session has made a new one, without a
    /// subscription, and will say of it next time that it is present.
    pub(super) fn unanswered(&mut self) {
        self.subscribed.fill(false);
    }

    /// This number of bytes has arrived.
    pub(super) fn received(&mut self, bytes: usize, now: Instant) {
        self.line.iter_mut().for_each(|line| line.keep_alive.received(bytes, now));
    }

    /// The output is written.
    pub(super) fn written(&mut self, now: Instant) {
        self.line.iter_mut().for_each(|line| line.keep_alive.sent(now));
    }

    /// A delivery has its outcome.
    pub(super) fn settled(&mut self, settlement: Settlement) {
        match settlement.outcome {
            Outcome::Delivered => &self.metrics.delivered,
            Outcome::Filtered => &self.metrics.filtered,
            Outcome::DeadLettered => &self.metrics.dead_lettered,
            Outcome::Expired => &self.metrics.expired,
            Outcome::Abandoned => &self.metrics.abandoned,
        }
        .inc();
        if !self.ledger.settle(settlement) {
            self.metrics.stale.inc();
        }
    }

    /// An operator pauses or resumes the mapping.
    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// The bridge, or the mapping, goes on to another phase. From [`Phase::Draining`] on nothing is admitted, and
    /// messages that no lane has taken yet are left to the broker: nobody waits for their outcomes.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.was_retiring |= phase == Phase::Retiring;
        if phase >= Phase::Draining {
            for Admitted { message, ticket, .. } in std::mem::take(&mut self.held) {
                self.settled(Settlement { ticket, outcome: Outcome::Abandoned, weight: message.weight() });
            }
        }
    }

    /// Does everything that can be done without waiting.
    ///
    /// # Errors
    /// When the connection is to end.
    pub(super) fn turn(&mut self, input: &mut BytesMut, output: &mut BytesMut, now: Instant) -> Result<(), End> {
        // Without a connection there is nothing to do.
        let Some(mut line) = self.line.take() else { return Ok(()) };
        let result = self.turn_with(&mut line, input, output, now);
        self.line = Some(line);
        result
    }

    fn turn_with(
        &mut self,
        line: &mut Line,
        input: &mut BytesMut,
        output: &mut BytesMut,
        now: Instant,
    ) -> Result<(), End> {
        if std::mem::take(&mut line.begins) {
            self.begin(line, output, now)?;
        }
        self.hand_over_held();
        loop {
            self.take_all(line, input, output, now)?;
            let held = self.ledger.outstanding();
            while let Some(ack) = self.ledger.release() {
                self.metrics.acknowledged.inc();
                self.wire.ack(ack, output)?;
            }
            // The released slots make room for packets that are already read; no new byte would trigger them.
            if self.ledger.outstanding() == held {
                break;
            }
        }
        self.tick(line, output, now)?;
        self.go_on_retiring(line, output, now)?;
        if self.phase >= Phase::Draining {
            return if self.is_done() { Err(End::Drained) } else { Ok(()) };
        }
        if self.ledger.needs_reconnect() {
            return Err(End::lost("a message was given up without an outcome; only a new connection brings it again"));
        }
        Ok(())
    }

    /// The connection is closed. Returns the cause, as far as it is known.
    pub(super) fn disconnected(&mut self, end: End) -> End {
        let unanswered = self.line.take().map(|line| line.unanswered).unwrap_or_default();
        if matches!(end, End::Retired) {
            self.note_emptied();
        }
        if unanswered.is_empty() { end } else { end.explained(|| self.denied_by_closing(&unanswered)) }
    }

    /// Hands over the messages that were read while the mapping was paused, once it is resumed.
    fn hand_over_held(&mut self) {
        if !self.paused {
            self.admitted.extend(self.held.drain(..));
        }
    }

    /// The deliveries since the last call.
    pub(super) fn take_admitted(&mut self) -> std::vec::Drain<'_, Admitted> {
        self.admitted.drain(..)
    }

    /// The events since the last call.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether there is nothing left to do: after a stop, in a drain when no delivery waits for its outcome, or when
    /// the broker has forgotten the session.
    pub(super) fn is_done(&self) -> bool {
        match self.phase {
            _ if self.retirement == Retirement::Forgotten && !self.is_returning() => true,
            Phase::Running | Phase::Retiring => false,
            Phase::Draining => self.ledger.running() == 0,
            Phase::Stopping => true,
        }
    }

    /// The filters that the broker's session holds, as far as is known.
    pub(super) fn subscribed(&self) -> Vec<String> {
        let held = self.filters.all().iter().zip(&self.subscribed).filter(|(_, subscribed)| **subscribed);
        held.map(|(filter, _)| filter.to_string()).collect()
    }

    /// Whether an UNSUBSCRIBE was sent although the broker may have had messages queued.
    pub(super) fn is_unproven(&self) -> bool {
        self.unproven
    }

    /// Messages that it holds, and the bytes of those whose payloads may still be in memory.
    pub(super) fn outstanding(&self) -> (usize, usize) {
        (self.ledger.outstanding(), self.ledger.held_bytes())
    }
}

#[cfg(test)]
mod tests;
