//! Handles packets from the broker, and records the messages among them in the ledger.

use std::time::Instant;

use bytes::BytesMut;

use super::line::Line;
use super::{Admitted, Machine};
use crate::config::{Protocol, Qos};
use crate::delivery::{Outcome, RecordId, Settlement, Ticket};
use crate::message::Message;
use crate::mqtt::end::End;
use crate::mqtt::ledger::{Ack, Admission};
use crate::mqtt::packet::{Incoming, WireError};
use crate::mqtt::session::event::Event;
use crate::mqtt::session::filters::Belongs;
use crate::shutdown::Phase;

impl Machine {
    /// Takes the packets that are read, as long as there is room for what they bring.
    pub(super) fn take_all(
        &mut self,
        line: &mut Line,
        input: &mut BytesMut,
        output: &mut BytesMut,
        now: Instant,
    ) -> Result<(), End> {
        while !self.is_closed(line) {
            let Some(packet) = line.decoder.next(input)? else { break };
            line.keep_alive.alive(now);
            self.take(packet, line, output, now)?;
        }
        Ok(())
    }

    fn take(&mut self, packet: Incoming, line: &mut Line, output: &mut BytesMut, now: Instant) -> Result<(), End> {
        match packet {
            Incoming::Publish { packet_id, message, subscriptions } => {
                self.admit(packet_id, (message, &subscriptions), line, output, now)?;
            }
            Incoming::PubRel(packet_id) => {
                self.ledger.released(packet_id);
                line.disturbed();
                self.wire.pubcomp(packet_id, output)?;
            }
            Incoming::SubAck { packet_id, codes, said } => {
                self.judge_suback(packet_id, (&codes, said.as_deref()), line, now)?;
            }
            Incoming::UnsubAck { packet_id, codes, said } => {
                self.judge_unsuback(packet_id, (&codes, said.as_deref()), line, now)?;
            }
            Incoming::PingResp => {
                self.ledger.ponged();
                line.answered(now);
                if line.is_undisturbed(now) && !self.ledger.is_doubtful() {
                    // The broker has nothing more to send, so it will not send anything again either.
                    self.ledger.forget_settled();
                    // Who leaves subscribes to nothing on its connections, and the broker may have forgotten a filter.
                    let confirmed = line.has_suback && line.unanswered.is_empty();
                    self.paired |= confirmed && self.subscribed.iter().all(|subscribed| *subscribed);
                }
            }
            Incoming::Disconnect(reason) => return Err(End::disconnected(&reason)),
            Incoming::ConnAck(_) => return Err(End::protocol_error("a second CONNACK")),
            Incoming::PubAck { .. } => return Err(End::protocol_error("PUBACK")),
            Incoming::Unexpected(name) => return Err(End::protocol_error(name)),
        }
        Ok(())
    }

    fn admit(
        &mut self,
        packet_id: u16,
        (message, subscriptions): (Message, &[u32]),
        line: &mut Line,
        output: &mut BytesMut,
        now: Instant,
    ) -> Result<(), WireError> {
        self.metrics.received.inc();
        line.postpone(self.settings.link.connect_timeout, now);
        line.disturbed();
        if message.dup {
            self.metrics.redelivered.inc();
        }
        // While draining nothing new is begun; the broker keeps the message for the next start.
        if self.phase >= Phase::Draining {
            return Ok(());
        }
        let Self { ledger, settings, .. } = self;
        let admission = ledger.admit(packet_id, &message, |message| settings.identifies.has_id(message));
        self.note_overrun();
        match admission {
            Admission::New(ticket) => {
                line.search.iter_mut().for_each(|search| search.new_message(now));
                self.deliver(message, subscriptions, ticket);
            }
            Admission::Joined | Admission::Crossed => drop(self.metrics.joined.inc()),
            Admission::Refuted => {
                self.metrics.joined.inc();
                self.trust_session(line);
            }
            Admission::Received => self.wire.ack(Ack { packet_id, qos: Qos::ExactlyOnce }, output)?,
        }
        Ok(())
    }

    fn deliver(&mut self, message: Message, subscriptions: &[u32], ticket: Ticket) {
        let subscription = match self.filters.place(&message.topic, subscriptions, self.paired) {
            Belongs::To(index) => {
                self.counts.count(index);
                self.subscriptions.get(index).cloned()
            }
            Belongs::Nowhere => {
                self.note_unmatched(&message);
                None
            }
            Belongs::Elsewhere => {
                let weight = message.weight();
                return self.settled(Settlement { ticket, outcome: Outcome::Filtered, weight });
            }
        };
        self.delivered += 1;
        let id = RecordId::Numbered { run: self.run, sequence: self.delivered };
        let admitted = Admitted { message, ticket, id, subscription };
        if self.paused {
            self.held.push_back(admitted);
        } else {
            self.admitted.push(admitted);
        }
    }

    /// The broker's session holds a subscription that is not configured any more. Its messages are the operator's to
    /// lose, not ours, so they are handled like all others.
    fn note_unmatched(&mut self, message: &Message) {
        self.metrics.unmatched.inc();
        if !std::mem::replace(&mut self.said_unmatched, true) {
            self.events.push(Event::Unmatched { topic: message.topic.to_string() });
        }
    }

    /// Whether the broker keeps to the Receive Maximum that it was given (MQTT 5, 3.3.4-9). One that does not is
    /// tolerated up to [`super::Settings::max_outstanding`], where reading stops: a DISCONNECT would only have it send
    /// the same again. Mosquitto up to 2.0.12 is one.
    fn note_overrun(&mut self) {
        let in_flight = self.ledger.in_flight();
        if self.settings.link.protocol != Protocol::V5 || in_flight <= usize::from(self.settings.receive_maximum) {
            return;
        }
        self.metrics.beyond_maximum.inc();
        if !std::mem::replace(&mut self.said_overrun, true) {
            self.events.push(Event::ExceedsReceiveMaximum { in_flight });
        }
    }
}
