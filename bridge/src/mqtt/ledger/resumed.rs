//! What the book keeps over connections: the receipts that the broker has no acknowledgement of, and will send again.

use super::receipt::Receipt;
use super::{Kept, Ledger, Place};
use crate::config::Qos;
use crate::delivery::Outcome;
use crate::message::Message;

/// The most receipts with an outcome that are kept over connections: a session has no more packet identifiers, so no broker
/// sends more messages again.
pub(super) const MOST_CARRIED: usize = u16::MAX as usize;

impl Ledger {
    /// A new connection begins, and with it a new epoch. Returns how many receipts of earlier connections can no longer
    /// be acknowledged, which with [`Kept::Doubtful`] is not known yet.
    pub fn connect(&mut self, kept: Kept) -> usize {
        self.epoch += 1;
        self.first_slot = 0;
        self.abandoned = 0;
        self.in_flight = 0;
        self.most_in_flight = 0;
        self.overtaken = 0;
        self.open.clear();
        self.crossing.clear();
        for receipt in std::mem::take(&mut self.receipts) {
            self.carry(receipt);
        }
        self.doubtful = kept == Kept::Doubtful;
        if kept == Kept::No { self.give_up_session() } else { 0 }
    }

    /// The broker has kept nothing of earlier connections. Returns how many receipts can no longer be acknowledged.
    pub fn give_up_session(&mut self) -> usize {
        self.doubtful = false;
        let epoch = self.epoch;
        self.awaiting_release.retain(|_, received| received.epoch == epoch);
        let mut lost = 0;
        while let Some(receipt) = self.carried.pop() {
            self.forget(receipt);
            lost += 1;
        }
        lost
    }

    /// Whether the broker says that it has no session, and receipts of earlier connections could prove it wrong.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.doubtful && self.carried.len() > 0
    }

    /// Forgets the receipts of earlier connections that have their outcome and that the broker has not sent again.
    pub fn forget_settled(&mut self) {
        while let Some(receipt) = self.carried.pop_settled() {
            self.bytes -= receipt.weight;
        }
    }

    /// A receipt of an earlier connection is one of this connection from now on, under the identifier it has here.
    pub(super) fn resume(&mut self, packet_id: u16, receipt: Receipt) {
        if receipt.verdict.is_none() {
            self.places.insert(receipt.ticket, Place::Slot(self.next_slot()));
        }
        self.open.insert(packet_id);
        self.receipts.push_back(Receipt { packet_id, ..receipt });
    }

    /// Also true for one that was abandoned: its message comes again as a new one.
    pub(super) fn settle_carried(&mut self, order: u64, outcome: Outcome) -> bool {
        if outcome == Outcome::Abandoned {
            if let Some(receipt) = self.carried.remove(order) {
                self.bytes -= receipt.weight;
            }
        } else {
            self.carried.settle(order, outcome);
        }
        true
    }

    /// Keeps a receipt over a resumed connection: the broker will send it again.
    fn carry(&mut self, receipt: Receipt) {
        if receipt.overtaken {
            // A receipt that was overtaken has already been given up.
            return;
        }
        if receipt.content.qos == Qos::AtMostOnce || receipt.verdict == Some(Outcome::Abandoned) {
            return self.forget(receipt);
        }
        let (ticket, runs) = (receipt.ticket, receipt.verdict.is_none());
        let order = self.carried.push(receipt);
        if runs {
            self.places.insert(ticket, Place::Carried(order));
        }
        if self.carried.settled() > MOST_CARRIED
            && let Some(oldest) = self.carried.pop_settled()
        {
            self.bytes -= oldest.weight;
        }
    }

    pub(super) fn take_carried(
        &mut self,
        packet_id: u16,
        message: &Message,
        identified: impl Fn(&Message) -> bool,
    ) -> Option<Receipt> {
        if self.carried.len() == 0 {
            return None;
        }
        match (message.dup, self.doubtful) {
            (true, false) => self.carried.take(message, None),
            (true, true) => self.carried.take(message, Some(packet_id)),
            (false, false) if identified(message) => self.carried.take(message, Some(packet_id)),
            (false, _) => None,
        }
    }

    /// Gives up the acknowledgement of a receipt. Its delivery, if it still runs, becomes stale.
    fn forget(&mut self, receipt: Receipt) {
        if receipt.verdict.is_some() {
            self.bytes -= receipt.weight;
        } else {
            self.places.remove(&receipt.ticket);
            self.stale += 1;
        }
    }
}
