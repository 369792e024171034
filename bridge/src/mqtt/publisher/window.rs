//! Which messages wait to be sent, and which wait for their PUBACK. Knows neither packets nor connections.
//!
//! A message that makes the broker close the connection must not hold up all others for ever. So after a break that
//! left messages unconfirmed, the oldest of them is sent alone until the broker confirms one; whatever is alone on its
//! way at [`BREAKS`] breaks is given up.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::config::Qos;
use crate::outgoing::{Outgoing, PublishError, Request};

/// Breaks of the connection after which the message that was alone on its way counts as their cause.
pub const BREAKS: u8 = 3;

/// The messages of one publisher, in their order.
#[derive(Debug)]
pub struct Window {
    requests: mpsc::Receiver<Request>,
    /// How many it holds at most, sent or not.
    capacity: usize,
    /// How many may wait for their PUBACK on this connection.
    limit: usize,
    unsent: VecDeque<Entry>,
    sent: VecDeque<Entry>,
    last_id: u16,
    /// The last connection broke over unconfirmed messages, and nothing was confirmed since.
    careful: bool,
    /// Nothing more is sent on this connection.
    held: bool,
}

/// A message in the window.
#[derive(Debug)]
pub struct Entry {
    /// Its packet identifier on this connection; 0 at QoS 0.
    pub packet_id: u16,
    request: Request,
    breaks: u8,
}

impl Entry {
    /// The message.
    pub fn outgoing(&self) -> &Outgoing {
        self.request.outgoing()
    }

    /// Tells how it went to the one who waits.
    pub fn finish(self, result: Result<(), PublishError>) {
        self.request.finish(result);
    }
}

impl Window {
    /// An empty window for up to `capacity` of the messages that come from `requests`.
    pub fn new(requests: mpsc::Receiver<Request>, capacity: usize) -> Self {
        let (unsent, sent) = (VecDeque::new(), VecDeque::new());
        Self { requests, capacity, limit: capacity, unsent, sent, last_id: 0, careful: false, held: false }
    }

    /// Whether it holds as many as it can.
    pub fn is_full(&self) -> bool {
        self.unsent.len() + self.sent.len() >= self.capacity
    }

    /// Waits for the next message, and takes those behind it that are there already. False when nobody can send any
    /// more; then nobody waits for those in the window either. Must not be called when full. Cancel safe.
    pub async fn fill(&mut self) -> bool {
        let Some(request) = self.requests.recv().await else { return false };
        self.push(request);
        while !self.is_full()
            && let Ok(request) = self.requests.try_recv()
        {
            self.push(request);
        }
        true
    }

    /// Fills while there is no connection, and returns when nobody can send any more. Cancel safe.
    pub async fn deserted(&mut self) {
        loop {
            if !self.is_full() {
                if !self.fill().await {
                    return;
                }
            } else if let Some(oldest) = self.unsent.front_mut() {
                oldest.request.forsaken().await;
                self.unsent.retain(|entry| entry.request.is_awaited());
            }
        }
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

    /// Whether it is held and everything sent is confirmed, so that the connection can be left without sending twice.
    pub fn is_at_rest(&self) -> bool {
        self.held && self.sent.is_empty()
    }

    /// The connection is gone: what is not confirmed will be sent again, before all else. It was a session of its own,
    /// so the identifiers mean nothing any more.
    pub fn disconnect(&mut self) {
        self.careful |= !self.sent.is_empty();
        if let [only] = self.sent.make_contiguous() {
            only.breaks += 1;
        }
        while let Some(entry) = self.sent.pop_back() {
            if entry.breaks >= BREAKS {
                let topic = entry.outgoing().topic.clone();
                entry.finish(Err(PublishError::Broken { topic, times: BREAKS }));
            } else {
                self.unsent.push_front(entry);
            }
        }
    }

    /// The next message to send, if one may be sent now. Skips those that nobody waits for. The caller gives it back to
    /// [`Window::sent`], or finishes it.
    pub fn next(&mut self) -> Option<Entry> {
        let limit = match self {
            Self { held: true, .. } => 0,
            Self { careful: true, .. } => 1,
            Self { limit, .. } => *limit,
        };
        while self.sent.len() < limit {
            let mut entry = self.unsent.pop_front()?;
            if entry.request.is_awaited() {
                entry.packet_id = match entry.outgoing().qos {
                    Qos::AtMostOnce => 0,
                    _ => self.free_id(),
                };
                return Some(entry);
            }
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
                entry.finish(Ok(()));
            } else {
                self.sent.push_back(entry);
            }
        }
    }

    /// The broker has answered the message of this identifier; `None` when there is none.
    pub fn confirmed(&mut self, packet_id: u16) -> Option<Entry> {
        let index = self.sent.iter().position(|entry| entry.packet_id == packet_id)?;
        self.careful = false;
        self.sent.remove(index)
    }

    fn push(&mut self, request: Request) {
        self.unsent.push_back(Entry { packet_id: 0, request, breaks: 0 });
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
