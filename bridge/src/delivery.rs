//! A delivery: one receipt of a message, with the right to have it acknowledged.
//!
//! Whoever holds a [`Delivery`] owes exactly one [`Outcome`]. Dropping it is an outcome too: the message stays
//! un-acknowledged and the broker sends it again after the next connect. Never touches the connection itself.

use std::fmt;
use std::str::FromStr;
use std::time::{Instant, SystemTime};

use tokio::sync::mpsc;

use crate::message::Message;

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

/// The right to acknowledge one receipt, worthless on any connection but its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Which connection of the session, counted from 1.
    pub epoch: u64,
    /// Which receipt, counted over the life of that connection.
    pub slot: u64,
}

/// What a settled delivery tells its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Whose acknowledgement this is about.
    pub ticket: Ticket,
    /// The verdict.
    pub outcome: Outcome,
    /// The message's [`Message::weight`], which is now free again.
    pub weight: usize,
}

/// The way back to the session. It has room for every delivery outstanding, so settling never waits.
pub type Settler = mpsc::Sender<Settlement>;

/// Names a delivery towards the function; stays the same over every retry of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordId {
    /// A random number that this start of the session has drawn.
    pub run: u64,
    /// Which receipt, counted over the life of the session.
    pub sequence: u64,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.run, self.sequence)
    }
}

impl FromStr for RecordId {
    type Err = ();

    /// Accepts exactly what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (run, sequence) = text.split_once('-').ok_or(())?;
        let id =
            Self { run: u64::from_str_radix(run, 16).map_err(|_| ())?, sequence: sequence.parse().map_err(|_| ())? };
        if id.to_string() == text { Ok(id) } else { Err(()) }
    }
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
    ticket: Ticket,
    settler: Option<Settler>,
}

impl Delivery {
    /// A delivery received just now.
    #[must_use]
    pub fn new(message: Message, id: RecordId, ticket: Ticket, settler: Settler) -> Self {
        let (received_at, received) = (SystemTime::now(), Instant::now());
        Self { message, id, received_at, received, ticket, settler: Some(settler) }
    }

    /// Reports the verdict.
    pub fn settle(mut self, outcome: Outcome) {
        self.report(outcome);
    }

    fn report(&mut self, outcome: Outcome) {
        let Some(settler) = self.settler.take() else { return };
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
    use bytes::Bytes;

    use super::*;
    use crate::config::Qos;

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
        let id = RecordId { run: 1, sequence: 1 };
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
    fn record_ids_survive_a_round_trip_and_nothing_else_passes() {
        let id = RecordId { run: 0x0b1f_0c7e_9a3d_2468, sequence: 42 };
        assert_eq!(id.to_string(), "0b1f0c7e9a3d2468-42");
        assert_eq!("0b1f0c7e9a3d2468-42".parse(), Ok(id));
        for text in
            ["", "1-42", "0B1F0C7E9A3D2468-42", "0b1f0c7e9a3d2468-042", "0b1f0c7e9a3d2468-+42", "0b1f0c7e9a3d2468"]
        {
            assert_eq!(text.parse::<RecordId>(), Err(()), "{text}");
        }
    }
}
