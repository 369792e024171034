//! Which messages wait to be sent, and which wait for their PUBACK. Pure: it knows neither packets nor connections, and
//! identifies the waiting senders only by number.
//!
//! A message that makes the broker close the connection must not hold up all others for ever. So messages that were in
//! flight when a connection broke are suspect: each is sent alone until the broker has answered it. A message that was
//! alone in flight at [`BREAKS`] breaks is given up.

use std::collections::VecDeque;

use crate::config::Qos;
use crate::outgoing::{Outgoing, PublishError};

/// Breaks of the connection after which the message that was alone in flight counts as their cause.
pub const BREAKS: u8 = 2;

/// The messages of one publisher, in their order.
#[derive(Debug)]
pub struct Window {
    /// How many it holds at most, sent or not.
    capacity: usize,
    /// How many may wait for their PUBACK on this connection.
    limit: usize,
    unsent: VecDeque<Entry>,
    sent: VecDeque<Entry>,
    last_id: u16,
    /// Nothing more is sent on this connection.
    held: bool,
    /// Results that nobody has taken yet.
    verdicts: Vec<(Number, Result<(), PublishError>)>,
}

/// Which of its messages, as the caller counts them.
pub type Number = u64;

/// A message in the window.
#[derive(Debug)]
pub struct Entry {
    /// Its packet identifier on this connection; 0 at QoS 0.
    pub packet_id: u16,
    /// Whose it is.
    number: Number,
    /// The message.
    pub outgoing: Outgoing,
    /// It was in flight when a connection broke.
    suspect: bool,
    /// How often it was that alone.
    breaks: u8,
}

impl Window {
    /// An empty window for up to `capacity` messages.
    pub fn new(capacity: usize) -> Self {
        let (unsent, sent) = (VecDeque::new(), VecDeque::new());
        Self { capacity, limit: capacity, unsent, sent, last_id: 0, held: false, verdicts: Vec::new() }
    }

    /// Whether it holds as many as it can.
    pub fn is_full(&self) -> bool {
        self.unsent.len() + self.sent.len() >= self.capacity
    }

    /// One more message. Must not be called when full.
    pub fn push(&mut self, number: Number, outgoing: Outgoing) {
        self.unsent.push_back(Entry { packet_id: 0, number, outgoing, suspect: false, breaks: 0 });
    }

    /// The message that is to be sent next.
    pub fn next_unsent(&self) -> Option<Number> {
        self.unsent.front().map(|entry| entry.number)
    }

    /// Forgets the messages not sent that nobody waits for.
    pub fn forget(&mut self, is_awaited: impl Fn(Number) -> bool) {
        self.unsent.retain(|entry| is_awaited(entry.number));
    }

    /// How it went; the message has left the window.
    pub fn finish(&mut self, entry: Entry, verdict: Result<(), PublishError>) {
        self.verdicts.push((entry.number, verdict));
    }

    /// The results since the last call.
    pub fn take_verdicts(&mut self) -> Vec<(Number, Result<(), PublishError>)> {
        std::mem::take(&mut self.verdicts)
    }

    /// A connection begins, to a broker that takes this many unconfirmed messages.
    pub fn connect(&mut self, receive_maximum: u16) {
        self.limit = self.capacity.min(usize::from(receive_maximum.max(1)));
        self.last_id = 0;
        self.held = false;
    }

    /// Sends nothing more until the next connection.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Whether anything sent is not confirmed.
    pub fn is_waiting(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Whether it is held and everything sent is confirmed, so that the connection can be left without sending twice.
    pub fn is_at_rest(&self) -> bool {
        self.held && self.sent.is_empty()
    }

    /// The connection is closed: unconfirmed messages will be sent again, before all others. It was a session of its
    /// own, so the identifiers mean nothing any more. A message that is alone on its way when connections break is at last
    /// blamed for it, where it may be. True when anything was not confirmed.
    pub fn disconnect(&mut self, may_blame: bool) -> bool {
        let unconfirmed = !self.sent.is_empty();
        if let [only] = self.sent.make_contiguous() {
            only.breaks += u8::from(may_blame);
        }
        while let Some(mut entry) = self.sent.pop_back() {
            if entry.breaks >= BREAKS {
                let topic = entry.outgoing.topic.clone();
                self.finish(entry, Err(PublishError::Broken { topic, times: BREAKS }));
            } else {
                entry.suspect = true;
                self.unsent.push_front(entry);
            }
        }
        unconfirmed
    }

    /// The next message to send, if one may be sent now. Forgets those that nobody waits for. The caller gives it back to
    /// [`Window::sent`], or finishes it.
    pub fn next(&mut self, is_awaited: impl Fn(Number) -> bool) -> Option<Entry> {
        let limit = match self.unsent.front()? {
            _ if self.held || self.sent.iter().any(|entry| entry.suspect) => 0,
            next if next.suspect => 1,
            _ => self.limit,
        };
        while self.sent.len() < limit {
            let mut entry = self.unsent.pop_front()?;
            if is_awaited(entry.number) {
                entry.packet_id = match entry.outgoing.qos {
                    Qos::AtMostOnce => 0,
                    _ => self.free_id(),
                };
                return Some(entry);
            }
            // No sender waits for this entry; only its packet identifier is freed.
            self.finish(entry, Err(PublishError::Ended));
        }
        None
    }

    /// The message is on its way.
    pub fn sent(&mut self, entry: Entry) {
        self.sent.push_back(entry);
    }

    /// All that was sent is written: messages of QoS 0 are done.
    pub fn written(&mut self) {
        for entry in std::mem::take(&mut self.sent) {
            if entry.packet_id == 0 {
                self.finish(entry, Ok(()));
            } else {
                self.sent.push_back(entry);
            }
        }
    }

    /// The broker has answered the message of this identifier; `None` when there is none.
    pub fn confirmed(&mut self, packet_id: u16) -> Option<Entry> {
        let index = self.sent.iter().position(|entry| entry.packet_id == packet_id)?;
        self.sent.remove(index)
    }

    /// There is one: the capacity is far below their number.
    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.sent.iter().all(|entry| entry.packet_id != self.last_id) {
                return self.last_id;
            }
        }
    }
}

#[cfg(test)]
#[path = "window/tests.rs"]
mod tests;
