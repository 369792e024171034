//! One connection from CONNACK to its end: packets in, deliveries out, outcomes in, acknowledgements out. Never waits
//! for a function, and writes all that is due at once.

use std::time::Instant as StdInstant;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, error, info};

use super::line::Line;
use super::retire::alarm;
use super::{End, Session, Settings, Status};
use crate::config::Qos;
use crate::delivery::{Delivery, RecordId};
use crate::message::Message;
use crate::mqtt::connect::hang_up;
use crate::mqtt::connection::Connection;
use crate::mqtt::decoder::Decoder;
use crate::mqtt::keep_alive::{Due, KeepAlive};
use crate::mqtt::ledger::{Ack, Admission};
use crate::mqtt::packet::{ConnAck, Incoming, Subscription, WireError};
use crate::mqtt::retire::Quiet;
use crate::shutdown::Phase;

/// The packet identifier of the one SUBSCRIBE that a connection ever sends.
const SUBSCRIBE_ID: u16 = 1;

impl Session {
    /// Serves the connection until it ends, and says how it did.
    pub(super) async fn serve(&mut self, connection: Connection, connack: &ConnAck) -> End {
        self.log_connected(&connection, connack);
        let keep_alive = KeepAlive::new(connack.keep_alive.unwrap_or(self.settings.keep_alive), StdInstant::now());
        let (unsubscribing, pings, quiet, alarm) = (None, 0, None, None);
        let mut line = Line {
            connection,
            decoder: Decoder::new(self.wire),
            keep_alive,
            suback_due: None,
            unsubscribing,
            pings,
            quiet,
            alarm,
        };
        let end = match self.begin(&mut line, connack) {
            Ok(()) => self.converse(&mut line).await,
            Err(end) => end,
        };
        self.show_ready(false);
        hang_up(self.wire, line.connection, &end).await;
        end
    }

    /// A session that is present holds the subscription, and subscribing again could repeat retained messages. But only
    /// a SUBACK seen by this process proves that it is the subscription configured now.
    fn begin(&mut self, line: &mut Line, connack: &ConnAck) -> Result<(), End> {
        if !connack.session_present {
            self.forget_subscriptions();
        }
        if self.leaves() {
            return self.begin_retirement(line, connack.session_present);
        }
        if connack.session_present && self.subscribed {
            self.become_ready();
            return Ok(());
        }
        line.suback_due = Some(Instant::now() + self.settings.connect_timeout);
        let Self { settings, wire, .. } = self;
        let subscription =
            Subscription { packet_id: SUBSCRIBE_ID, topic_filter: &settings.topic_filter, qos: settings.qos };
        Ok(wire.subscribe(&subscription, &mut line.connection.output)?)
    }

    async fn converse(&mut self, line: &mut Line) -> End {
        let mut ticks = interval(line.keep_alive.period());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut shutdown, mut paused) = (self.shutdown.clone(), self.paused.clone());
        let mut freshness = line.connection.freshness();
        loop {
            if let Err(end) = self.turn(line).await {
                return end;
            }
            if self.shutdown.phase() >= Phase::Draining {
                self.admit_no_more();
                if self.finished() {
                    return End::Drained;
                }
            }
            let closed = self.is_closed(line);
            tokio::select! {
                settlement = self.settlements.recv() => self.settlements_from(settlement),
                read = line.connection.read(), if !closed => {
                    line.keep_alive.received(StdInstant::now());
                    if let Err(error) = read {
                        return error.into();
                    }
                }
                () = shutdown.changed() => {}
                Ok(()) = paused.changed() => {}
                () = alarm(line.alarm) => {}
                () = freshness.outdated() => return End::Renewed,
                _ = ticks.tick() => {
                    if closed {
                        line.keep_alive.received(StdInstant::now());
                        line.postpone(self.settings.connect_timeout);
                    }
                    if let Err(end) = self.tick(line) {
                        return end;
                    }
                }
            }
        }
    }

    /// Everything that can be done without waiting, then one write.
    async fn turn(&mut self, line: &mut Line) -> Result<(), End> {
        self.let_go();
        loop {
            self.take_all(line)?;
            let held = self.ledger.outstanding();
            while let Some(ack) = self.ledger.release() {
                self.metrics.acknowledged.inc();
                self.wire.ack(ack, &mut line.connection.output)?;
            }
            // What is released makes room for packets that are read already: no new byte would tell of them.
            if self.ledger.outstanding() == held {
                break;
            }
        }
        self.show_outstanding();
        if self.ledger.wants_ping() {
            self.ping(line)?;
        }
        self.continue_retirement(line)?;
        if !line.connection.output.is_empty() {
            line.connection.flush(self.settings.keep_alive).await?;
            line.keep_alive.sent(StdInstant::now());
        }
        if self.ledger.needs_reconnect() && self.shutdown.phase() < Phase::Draining {
            return Err(End::lost("a message was given up without an outcome; only a new connection brings it again"));
        }
        Ok(())
    }

    /// Behind all acknowledgements that were released.
    pub(super) fn ping(&mut self, line: &mut Line) -> Result<(), WireError> {
        line.pings += 1;
        self.ledger.pinged();
        self.wire.pingreq(&mut line.connection.output)
    }

    /// Takes the packets that are read, as long as there is room for what they bring.
    fn take_all(&mut self, line: &mut Line) -> Result<(), End> {
        while !self.is_closed(line) {
            match line.decoder.next(&mut line.connection.input)? {
                Some(packet) => self.take(packet, line)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Whether nothing more may be read: an operator holds the mapping, and nothing else has to be heard, or it has as
    /// much as it may, whatever the broker does.
    fn is_closed(&self, line: &Line) -> bool {
        let listens = line.suback_due.is_some() || line.unsubscribing.is_some();
        self.is_full() || (self.is_paused() && !listens)
    }

    pub(super) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Hands over what was read while an operator held the mapping, once it is held no more.
    fn let_go(&mut self) {
        if !self.is_paused()
            && let Some(deliveries) = &self.deliveries
        {
            self.held.drain(..).for_each(|delivery| drop(deliveries.try_send(delivery)));
        }
    }

    fn is_full(&self) -> bool {
        let (messages, bytes) = self.ledger.in_the_way();
        messages >= self.settings.max_outstanding()
            || bytes as u64 >= self.settings.max_outstanding_bytes
            || self.ledger.running() >= self.settings.max_running()
    }

    fn settlements_from(&mut self, first: Option<crate::delivery::Settlement>) {
        let mut next = first;
        while let Some(settlement) = next {
            self.settle(settlement);
            next = self.settlements.try_recv().ok();
        }
    }

    fn take(&mut self, packet: Incoming, line: &mut Line) -> Result<(), End> {
        match packet {
            Incoming::Publish { packet_id, message } => self.admit(packet_id, message, line)?,
            Incoming::PubRel(packet_id) => {
                self.ledger.released(packet_id);
                disturb(line);
                self.wire.pubcomp(packet_id, &mut line.connection.output)?;
            }
            Incoming::SubAck { packet_id: SUBSCRIBE_ID, codes } if line.suback_due.is_some() => {
                line.suback_due = None;
                self.judge_suback(&codes)?;
            }
            Incoming::UnsubAck { packet_id, codes } => self.judge_unsuback(packet_id, &codes, line)?,
            Incoming::PingResp => {
                line.pings = line.pings.saturating_sub(1);
                self.ledger.ponged();
                line.quiet.iter_mut().for_each(Quiet::answered);
            }
            Incoming::Disconnect(reason) => return Err(End::disconnected(&reason)),
            Incoming::ConnAck(_) => return Err(End::protocol_error("a second CONNACK")),
            Incoming::SubAck { .. } => return Err(End::protocol_error("a SUBACK for no SUBSCRIBE of ours")),
            Incoming::PubAck { .. } => return Err(End::protocol_error("PUBACK")),
            Incoming::Unexpected(name) => return Err(End::protocol_error(name)),
        }
        Ok(())
    }

    fn admit(&mut self, packet_id: u16, message: Message, line: &mut Line) -> Result<(), WireError> {
        self.metrics.received.inc();
        line.postpone(self.settings.connect_timeout);
        disturb(line);
        if message.dup {
            self.metrics.redelivered.inc();
        }
        // While draining nothing new is begun; the broker keeps the message for the next start.
        let Some(deliveries) = &self.deliveries else { return Ok(()) };
        let admission = self.ledger.admit(packet_id, &message, |message| self.settings.identifies.has_id(message));
        self.overrun.watch(self.ledger.in_flight(), &self.settings, &self.metrics);
        match admission {
            Admission::New(ticket) => {
                self.delivered += 1;
                let id = RecordId::Numbered { run: self.run, sequence: self.delivered };
                let delivery = Delivery::new(message, id, ticket, self.settler.clone());
                if self.is_paused() {
                    self.held.push_back(delivery);
                    return Ok(());
                }
                // There is room for all that is admitted. Should there not be, the delivery is dropped here, which
                // abandons it, and the broker sends it again.
                let _ = deliveries.try_send(delivery);
            }
            Admission::Joined | Admission::Refuted => {
                debug!(mapping = self.settings.mapping, packet_id, "redelivered while still under way");
            }
            Admission::Crossed => {
                debug!(mapping = self.settings.mapping, packet_id, "redelivered before its acknowledgement was read");
            }
            Admission::Received => {
                self.wire.ack(Ack { packet_id, qos: Qos::ExactlyOnce }, &mut line.connection.output)?;
            }
        }
        Ok(())
    }

    /// MQTT 5, 3.9.3: anything but the QoS asked for is a fault that somebody has to mend.
    fn judge_suback(&mut self, codes: &[u8]) -> Result<(), End> {
        let asked = self.settings.qos as u8;
        match codes {
            [granted] if *granted == asked => {
                self.subscribed = true;
                self.become_ready();
                Ok(())
            }
            [granted] if *granted < asked => {
                Err(self.denied(*granted, &format!("the broker grants QoS {granted} where QoS {asked} was asked")))
            }
            [code] => {
                Err(self
                    .denied(*code, &format!("refused by the broker with reason 0x{code:02x} ({})", suback_text(*code))))
            }
            _ => Err(End::protocol_error("a SUBACK with more than one reason code")),
        }
    }

    fn denied(&self, code: u8, reason: &str) -> End {
        let Settings { mapping, client_id, topic_filter, qos, .. } = &self.settings;
        let asked = *qos as u8;
        error!(event = "subscription.denied", mapping, client_id, topic_filter, asked, code, reason, "not subscribed");
        End::lasting(format!("subscription to `{topic_filter}`: {reason}"))
    }

    fn become_ready(&mut self) {
        self.show_ready(true);
        info!(mapping = self.settings.mapping, topic_filter = self.settings.topic_filter, "subscribed");
        self.status.send_replace(Status::Ready);
    }

    fn tick(&mut self, line: &mut Line) -> Result<(), End> {
        if line.suback_due.is_some_and(|due| due <= Instant::now()) {
            return Err(End::lost(format!("no SUBACK within {:?}", self.settings.connect_timeout)));
        }
        if line.unsubscribing.as_ref().is_some_and(|unsubscribing| unsubscribing.due <= Instant::now()) {
            return Err(End::lost(format!("no UNSUBACK within {:?}", self.settings.connect_timeout)));
        }
        match line.keep_alive.due(StdInstant::now()) {
            Due::Nothing => Ok(()),
            Due::Ping => Ok(self.ping(line)?),
            Due::Dead => Err(End::lost("the broker is silent: no answer to PINGREQ")),
        }
    }
}

fn disturb(line: &mut Line) {
    line.quiet.iter_mut().for_each(Quiet::disturbed);
}

/// MQTT 5, 3.9.3; MQTT 3.1.1 knows 0x80 alone.
fn suback_text(code: u8) -> &'static str {
    match code {
        0x83 => "implementation specific error",
        0x87 => "not authorized; check the broker's ACL for this client",
        0x8f => "topic filter invalid",
        0x91 => "packet identifier in use",
        0x97 => "quota exceeded",
        0x9e => "shared subscriptions not supported",
        0xa2 => "wildcard subscriptions not supported",
        _ => "unspecified; check the broker's log and ACL",
    }
}
