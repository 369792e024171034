//! QoS 2: what was received and waits for PUBREL.

use super::Ledger;
use super::receipt::Content;
use crate::message::Message;

/// A QoS 2 message between PUBREC and PUBREL.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) digest: u64,
    /// The connection on which the broker last sent it, and counts it.
    pub(super) epoch: u64,
}

impl Ledger {
    /// The broker has released a QoS 2 packet identifier (PUBREL): from now on it names a new message. That it releases
    /// one again, as it must at each PUBREC (MQTT 5, 4.3.3-4), or one of an earlier connection, frees nothing.
    pub fn released(&mut self, packet_id: u16) {
        if self.awaiting_release.remove(&packet_id).is_some_and(|received| received.epoch == self.epoch) {
            self.one_less_in_flight();
        }
    }

    /// Whether it was received before and waits for its release (MQTT 5, 4.3.3-10). A broker that has let that message
    /// go without PUBREL, and uses the packet identifier for another one, must not have that one acknowledged unseen.
    pub(super) fn is_received(&mut self, packet_id: u16, message: &Message) -> bool {
        let Some(known) = self.awaiting_release.get_mut(&packet_id) else { return false };
        if message.dup && known.digest == Content::of(message).digest() {
            self.in_flight += usize::from(known.epoch != self.epoch);
            known.epoch = self.epoch;
            return true;
        }
        self.released(packet_id);
        false
    }
}
