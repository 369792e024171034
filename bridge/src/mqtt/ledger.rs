//! The ledger of one MQTT session: which messages were received, and which may be acknowledged. Pure: no I/O, no clock.
//!
//! It keeps three promises. A message is acknowledged only after its outcome. Acknowledgements leave in the order of
//! receipt (MQTT 5, 4.6.0-2). A ticket acknowledges nothing but the very receipt it was written for: packet identifiers
//! are used again, so every connection is an *epoch* of its own, and a late outcome from an earlier epoch counts only if
//! the broker has since sent that same message again in a resumed session.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use bytestring::ByteString;

use crate::config::Qos;
use crate::delivery::{Outcome, Settlement, Ticket};
use crate::message::Message;

/// What the session does with a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Make a delivery of it, with this ticket.
    New(Ticket),
    /// Nothing: this very message is already on its way, or done, and will be acknowledged here.
    Resumed,
    /// Send PUBREC again: it was received before, and the broker has not released it yet (QoS 2).
    Received,
}

/// An acknowledgement that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The packet identifier of the PUBLISH.
    pub packet_id: u16,
    /// Decides between PUBACK and PUBREC.
    pub qos: Qos,
}

/// The book of one session. See the module's page.
#[derive(Debug, Default)]
pub struct Ledger {
    epoch: u64,
    /// The slot of the first entry; slots count the receipts of this epoch.
    first_slot: u64,
    /// This epoch's receipts that are not acknowledged, in receive order.
    entries: VecDeque<Entry>,
    /// Receipts of earlier epochs that the broker will send again, by packet identifier.
    carried: HashMap<u16, Entry>,
    /// Where the running receipts of earlier epochs stand; a ticket of this epoch says it itself.
    places: HashMap<Ticket, Place>,
    /// QoS 2 packet identifiers with PUBREC sent and PUBREL not seen, each with the digest of its message.
    awaiting_release: HashMap<u16, u64>,
    /// Deliveries without a verdict that no acknowledgement waits for any more.
    stale: usize,
    /// Deliveries without a verdict, stale ones included.
    running: usize,
    /// Receipts of this epoch that were abandoned: only a new connection brings their messages back.
    abandoned: usize,
    /// What the broker counts against Receive Maximum on this connection.
    in_flight: usize,
    bytes: usize,
    /// Of those, the carried ones'.
    carried_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    packet_id: u16,
    qos: Qos,
    verdict: Option<Outcome>,
    topic: ByteString,
    payload: Bytes,
    weight: usize,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Slot(u64),
    Carried(u16),
}

impl Ledger {
    /// A new connection begins, and with it a new epoch. `session_present` is what CONNACK said (MQTT 5, 3.2.2.1.1).
    /// Returns how many receipts of earlier connections can no longer be acknowledged, as the session was lost.
    pub fn connect(&mut self, session_present: bool) -> usize {
        self.epoch += 1;
        self.first_slot = 0;
        self.abandoned = 0;
        self.in_flight = 0;
        let entries = std::mem::take(&mut self.entries);
        if session_present {
            for entry in entries {
                self.carry(entry);
            }
            return 0;
        }
        self.awaiting_release.clear();
        let carried = std::mem::take(&mut self.carried);
        self.carried_bytes = 0;
        let lost = entries.len() + carried.len();
        for entry in entries.into_iter().chain(carried.into_values()) {
            self.forget(entry);
        }
        lost
    }

    /// Books the receipt of a PUBLISH. `packet_id` is 0 at QoS 0.
    pub fn admit(&mut self, packet_id: u16, message: &Message) -> Admission {
        self.in_flight += usize::from(message.qos != Qos::AtMostOnce);
        if message.qos == Qos::ExactlyOnce && self.is_received(packet_id, message) {
            return Admission::Received;
        }
        if message.dup {
            if let Some(entry) = self.take_carried(packet_id, message) {
                if entry.verdict.is_none() {
                    self.places.insert(entry.ticket, Place::Slot(self.next_slot()));
                }
                self.entries.push_back(entry);
                return Admission::Resumed;
            }
        } else if !self.carried.is_empty() {
            self.forget_settled();
        }
        let ticket = Ticket { epoch: self.epoch, slot: self.next_slot() };
        self.running += 1;
        let weight = message.weight();
        self.bytes += weight;
        self.entries.push_back(Entry {
            ticket,
            packet_id,
            qos: message.qos,
            verdict: None,
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            weight,
        });
        Admission::New(ticket)
    }

    /// Books an outcome. False when no acknowledgement waits for it any more: the session was lost meanwhile.
    pub fn settle(&mut self, settlement: Settlement) -> bool {
        let Settlement { ticket, outcome, weight } = settlement;
        self.running -= 1;
        let place =
            if ticket.epoch == self.epoch { Some(Place::Slot(ticket.slot)) } else { self.places.remove(&ticket) };
        match place {
            Some(Place::Slot(slot)) => {
                let index = usize::try_from(slot - self.first_slot).ok();
                if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
                    entry.verdict = Some(outcome);
                    self.abandoned += usize::from(outcome == Outcome::Abandoned);
                }
                true
            }
            Some(Place::Carried(packet_id)) => {
                self.settle_carried(packet_id, outcome);
                true
            }
            None => {
                self.stale -= 1;
                self.bytes -= weight;
                false
            }
        }
    }

    /// The next acknowledgement that is due, in receive order.
    pub fn release(&mut self) -> Option<Ack> {
        while self.entries.front()?.verdict.is_some_and(|outcome| outcome != Outcome::Abandoned) {
            let entry = self.entries.pop_front()?;
            self.first_slot += 1;
            self.bytes -= entry.weight;
            match entry.qos {
                Qos::AtMostOnce => continue,
                Qos::AtLeastOnce => self.one_less_in_flight(),
                Qos::ExactlyOnce => {
                    self.awaiting_release.insert(entry.packet_id, digest(&entry.topic, &entry.payload));
                }
            }
            return Some(Ack { packet_id: entry.packet_id, qos: entry.qos });
        }
        None
    }

    /// The broker has released a QoS 2 packet identifier (PUBREL): from now on it names a new message.
    pub fn released(&mut self, packet_id: u16) {
        self.awaiting_release.remove(&packet_id);
        self.one_less_in_flight();
    }

    /// A QoS 2 message of an earlier connection may be released on this one, which never counted it.
    fn one_less_in_flight(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Messages that this session holds: received and not acknowledged, or still on their way through a function.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.entries.len() + self.carried.len() + self.stale
    }

    /// What the outstanding messages weigh, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many messages, and bytes of them, stand in the way of reading on: those whose end this connection brings about.
    /// What is carried over from earlier ones does not count, as only reading lets the broker send it again.
    #[must_use]
    pub fn in_the_way(&self) -> (usize, usize) {
        (self.entries.len() + self.stale, self.bytes - self.carried_bytes)
    }

    /// What the broker counts against Receive Maximum on this connection (MQTT 5, 4.9): PUBLISH packets received and not
    /// yet answered with PUBACK, or PUBCOMP. Never more than it counts itself.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Deliveries that have no verdict yet.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// Whether a message was abandoned on this connection, so that only a new one can bring it, and those behind it, on.
    #[must_use]
    pub fn needs_reconnect(&self) -> bool {
        self.abandoned > 0
    }

    fn next_slot(&self) -> u64 {
        self.first_slot + self.entries.len() as u64
    }

    /// Whether it was received before and waits for its release (MQTT 5, 4.3.3-10). A broker that has let that message go
    /// without PUBREL, and uses the packet identifier for another one, must not have that one acknowledged unseen.
    fn is_received(&mut self, packet_id: u16, message: &Message) -> bool {
        let Some(known) = self.awaiting_release.get(&packet_id) else { return false };
        let same = message.dup && *known == digest(&message.topic, &message.payload);
        if !same {
            self.released(packet_id);
        }
        same
    }

    /// Keeps a receipt over a resumed connection: the broker will send it again.
    fn carry(&mut self, entry: Entry) {
        if entry.qos == Qos::AtMostOnce || entry.verdict == Some(Outcome::Abandoned) {
            return self.forget(entry);
        }
        if entry.verdict.is_none() {
            self.places.insert(entry.ticket, Place::Carried(entry.packet_id));
        }
        self.carried_bytes += entry.weight;
        // Only a broker that has more than 65,535 messages in flight uses an identifier twice at once.
        if let Some(older) = self.carried.insert(entry.packet_id, entry) {
            self.carried_bytes -= older.weight;
            self.forget(older);
        }
    }

    /// Gives up the acknowledgement of a receipt. Its delivery, if it still runs, becomes stale.
    fn forget(&mut self, entry: Entry) {
        if entry.verdict.is_some() {
            self.bytes -= entry.weight;
        } else {
            self.places.remove(&entry.ticket);
            self.stale += 1;
        }
    }

    /// A packet identifier alone proves nothing (MQTT 5, 4.3.2): the content must be the same too.
    fn take_carried(&mut self, packet_id: u16, message: &Message) -> Option<Entry> {
        let entry = self.carried.get(&packet_id)?;
        if entry.qos == message.qos && entry.topic == message.topic && entry.payload == message.payload {
            self.carried_bytes -= entry.weight;
            self.carried.remove(&packet_id)
        } else {
            None
        }
    }

    fn settle_carried(&mut self, packet_id: u16, outcome: Outcome) {
        if outcome == Outcome::Abandoned {
            if let Some(entry) = self.carried.remove(&packet_id) {
                self.bytes -= entry.weight;
                self.carried_bytes -= entry.weight;
            }
        } else if let Some(entry) = self.carried.get_mut(&packet_id) {
            entry.verdict = Some(outcome);
        }
    }

    /// A broker sends what it repeats before anything new (MQTT 5, 4.6.0-1), so what has not come by now never will.
    fn forget_settled(&mut self) {
        let mut forgotten = 0;
        self.carried.retain(|_, entry| {
            let keep = entry.verdict.is_none();
            forgotten += if keep { 0 } else { entry.weight };
            keep
        });
        self.bytes -= forgotten;
        self.carried_bytes -= forgotten;
    }
}

/// Tells messages apart that wait for their release, without keeping them.
fn digest(topic: &str, payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, payload).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
