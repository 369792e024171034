//! SUBSCRIBE and UNSUBSCRIBE, and the retained messages that come with a subscription.

use bridge::config::Protocol;
use tokio::time::Instant;

use super::{Refuses, State};
use crate::scripted::heard::Subscribe;
use crate::scripted::said::frame;

impl State {
    pub(super) fn subscribe(&mut self, connection: u64, subscribe: &Subscribe, output: &mut Vec<u8>) {
        let (record, protocol, refuses) = (self.record.clone(), self.protocol, self.refuses(Refuses::Subscriptions));
        let Some(session) = self.session(connection) else { return };
        let client_id = session.client_id.clone();
        record.say("broker", format!("SUBSCRIBE {} by {client_id}, refused: {refuses}", subscribe.filter));
        let [high, low] = subscribe.packet_id.to_be_bytes();
        let code = if refuses { 0x80 } else { subscribe.qos };
        output.extend(match protocol {
            Protocol::V5 => frame(0x90, &[high, low, 0, code]),
            Protocol::V311 => frame(0x90, &[high, low, code]),
        });
        if !refuses {
            session.qos = subscribe.qos;
            let is_new = session.filter.is_none();
            session.filter = subscribe.filter.parse().ok();
            self.send_retained(&client_id, subscribe.retain_handling, is_new);
        }
    }

    /// MQTT 5, 3.8.3.1. MQTT 3.1.1 has no way to ask for less.
    fn send_retained(&mut self, client_id: &str, handling: u8, is_new: bool) {
        let filter = self.sessions.get(client_id).and_then(|session| session.filter.clone());
        let Some(filter) = filter.filter(|filter| !filter.is_shared()) else { return };
        if handling == 2 || handling == 1 && !is_new {
            return;
        }
        let retained: Vec<_> = self.retained.values().filter(|stored| filter.matches(&stored.topic)).cloned().collect();
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
        packet_id: u16,
        proven: Option<Instant>,
        output: &mut Vec<u8>,
    ) {
        let (record, protocol, drops) = (self.record.clone(), self.protocol, self.habits.drops_at_unsubscribe);
        let Some(session) = self.session(connection) else { return };
        session.filter = None;
        record.say("broker", format!("UNSUBSCRIBE by {}", session.client_id));
        if drops {
            // A broker may drop its queue at UNSUBSCRIBE (MQTT 5, 3.10.4), so the bridge has to fetch it first.
            let queue = std::mem::take(&mut session.queue);
            for stored in &queue {
                // The bridge cannot fetch messages that were published after its proof of an empty queue and before
                // UNSUBSCRIBE arrived.
                if proven.is_some_and(|proven| record.published_since(stored.number, proven)) {
                    record.excuse(stored.number, "UNSUBSCRIBE, which it has crossed");
                } else {
                    record.dropped(stored.number, "UNSUBSCRIBE");
                }
            }
        }
        let [high, low] = packet_id.to_be_bytes();
        output.extend(match protocol {
            Protocol::V5 => frame(0xb0, &[high, low, 0, 0]),
            Protocol::V311 => frame(0xb0, &[high, low]),
        });
    }
}
