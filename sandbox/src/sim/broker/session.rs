//! One session of the model broker: its subscriptions, its queue, and its messages in flight. Pure.

use std::collections::{BTreeSet, VecDeque};

use std::time::Duration;

use bridge::topic::TopicFilter;
use tokio::time::Instant;

use super::super::record::Record;

/// One subscription of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) filter: TopicFilter,
    /// Its identifier, where it has one.
    pub(super) id: Option<usize>,
}

/// A message that is kept for a session.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is so or not by itself")]
pub(super) struct Stored {
    pub(super) number: u64,
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// It was kept for whoever would subscribe.
    pub(super) retain: bool,
    /// When nobody wants it any more.
    pub(super) expires: Option<Instant>,
    /// Where its device waits for a reply.
    pub(super) response_topic: Option<String>,
    /// Its topic is sent as MQTT forbids it.
    pub(super) ill_formed: bool,
    /// It was sent before, on whatever connection.
    pub(super) sent: bool,
    /// The packet identifier that it has to keep.
    pub(super) keeps: Option<u16>,
    /// The subscriptions that it came by.
    pub(super) by: Vec<Subscription>,
    /// It is one of several copies.
    pub(super) is_copy: bool,
}

/// A message that was sent on a connection and is not acknowledged.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    pub(super) packet_id: u16,
    pub(super) stored: Stored,
    pub(super) sent_at: Instant,
    /// QoS 2: PUBREC has come.
    pub(super) received: bool,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) client_id: String,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) qos: u8,
    pub(super) queue: VecDeque<Stored>,
    pub(super) in_flight: Vec<InFlight>,
    pub(super) last_id: u16,
    /// The connection that has it.
    pub(super) connection: Option<u64>,
    /// How many may be in flight.
    pub(super) window: usize,
    /// How often the bridge had forgotten everything when it connected last.
    pub(super) forgotten: u64,
    /// It was made for the connection that has it.
    pub(super) is_new: bool,
    /// When it was last sent something new on its connection.
    pub(super) fed_at: Option<Instant>,
    /// How long it outlives its connection.
    pub(super) expires_after: Duration,
    pub(super) expires_at: Option<Instant>,
}

impl Session {
    pub(super) fn new(client_id: String, first_id: u16) -> Self {
        Self {
            client_id,
            subscriptions: Vec::new(),
            qos: 0,
            queue: VecDeque::new(),
            in_flight: Vec::new(),
            last_id: first_id,
            connection: None,
            window: 1,
            forgotten: 0,
            is_new: true,
            fed_at: None,
            expires_after: Duration::ZERO,
            expires_at: None,
        }
    }

    /// The subscriptions that a message on this topic comes by.
    pub(super) fn matching(&self, topic: &str) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.iter().filter(move |subscription| subscription.filter.matches(topic))
    }

    pub(super) fn holds(&self, filter: &str) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.filter.as_str() == filter)
    }

    /// Whether this was no subscription before; one of the same filter is replaced (MQTT 5, 3.8.4).
    pub(super) fn subscribe(&mut self, subscription: Subscription) -> bool {
        let same = self.subscriptions.iter_mut().find(|known| known.filter == subscription.filter);
        if let Some(known) = same {
            *known = subscription;
            return false;
        }
        self.subscriptions.push(subscription);
        true
    }

    pub(super) fn unsubscribe(&mut self, filter: &str) {
        self.subscriptions.retain(|subscription| subscription.filter.as_str() != filter);
    }

    /// What waits for no subscription that is still there, and what was sent for none and is not acknowledged.
    pub(super) fn take_unsubscribed(&mut self) -> (Vec<Stored>, Vec<Stored>) {
        let held = |stored: &Stored| stored.by.iter().any(|by| self.holds(by.filter.as_str()));
        let (queue, queued): (Vec<_>, Vec<_>) = self.queue.iter().cloned().partition(held);
        let kept = |flying: &InFlight| flying.received || held(&flying.stored);
        let (in_flight, sent): (Vec<_>, Vec<_>) = self.in_flight.iter().cloned().partition(kept);
        (self.queue, self.in_flight) = (queue.into(), in_flight);
        (queued, sent.into_iter().map(|flying| flying.stored).collect())
    }

    /// Whether something new was sent lately.
    pub(super) fn is_fed(&self, within: Duration, now: Instant) -> bool {
        self.fed_at.is_some_and(|at| now.saturating_duration_since(at) <= within)
    }

    /// Whether it has this message, and nobody has acknowledged it.
    pub(super) fn has(&self, number: u64) -> bool {
        self.numbers().any(|held| held == number)
    }

    /// Those that it has of several copies.
    pub(super) fn copies(&self) -> Vec<u64> {
        let flying = self.in_flight.iter().filter(|flying| !flying.received).map(|flying| &flying.stored);
        flying.chain(&self.queue).filter(|stored| stored.is_copy).map(|stored| stored.number).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_flight.iter().all(|flying| flying.received)
    }

    /// What it holds, and nobody has acknowledged.
    fn numbers(&self) -> impl Iterator<Item = u64> {
        let flying = self.in_flight.iter().filter(|flying| !flying.received).map(|flying| flying.stored.number);
        flying.chain(self.queue.iter().map(|stored| stored.number))
    }

    /// What was sent before and comes again.
    pub(super) fn comes_again(&self) -> Vec<u64> {
        let flying = self.in_flight.iter().filter(|flying| !flying.received).map(|flying| &flying.stored);
        flying.chain(self.queue.iter().filter(|stored| stored.sent)).map(|stored| stored.number).collect()
    }

    /// Its messages are the broker's own loss.
    pub(super) fn drop_all(&self, record: &Record, why: &'static str) {
        self.numbers().for_each(|number| record.excuse(number, why));
    }

    /// Its messages go because the bridge has asked for that.
    pub(super) fn drop_as_asked(&self, record: &Record, why: &'static str) {
        self.numbers().for_each(|number| record.dropped(number, why));
    }

    /// What nobody wants any more is not sent (MQTT 5, 3.3.2.3.3).
    pub(super) fn drop_expired(&mut self, record: &Record, now: Instant) {
        self.queue.retain(|stored| {
            let wanted = stored.expires.is_none_or(|expires| expires > now);
            if !wanted {
                record.excuse(stored.number, "it has expired");
            }
            wanted
        });
    }

    /// All that it holds and nobody has acknowledged, for another session.
    pub(super) fn take_all(&mut self) -> Vec<Stored> {
        let (received, others): (Vec<_>, Vec<_>) = self.in_flight.drain(..).partition(|flying| flying.received);
        self.in_flight = received;
        let all = others.into_iter().map(|flying| flying.stored).chain(self.queue.drain(..));
        all.map(|stored| Stored { sent: false, keeps: None, ..stored }).collect()
    }

    /// What was not acknowledged within this time, which is up.
    pub(super) fn overdue(&mut self, after: Duration, now: Instant) -> impl Iterator<Item = &InFlight> {
        let late = self.in_flight.iter_mut().filter(move |flying| !flying.received && flying.sent_at + after <= now);
        late.map(move |flying| {
            flying.sent_at = now;
            &*flying
        })
    }

    /// What is in flight goes back to the front of the queue, but for QoS 2 that was received.
    pub(super) fn rewind(&mut self, renumbers: bool, first_id: u16) {
        let (received, again): (Vec<_>, Vec<_>) = self.in_flight.drain(..).partition(|flying| flying.received);
        self.in_flight = received;
        for InFlight { packet_id, mut stored, .. } in again.into_iter().rev() {
            stored.keeps = (!renumbers).then_some(packet_id);
            self.queue.push_front(stored);
        }
        if renumbers {
            self.last_id = first_id;
        }
    }

    /// Whether a message waits that there is room for.
    pub(super) fn can_send(&self) -> bool {
        self.in_flight.len() < self.window && !self.queue.is_empty()
    }

    /// The next message that may be sent now, as one in flight.
    pub(super) fn next(&mut self, reuses_at_once: bool, now: Instant) -> Option<&InFlight> {
        if !self.can_send() {
            return None;
        }
        let mut stored = self.queue.pop_front()?;
        self.fed_at = if stored.sent { self.fed_at } else { Some(now) };
        let packet_id = stored.keeps.take().unwrap_or_else(|| self.free_id(reuses_at_once));
        self.in_flight.push(InFlight { packet_id, stored, sent_at: now, received: false });
        self.in_flight.last()
    }

    fn free_id(&mut self, reuses_at_once: bool) -> u16 {
        let taken: BTreeSet<_> = self
            .in_flight
            .iter()
            .map(|flying| flying.packet_id)
            .chain(self.queue.iter().filter_map(|stored| stored.keeps))
            .collect();
        let mut id = if reuses_at_once { 0 } else { self.last_id };
        loop {
            id = id.checked_add(1).unwrap_or(1);
            if !taken.contains(&id) {
                self.last_id = id;
                return id;
            }
        }
    }

    /// PUBACK: what it was for.
    pub(super) fn acknowledged(&mut self, packet_id: u16) -> Option<Stored> {
        let index = self.in_flight.iter().position(|flying| flying.packet_id == packet_id)?;
        Some(self.in_flight.remove(index).stored)
    }

    /// PUBCOMP. It says nothing of a message that has the same identifier and no PUBREC yet.
    pub(super) fn completed(&mut self, packet_id: u16) {
        self.in_flight.retain(|flying| !flying.received || flying.packet_id != packet_id);
    }

    /// PUBREC: what it is for, the first time.
    pub(super) fn received(&mut self, packet_id: u16) -> Option<u64> {
        let flying = self.in_flight.iter_mut().find(|flying| flying.packet_id == packet_id)?;
        (!std::mem::replace(&mut flying.received, true)).then_some(flying.stored.number)
    }
}
