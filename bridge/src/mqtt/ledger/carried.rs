//! Receipts of earlier connections, in receipt order, that a broker which kept the session will send again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::receipt::Receipt;
use crate::delivery::Outcome;
use crate::message::Message;

#[derive(Debug, Default)]
pub(super) struct Carried {
    /// By the number that tells their order.
    receipts: BTreeMap<u64, Receipt>,
    /// The numbers of those of one content, by its digest.
    alike: HashMap<u64, BTreeSet<u64>>,
    /// The numbers of those that have their outcome.
    settled: BTreeSet<u64>,
    next: u64,
    bytes: usize,
    /// The part of `bytes` that the settled ones weigh.
    settled_bytes: usize,
}

impl Carried {
    pub(super) fn len(&self) -> usize {
        self.receipts.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What those weighed that have their outcome.
    pub(super) fn settled_bytes(&self) -> usize {
        self.settled_bytes
    }

    /// How many have their outcome.
    pub(super) fn settled(&self) -> usize {
        self.settled.len()
    }

    /// Puts a receipt behind all others; returns its number. Receipts that were carried before stand before those of a
    /// later connection, as they were received before.
    pub(super) fn push(&mut self, receipt: Receipt) -> u64 {
        let order = self.next;
        self.next += 1;
        self.bytes += receipt.weight;
        self.alike.entry(receipt.content.digest()).or_default().insert(order);
        if receipt.verdict.is_some() {
            self.settled.insert(order);
            self.settled_bytes += receipt.weight;
        }
        self.receipts.insert(order, receipt);
        order
    }

    /// Takes out the first receipt of this very content; of this packet identifier, if one is given.
    pub(super) fn take(&mut self, message: &Message, packet_id: Option<u16>) -> Option<Receipt> {
        let alike = self.alike.get(&super::Content::of(message).digest())?;
        let fits = |order: &&u64| {
            self.receipts.get(order).is_some_and(|receipt| {
                packet_id.is_none_or(|id| receipt.packet_id == id) && receipt.content.is_equal(message)
            })
        };
        let order = *alike.iter().find(fits)?;
        self.remove(order)
    }

    pub(super) fn remove(&mut self, order: u64) -> Option<Receipt> {
        let receipt = self.receipts.remove(&order)?;
        self.bytes -= receipt.weight;
        if self.settled.remove(&order) {
            self.settled_bytes -= receipt.weight;
        }
        let digest = receipt.content.digest();
        if let Some(alike) = self.alike.get_mut(&digest) {
            alike.remove(&order);
            if alike.is_empty() {
                self.alike.remove(&digest);
            }
        }
        Some(receipt)
    }

    /// Takes out any.
    pub(super) fn pop(&mut self) -> Option<Receipt> {
        let order = *self.receipts.first_key_value()?.0;
        self.remove(order)
    }

    /// Takes out any that has its outcome.
    pub(super) fn pop_settled(&mut self) -> Option<Receipt> {
        let order = *self.settled.first()?;
        self.remove(order)
    }

    pub(super) fn settle(&mut self, order: u64, outcome: Outcome) {
        if let Some(receipt) = self.receipts.get_mut(&order) {
            receipt.verdict = Some(outcome);
            if self.settled.insert(order) {
                self.settled_bytes += receipt.weight;
            }
        }
    }
}
