//! SUBSCRIBE and UNSUBSCRIBE, and the retained messages that come with a subscription.

use std::time::Duration;

use bridge::config::Protocol;
use bridge::topic::TopicFilter;
use tokio::time::Instant;

use super::session::{Stored, Subscription};
use super::{Refuses, State};
use crate::scripted::heard::Subscribe;
use crate::scripted::said::frame;
use crate::sim::mapping::Mapping;

/// Not authorized (MQTT 5, 3.9.3), or unspecified.
const REFUSED_FILTER: u8 = 0x87;
const REFUSED: u8 = 0x80;
/// What the network may take: more than its longest delay.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// A bridge that has looked for a pause for so long, and got something new within the second of these, need not expect one.
const PATIENCE: Duration = Duration::from_secs(20);
const STREAM: Duration = Duration::from_secs(10);

impl State {
    /// Each filter is granted or refused by itself (MQTT 5, 3.8.4-6).
    pub(super) fn subscribe(&mut self, connection: u64, subscribe: &Subscribe, output: &mut Vec<u8>) {
        let (record, none) = (self.record.clone(), self.refuses(Refuses::Subscriptions));
        let Some(session) = self.session(connection) else { return };
        let client_id = session.client_id.clone();
        let mut codes = Vec::new();
        let mut granted = Vec::new();
        for filter in std::iter::once(&subscribe.filter).chain(&subscribe.more) {
            let refused = none || self.refuses_filter(filter);
            record.broker(format!("SUBSCRIBE {filter} by {client_id}, refused: {refused}"));
            let names = !none && self.protocol == Protocol::V5;
            codes.push(match refused {
                true if names => REFUSED_FILTER,
                true => REFUSED,
                false => subscribe.qos,
            });
            let filter = filter.parse().ok().filter(|_: &TopicFilter| !refused);
            granted.extend(filter.map(|filter| Subscription { filter, id: subscribe.identifier }));
        }
        self.answer(0x90, subscribe.packet_id, &codes, output);
        for subscription in granted {
            let Some(session) = self.session(connection) else { return };
            session.qos = subscribe.qos;
            let is_new = session.subscribe(subscription.clone());
            self.send_retained(&client_id, &subscription, (subscribe.retain_handling, is_new));
        }
    }

    /// SUBACK or UNSUBACK, which has no codes under MQTT 3.1.1.
    fn answer(&self, first: u8, packet_id: u16, codes: &[u8], output: &mut Vec<u8>) {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.protocol == Protocol::V5 {
            body.push(0);
        }
        body.extend(codes);
        output.extend(frame(first, &body));
    }

    /// MQTT 5, 3.8.3.1. MQTT 3.1.1 has no way to ask for less.
    fn send_retained(&mut self, client_id: &str, subscription: &Subscription, (handling, is_new): (u8, bool)) {
        let filter = &subscription.filter;
        if filter.is_shared() || handling == 2 || handling == 1 && !is_new {
            return;
        }
        let retained = self.retained.values().filter(|stored| filter.matches(&stored.topic));
        let (by, mapping) = (vec![subscription.clone()], Mapping::of_client(client_id));
        let own = |stored: &Stored| Stored { by: by.clone(), number: mapping.own(stored.number), ..stored.clone() };
        let retained: Vec<_> = retained.map(own).collect();
        for stored in retained {
            if is_new || self.protocol == Protocol::V311 {
                self.record.owed(stored.number);
            }
            self.keep(client_id, stored);
        }
    }

    /// `proven` is when the client was told last, by a PINGRESP, that nothing is queued, if this is what it says next.
    pub(super) fn unsubscribe(
        &mut self,
        connection: u64,
        (packet_id, filters): (u16, &[String]),
        proven: Option<Instant>,
        output: &mut Vec<u8>,
    ) {
        let (record, links, habits, now) = (self.record.clone(), self.links.clone(), self.habits, Instant::now());
        let begun = usize::try_from(connection).ok().and_then(|number| self.begun.get(number)).copied();
        let Some(session) = self.session(connection) else { return };
        filters.iter().for_each(|filter| session.unsubscribe(filter));
        let (leaves, client_id) = (session.subscriptions.is_empty(), session.client_id.clone());
        record.broker(format!("UNSUBSCRIBE {} by {}", filters.join(" "), client_id));
        if habits.drops_at_unsubscribe {
            // A broker may drop its queue at UNSUBSCRIBE (MQTT 5, 3.10.4), so the bridge has to fetch it first.
            let is_said = record.has_said_unproven(&client_id);
            let told = is_said && (!leaves || !record.is_of_the_first());
            // The bridge cannot fetch messages that were published after its proof of an empty queue, or were on their way, and
            // before UNSUBSCRIBE arrived.
            let on_its_way = links.on_its_way_since(habits.sends_after.max(habits.begins_after) + ON_ITS_WAY);
            let crosses = |stored: &Stored| {
                let mut moments = proven.into_iter().chain(on_its_way);
                moments.any(|moment| record.published_since(stored.number, moment))
            };
            // Nor can it wait until nothing is in flight where new messages never cease.
            let is_old = begun.is_some_and(|begun| now.saturating_duration_since(begun) >= PATIENCE);
            let is_stream = is_old && session.is_fed(STREAM + ON_ITS_WAY, now);
            let (queued, sent) = session.take_unsubscribed();
            let queued = queued.into_iter().map(|stored| (stored, false));
            for (stored, excused) in queued.chain(sent.into_iter().map(|stored| (stored, is_stream))) {
                if stored.sent && !is_said && !excused && !crosses(&stored) {
                    record.left_in_flight(stored.number);
                }
                if told || excused || crosses(&stored) {
                    record.excuse(stored.number, "UNSUBSCRIBE, which it has crossed");
                } else {
                    record.dropped(stored.number, "UNSUBSCRIBE");
                }
            }
        }
        let codes = if self.protocol == Protocol::V5 { vec![0; filters.len()] } else { Vec::new() };
        self.answer(0xb0, packet_id, &codes, output);
    }
}
