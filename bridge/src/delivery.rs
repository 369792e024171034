//! A delivery: one receipt of a message, with the right to have it acknowledged.
//!
//! Whoever holds a [`Delivery`] owes exactly one [`Outcome`]. Dropping it is an outcome too: the message stays
//! un-acknowledged and the broker sends it again after the next connect. Never touches the connection itself.

mod hold;

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use bytestring::ByteString;
use event::Encoding;
use tokio::sync::mpsc;

use crate::clock::now;
use crate::content::{Compression, Unreadable};
use crate::message::Message;
use crate::otlp::{Ended, Trace};

pub use hold::{Freed, Hold, Keys};

/// The final verdict on a delivery. All but [`Outcome::Abandoned`] are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The function succeeded.
    Delivered,
    /// No filter of the mapping matched.
    Filtered,
    /// Safe in the failure destination.
    DeadLettered,
    /// Its Message Expiry Interval ran out while it waited.
    Expired,
    /// Given up without a verdict, as at a drain that ran out of time: the broker must send it again.
    Abandoned,
}

impl Outcome {
    /// As metrics and traces call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Filtered => "filtered",
            Self::DeadLettered => "dead_lettered",
            Self::Expired => "expired",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The right to acknowledge one receipt, worthless on any connection but its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// Which connection of the session, counted from 1.
    pub epoch: u64,
    /// Which receipt, counted over the life of that connection.
    pub slot: u64,
}

/// The report of a settled delivery to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// The ticket of the message that is settled.
    pub ticket: Ticket,
    /// The verdict.
    pub outcome: Outcome,
    /// The message's [`Message::weight`], which is now free again.
    pub weight: usize,
}

/// The way back to the session. It has room for every delivery outstanding, so settling never waits.
pub type Settler = mpsc::Sender<Settlement>;

/// Names a delivery towards the function; stays the same over every retry of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordId {
    /// By the bridge.
    Numbered {
        /// A random number that this start of the session has drawn.
        run: u64,
        /// Which receipt, counted over the life of the session.
        sequence: u64,
    },
    /// By the publisher, so that it also stays the same over a restart of the bridge.
    Given(ByteString),
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered { run, sequence } => write!(f, "{run:016x}-{sequence}"),
            Self::Given(id) => f.write_str(id),
        }
    }
}

/// What its payload is to the function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Content {
    /// What was published.
    #[default]
    Published,
    /// What was published, decompressed; the bytes are let go of while the delivery only waits.
    Decompressed(Compression, Option<Bytes>),
    /// Nothing.
    Unreadable(Compression, Unreadable),
}

/// One receipt of a message. See the module's page for what its holder owes.
#[derive(Debug)]
pub struct Delivery {
    /// The content.
    pub message: Message,
    /// Its name towards the function.
    pub id: RecordId,
    /// When it was received, by the wall clock.
    pub received_at: SystemTime,
    /// When it was received, by the clock that never jumps.
    pub received: Instant,
    /// The topic filter that it came by, as far as is known.
    pub subscription: Option<Arc<str>>,
    /// What the payload is to the function.
    pub content: Content,
    /// The encoding of the payload in the event, once it is known.
    pub encoding: Option<Encoding>,
    /// The hold on its ordering key, in an ordered mapping.
    pub hold: Option<Arc<Hold>>,
    /// The function has taken it, and it goes again only because one of its key before it has to.
    pub taken: bool,
    /// How many events of its mapping the function had answered when it was taken up.
    pub passed_before: u64,
    /// Its position in the trace of its message.
    pub trace: Trace,
    ticket: Ticket,
    settler: Option<Settler>,
}

impl Delivery {
    /// A delivery received just now.
    #[must_use]
    pub fn new(message: Message, id: RecordId, ticket: Ticket, settler: Settler) -> Self {
        Self::received(message, id, ticket, settler, (SystemTime::now(), now()))
    }

    /// A delivery received at this moment, by both clocks.
    #[must_use]
    pub fn received(
        message: Message,
        id: RecordId,
        ticket: Ticket,
        settler: Settler,
        (received_at, received): (SystemTime, Instant),
    ) -> Self {
        Self {
            message,
            id,
            received_at,
            received,
            subscription: None,
            content: Content::Published,
            encoding: None,
            hold: None,
            taken: false,
            passed_before: 0,
            trace: Trace::default(),
            ticket,
            settler: Some(settler),
        }
    }

    /// The connection that it came from, counted from 1.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.ticket.epoch
    }

    /// Reports the verdict.
    pub fn settle(mut self, outcome: Outcome) {
        self.report(outcome);
    }

    /// The payload as the function gets it.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        match &self.content {
            Content::Decompressed(_, Some(bytes)) => bytes,
            _ => &self.message.payload,
        }
    }

    /// Takes the payload for compressed so, and for unreadable when it is not, or becomes longer than `limit`. A
    /// message that is not fit for a function stays as it is.
    pub fn decompress(&mut self, compression: Compression, limit: usize) {
        if self.message.unfit().is_some() {
            return;
        }
        self.content = match compression.undo(&self.message.payload, limit) {
            Ok(bytes) => Content::Decompressed(compression, Some(bytes)),
            Err(unreadable) => Content::Unreadable(compression, unreadable),
        };
    }

    /// Decompresses again what was let go of.
    pub fn take_up(&mut self, limit: usize) {
        if let Content::Decompressed(compression, None) = self.content {
            self.decompress(compression, limit);
        }
    }

    /// Keeps no more than was published, while it waits.
    pub fn let_go(&mut self) {
        if let Content::Decompressed(_, bytes) = &mut self.content {
            *bytes = None;
        }
    }

    /// How its payload was compressed, if the bridge is to know.
    #[must_use]
    pub fn compression(&self) -> Option<Compression> {
        match self.content {
            Content::Published => None,
            Content::Decompressed(compression, _) | Content::Unreadable(compression, _) => Some(compression),
        }
    }

    /// Why no function can be given it, by kind and in words; `None` when one can.
    #[must_use]
    pub fn unreadable(&self) -> Option<(&'static str, &str)> {
        match &self.content {
            Content::Unreadable(_, Unreadable { kind, why }) => Some((kind, why)),
            _ => self.message.unfit(),
        }
    }

    /// Whether its Message Expiry Interval has run out (MQTT 5, 3.3.2.3.3).
    #[must_use]
    pub fn is_expired(&self, now: Instant) -> bool {
        let expiry = self.message.properties.as_ref().and_then(|properties| properties.expiry);
        expiry.is_some_and(|expiry| now.saturating_duration_since(self.received) >= expiry)
    }

    fn report(&mut self, outcome: Outcome) {
        let Some(settler) = self.settler.take() else { return };
        if let Some(hold) = &self.hold
            && outcome == Outcome::Abandoned
        {
            hold.abandon();
        }
        self.trace.end(Ended {
            topic: &self.message.topic,
            subscription: self.subscription.as_deref(),
            record: &self.id,
            qos: self.message.qos as u8,
            outcome: outcome.name(),
            failed: outcome == Outcome::DeadLettered,
            received: (self.received_at, self.received),
        });
        let settlement = Settlement { ticket: self.ticket, outcome, weight: self.message.weight() };
        // A session that has ended needs no verdict any more: the broker still holds the message.
        let _ = settler.try_send(settlement);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.report(Outcome::Abandoned);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::config::Qos;
    use crate::message::Properties;

    fn delivery() -> (Delivery, mpsc::Receiver<Settlement>) {
        let (settler, settlements) = mpsc::channel(2);
        let message = Message {
            topic: "a".into(),
            payload: Bytes::new(),
            qos: Qos::AtLeastOnce,
            retain: false,
            dup: false,
            properties: None,
        };
        let id = RecordId::Numbered { run: 1, sequence: 1 };
        (Delivery::new(message, id, Ticket { epoch: 1, slot: 7 }, settler), settlements)
    }

    #[test]
    fn settles_exactly_once() {
        let (delivery, mut settlements) = delivery();
        delivery.settle(Outcome::Delivered);
        let settlement = settlements.try_recv().unwrap();
        assert_eq!((settlement.ticket.slot, settlement.outcome), (7, Outcome::Delivered));
        assert!(settlements.try_recv().is_err());
    }

    #[test]
    fn a_dropped_delivery_is_abandoned() {
        let (delivery, mut settlements) = delivery();
        drop(delivery);
        assert_eq!(settlements.try_recv().unwrap().outcome, Outcome::Abandoned);
    }

    #[test]
    fn record_ids_are_told_apart() {
        let id = RecordId::Numbered { run: 0x0b1f_0c7e_9a3d_2468, sequence: 42 };
        assert_eq!(id.to_string(), "0b1f0c7e9a3d2468-42");
        assert_eq!(RecordId::Given("m-1".into()).to_string(), "m-1");
    }

    #[test]
    fn a_hold_is_freed_by_the_last_outcome_and_tells_of_an_abandoned_one() {
        #[derive(Debug, Default)]
        struct Heard(Mutex<Vec<Freed>>);
        impl Keys for Heard {
            fn free(&self, freed: Freed) {
                self.0.lock().unwrap().push(freed);
            }
        }
        for (outcome, abandoned) in [(Outcome::Delivered, false), (Outcome::Abandoned, true)] {
            let heard = Arc::new(Heard::default());
            let hold = Arc::new(Hold::new(7, heard.clone()));
            let ((mut first, _a), (mut second, _b)) = (delivery(), delivery());
            (first.hold, second.hold) = (Some(Arc::clone(&hold)), Some(hold));
            first.settle(outcome);
            assert_eq!(*heard.0.lock().unwrap(), [], "another delivery still has it");
            assert_eq!(second.hold.as_ref().unwrap().is_abandoned(), abandoned);
            second.settle(Outcome::Delivered);
            assert_eq!(*heard.0.lock().unwrap(), [Freed { key: 7, abandoned }]);
        }
    }

    #[test]
    fn a_message_expires_by_its_own_interval() {
        let (mut delivery, _settlements) = delivery();
        let (soon, later) = (delivery.received + Duration::from_secs(9), delivery.received + Duration::from_secs(10));
        assert!(!delivery.is_expired(later), "without an interval it never does");
        let properties = Properties { expiry: Some(Duration::from_secs(10)), ..Properties::default() };
        delivery.message.properties = Some(Arc::new(properties));
        assert!(delivery.is_expired(later));
        assert!(!delivery.is_expired(soon));
    }
}
