//! What was acknowledged at QoS 1 on this connection, until the broker has provably read it: a copy that the broker
//! sent before that is neither a new message nor to be acknowledged again, as the packet identifier may name another
//! message by then.
//!
//! A broker reads what we write in its order. So an answer to a PINGREQ shows that it has read every acknowledgement
//! before that PINGREQ, and what it sends behind the answer it sends knowingly.

use std::collections::{HashSet, VecDeque};

use super::receipt::Content;
use crate::message::Message;

/// After this number of acknowledgements an additional PINGREQ is worth its two bytes.
const PING_AT: usize = 4096;

/// More than there are packet identifiers: then some stand here twice, and the older of two is void.
const COMPACT_AT: usize = 2 * 65_536;

#[derive(Debug, Default)]
pub(super) struct Crossing {
    acknowledged: VecDeque<Acknowledged>,
    pings: u64,
    answered: u64,
}

#[derive(Debug)]
struct Acknowledged {
    packet_id: u16,
    digest: u64,
    /// The number of the first PINGREQ behind it.
    fence: u64,
}

impl Crossing {
    /// A new connection.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn acknowledged(&mut self, packet_id: u16, content: &Content) {
        let (digest, fence) = (content.digest(), self.pings + 1);
        self.acknowledged.push_back(Acknowledged { packet_id, digest, fence });
        if self.acknowledged.len() >= COMPACT_AT {
            let mut seen = HashSet::new();
            let newest: VecDeque<_> =
                self.acknowledged.drain(..).rev().filter(|ack| seen.insert(ack.packet_id)).collect();
            self.acknowledged = newest.into_iter().rev().collect();
        }
    }

    pub(super) fn pinged(&mut self) {
        self.pings += 1;
    }

    pub(super) fn ponged(&mut self) {
        self.answered = self.pings.min(self.answered + 1);
        while self.acknowledged.front().is_some_and(|ack| ack.fence <= self.answered) {
            self.acknowledged.pop_front();
        }
    }

    pub(super) fn wants_ping(&self) -> bool {
        self.acknowledged.len() >= PING_AT && self.pings == self.answered
    }

    /// Whether the message was acknowledged under this identifier, and the broker may not have known that when it sent
    /// it.
    pub(super) fn contains(&self, packet_id: u16, message: &Message) -> bool {
        let newest = self.acknowledged.iter().rev().find(|ack| ack.packet_id == packet_id);
        newest.is_some_and(|ack| ack.digest == Content::of(message).digest())
    }
}
