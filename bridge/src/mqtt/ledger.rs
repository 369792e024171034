//! The ledger of one MQTT session: which messages were received, and which may be acknowledged. Pure: no I/O, no clock.
//!
//! It keeps three promises. A message is acknowledged only after its outcome. Acknowledgements leave in the order of
//! receipt (MQTT 5, 4.6.0-2). A ticket acknowledges nothing but the very receipt it was written for: packet identifiers
//! are used again, so every connection is an *epoch* of its own, and an outcome from an earlier epoch counts only if
//! the broker has since sent that same message again.
//!
//! A broker may send a message again: over a resumed session, and under MQTT 3.1.1 also on the same connection. A copy
//! *joins* its receipt, so that the function is invoked once, only where it provably is one: a second invocation is
//! allowed, a message that was never invoked is not, and two messages of equal content are common. The rules stand at
//! [`Ledger::admit`].

mod carried;
mod counts;
mod crossing;
mod exactly_once;
mod id_set;
mod receipt;
mod resumed;

use std::collections::{HashMap, VecDeque};

use crate::config::Qos;
use crate::delivery::{Outcome, Settlement, Ticket};
use crate::message::Message;
use carried::Carried;
use crossing::Crossing;
use exactly_once::Received;
use id_set::IdSet;
use receipt::{Content, Receipt};

/// What CONNACK says of the session, as far as it can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The broker has it: what is not acknowledged comes again.
    Yes,
    /// The broker says that it has none. That is believed once [`Ledger::give_up_session`] is called; until then a
    /// message sent again under its own packet identifier proves the broker wrong.
    Doubtful,
    /// There is none.
    No,
}

/// What the session does with a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Make a delivery of it, with this ticket.
    New(Ticket),
    /// Nothing: this very message is already on its way, or done, and will be acknowledged here.
    Joined,
    /// The same, and it shows that the broker has kept a session which it said it had not.
    Refuted,
    /// Send PUBREC again: it was received before, and the broker has not released it yet (QoS 2).
    Received,
    /// Nothing at all: the broker sent it before it read our PUBACK for it.
    Crossed,
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
    /// The slot of the first receipt; slots count the receipts of this epoch.
    first_slot: u64,
    /// This epoch's receipts that are not acknowledged, in receive order.
    receipts: VecDeque<Receipt>,
    /// The packet identifiers of those, QoS 0 left out.
    open: IdSet,
    /// How many receipts have a packet identifier that another message has taken over; they are never acknowledged.
    overtaken: usize,
    /// Receipts of earlier epochs that the broker will send again.
    carried: Carried,
    /// The carried ones count only if the broker refutes itself.
    doubtful: bool,
    /// Where the running receipts of earlier epochs stand; a ticket of this epoch says it itself.
    places: HashMap<Ticket, Place>,
    /// What was acknowledged lately on this connection, at QoS 1.
    crossing: Crossing,
    /// QoS 2 packet identifiers with PUBREC sent and PUBREL not seen.
    awaiting_release: HashMap<u16, Received>,
    /// Deliveries without a verdict that no acknowledgement waits for any more.
    stale: usize,
    /// Deliveries without a verdict, stale ones included.
    running: usize,
    /// Receipts of this epoch that were abandoned: only a new connection brings their messages again.
    abandoned: usize,
    /// What the broker counts against Receive Maximum on this connection.
    in_flight: usize,
    /// The most that it had in flight on this connection.
    most_in_flight: usize,
    bytes: usize,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Slot(u64),
    Carried(u64),
}

impl Ledger {
    /// Books the receipt of a PUBLISH. `packet_id` is 0 at QoS 0; `identified` says whether a message carries an id of
    /// its publisher's, so that equal content means the same message.
    ///
    /// A message is a copy of an earlier one only if QoS, retain, topic, payload and all properties but the Message
    /// Expiry Interval are equal, and
    ///
    /// - on one connection: it has DUP, or an id of its publisher's, and the packet identifier of a receipt that is not
    ///   acknowledged;
    /// - over a resumed session: it has DUP, whatever the packet identifier, each copy for one receipt in receipt order; or
    ///   an id of its publisher's and the same packet identifier;
    /// - with DUP and the packet identifier of what was just acknowledged: it was sent before that was read, until a
    ///   PINGREQ behind the acknowledgement is answered.
    ///
    /// Everything else is a new message. Under a packet identifier that is not acknowledged it takes that over: the
    /// older receipt is never acknowledged.
    pub fn admit(&mut self, packet_id: u16, message: &Message, identified: impl Fn(&Message) -> bool) -> Admission {
        if message.qos == Qos::AtMostOnce {
            return self.book(packet_id, message);
        }
        if message.qos == Qos::ExactlyOnce && self.is_received(packet_id, message) {
            return Admission::Received;
        }
        if self.open.contains(packet_id) {
            if self.is_copy_of_open(packet_id, message, &identified) {
                return Admission::Joined;
            }
            return self.book(packet_id, message);
        }
        if message.dup && self.crossing.contains(packet_id, message) {
            return Admission::Crossed;
        }
        self.in_flight += 1;
        self.most_in_flight = self.most_in_flight.max(self.in_flight);
        if let Some(receipt) = self.take_carried(packet_id, message, &identified) {
            let refuted = std::mem::take(&mut self.doubtful);
            self.resume(packet_id, receipt);
            return if refuted { Admission::Refuted } else { Admission::Joined };
        }
        if !message.dup && !self.doubtful {
            // A broker sends what it repeats before anything new (MQTT 5, 4.6.0-1): what has not come by now never
            // will.
            self.forget_settled();
        }
        self.book(packet_id, message)
    }

    /// Books an outcome. False when no acknowledgement waits for it any more.
    pub fn settle(&mut self, settlement: Settlement) -> bool {
        let Settlement { ticket, outcome, weight } = settlement;
        self.running -= 1;
        let place =
            if ticket.epoch == self.epoch { Some(Place::Slot(ticket.slot)) } else { self.places.remove(&ticket) };
        let counts = match place {
            Some(Place::Slot(slot)) => self.settle_slot(slot, outcome),
            Some(Place::Carried(order)) => self.settle_carried(order, outcome),
            None => false,
        };
        if !counts {
            self.stale -= 1;
            self.bytes -= weight;
        }
        counts
    }

    /// The next acknowledgement that is due, in receive order.
    pub fn release(&mut self) -> Option<Ack> {
        loop {
            let first = self.receipts.front()?;
            if !first.overtaken && first.verdict.is_none_or(|outcome| outcome == Outcome::Abandoned) {
                return None;
            }
            let receipt = self.receipts.pop_front()?;
            self.first_slot += 1;
            if receipt.overtaken {
                self.overtaken -= 1;
                continue;
            }
            self.bytes -= receipt.weight;
            let Receipt { packet_id, content, .. } = receipt;
            match content.qos {
                Qos::AtMostOnce => continue,
                Qos::AtLeastOnce => {
                    self.one_less_in_flight();
                    self.crossing.acknowledged(packet_id, &content);
                }
                Qos::ExactlyOnce => {
                    let received = Received { digest: content.digest(), epoch: self.epoch };
                    self.awaiting_release.insert(packet_id, received);
                }
            }
            self.open.remove(packet_id);
            return Some(Ack { packet_id, qos: content.qos });
        }
    }

    /// PINGREQ is written behind all acknowledgements that are released.
    pub fn pinged(&mut self) {
        self.crossing.pinged();
    }

    /// The oldest PINGREQ without an answer has it.
    pub fn ponged(&mut self) {
        self.crossing.ponged();
    }

    /// Whether a PINGREQ is due for the sake of this book, which grows until one is answered.
    #[must_use]
    pub fn wants_ping(&self) -> bool {
        self.crossing.wants_ping()
    }

    fn next_slot(&self) -> u64 {
        self.first_slot + self.receipts.len() as u64
    }

    /// A new message. Whether its packet identifier is in use has been looked at: then this one takes it over.
    fn book(&mut self, packet_id: u16, message: &Message) -> Admission {
        if packet_id != 0 && !self.open.insert(packet_id) {
            self.overtake(packet_id);
        }
        let ticket = Ticket { epoch: self.epoch, slot: self.next_slot() };
        let weight = message.weight();
        self.running += 1;
        self.bytes += weight;
        let content = Content::of(message);
        self.receipts.push_back(Receipt { ticket, packet_id, content, verdict: None, weight, overtaken: false });
        Admission::New(ticket)
    }

    fn is_copy_of_open(&self, packet_id: u16, message: &Message, identified: impl Fn(&Message) -> bool) -> bool {
        let newest = self.receipts.iter().rev().find(|receipt| receipt.is_open_as(packet_id));
        newest.is_some_and(|receipt| receipt.content.is_equal(message) && (message.dup || identified(message)))
    }

    /// Another message has the packet identifier now: the receipt is never acknowledged, and holds up nobody's order.
    fn overtake(&mut self, packet_id: u16) {
        let Some(receipt) = self.receipts.iter_mut().rev().find(|receipt| receipt.is_open_as(packet_id)) else {
            return;
        };
        receipt.overtaken = true;
        self.overtaken += 1;
        self.places.remove(&receipt.ticket);
        match receipt.verdict {
            None => self.stale += 1,
            Some(outcome) => {
                self.abandoned -= usize::from(outcome == Outcome::Abandoned);
                self.bytes -= receipt.weight;
                receipt.content.forget();
            }
        }
    }

    /// False when the receipt was overtaken; then nothing needs its content any more.
    fn settle_slot(&mut self, slot: u64, outcome: Outcome) -> bool {
        let index = slot.checked_sub(self.first_slot).and_then(|index| usize::try_from(index).ok());
        let Some(receipt) = index.and_then(|index| self.receipts.get_mut(index)) else { return false };
        if receipt.overtaken {
            receipt.content.forget();
            return false;
        }
        receipt.verdict = Some(outcome);
        self.abandoned += usize::from(outcome == Outcome::Abandoned);
        true
    }

    fn one_less_in_flight(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
