//! What time asks of a connection: PINGREQ, and patience with answers that are late, as long as the broker may send none and
//! nothing is read.

use std::time::Instant;

use bytes::BytesMut;

use super::Machine;
use super::line::Line;
use crate::mqtt::end::End;
use crate::mqtt::keep_alive::Due;
use crate::mqtt::packet::WireError;
use crate::mqtt::session::event::Event;

/// How many receipts a session may keep for each place of its window; more than one only behind a message without an outcome,
/// with a broker that gives a packet identifier to another message before it is acknowledged.
const PLACES_OF_ONE: usize = 4;

impl Machine {
    /// The action that is due.
    pub(super) fn tick(&mut self, line: &mut Line, output: &mut BytesMut, now: Instant) -> Result<(), End> {
        if self.is_closed(line) {
            // The bridge reads nothing now, so a missing packet is not the broker's fault.
            line.keep_alive.alive(now);
        }
        if self.is_closed(line) || self.is_window_full() {
            // Some brokers send nothing at all beyond Receive Maximum (rumqttd).
            line.postpone(self.settings.link.connect_timeout, now);
            self.note_suback_behind(line);
        }
        if line.suback_due.is_some_and(|due| due <= now) {
            return Err(End::lost(format!("no SUBACK within {:?}", self.settings.link.connect_timeout)));
        }
        if line.unsuback_due.is_some_and(|due| due <= now) {
            self.unsuback_is_late(line)?;
        }
        self.doubt_session(line, now);
        if self.ledger.wants_ping() {
            self.ping(line, output)?;
        }
        if now < line.next_tick {
            return Ok(());
        }
        line.next_tick = now + line.keep_alive.period();
        match line.keep_alive.due(now) {
            Due::Nothing => Ok(()),
            Due::Ping => Ok(self.ping(line, output)?),
            Due::Dead => Err(End::lost("the broker is silent: no answer to PINGREQ")),
        }
    }

    /// What comes on this connection comes by a subscription, so one stands, although SUBACK is not read yet. A bridge that were
    /// not ready would be restarted by whoever waits for that, and its functions would run again.
    fn note_suback_behind(&mut self, line: &mut Line) {
        let is_behind = line.suback_due.is_some() && self.ledger.in_flight() > 0;
        if is_behind && !std::mem::replace(&mut line.said_behind, true) {
            self.events.push(Event::SubscribedBehind { held: self.ledger.outstanding() });
        }
    }

    /// Behind all acknowledgements that were released.
    pub(super) fn ping(&mut self, line: &mut Line, output: &mut BytesMut) -> Result<(), WireError> {
        line.asked(self.ledger.broker_has_room());
        self.ledger.pinged();
        self.wire.pingreq(output)
    }

    /// When it needs a turn if nothing happens before.
    pub(in crate::mqtt::session) fn wakes(&self, now: Instant) -> Instant {
        self.line.as_ref().map_or(now, Line::wakes)
    }

    /// Whether it takes more bytes.
    pub(in crate::mqtt::session) fn reads(&self) -> bool {
        self.line.as_ref().is_some_and(|line| !self.is_closed(line))
    }

    /// Whether reading must stop: an operator has paused the mapping and no answer is expected, or the limit is
    /// reached, whatever the broker does.
    pub(super) fn is_closed(&self, line: &Line) -> bool {
        self.is_full() || (self.paused && !line.listens())
    }

    /// Whether the broker may send no further message, or none is read.
    pub(super) fn is_window_full(&self) -> bool {
        self.ledger.in_flight() >= usize::from(self.settings.receive_maximum) || self.is_full()
    }

    fn is_full(&self) -> bool {
        let (messages, bytes) = self.ledger.in_the_way();
        messages >= self.settings.max_outstanding()
            || self.ledger.places() >= PLACES_OF_ONE * self.settings.max_outstanding()
            || bytes as u64 >= self.settings.max_outstanding_bytes
            || self.ledger.running() >= self.settings.max_running()
            || self.ledger.held_bytes() as u64 >= self.settings.max_held_bytes()
    }
}
