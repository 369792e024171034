//! Reads the broker's own count of dropped messages, on a separate connection, because a session's connection
//! acknowledges and the publisher's exists only if something is published. Nothing depends on it: readiness ignores it,
//! and if a broker refuses it, only this metric is missing.

mod drops;

use std::time::Instant as StdInstant;

use bytes::BytesMut;
use tracing::{debug, info, warn};

use self::drops::Drops;
use super::bounds::Bounds;
use super::connector::Connector;
use super::decoder::Decoder;
use super::driver::{self, Client};
use super::end::End;
use super::keep_alive::{Due, KeepAlive};
use super::link::Link;
use super::packet::{ConnAck, Hello, Incoming, Subscription};
use super::reconnect::Failure;
use super::transport::Agreed;
use super::wire::Wire;
use crate::config::Qos;
use crate::message::Message;
use crate::metrics::BrokerMetrics;
use crate::shutdown::{Listener, Phase};

/// The one SUBSCRIBE of a connection.
const PACKET_ID: u16 = 1;

/// A number, and whatever properties a broker puts beside it: nobody needs room for more.
const BOUNDS: Bounds =
    Bounds { packet: 64 * 1024, control_packet: 16 * 1024, properties: 16 * 1024, user_properties: 64 };

/// The reader of one broker's counter. [`BrokerStats::run`] is its whole life.
pub struct BrokerStats {
    link: Link,
    topic: String,
    connector: Connector,
    metrics: BrokerMetrics,
    shutdown: Listener,
    drops: Drops,
    line: Option<Line>,
    /// The broker does not let us read it: there is nothing left to do.
    denied: bool,
    /// That it cannot connect was said.
    told: bool,
}

/// One connection.
struct Line {
    decoder: Decoder,
    keep_alive: KeepAlive,
    next_tick: StdInstant,
    subscribed: bool,
}

impl BrokerStats {
    /// A reader of the number that the broker publishes there. No session may have its client id.
    #[must_use]
    pub fn new(link: Link, topic: String, connector: Connector, metrics: BrokerMetrics, shutdown: Listener) -> Self {
        let drops = Drops::default();
        Self { link, topic, connector, metrics, shutdown, drops, line: None, denied: false, told: false }
    }

    /// Connects, reads and connects again until the bridge drains, or the broker refuses the subscription.
    pub async fn run(mut self) {
        let (connector, link) = (self.connector.clone(), self.link.clone());
        driver::run(&mut self, &connector, &link).await;
    }

    fn hear(&mut self, line: &mut Line, input: &mut BytesMut, now: StdInstant) -> Result<(), End> {
        while let Some(packet) = line.decoder.next(input)? {
            line.keep_alive.alive(now);
            self.take(packet)?;
        }
        Ok(())
    }

    fn take(&mut self, packet: Incoming) -> Result<(), End> {
        match packet {
            Incoming::Publish { packet_id: 0, message, .. } => {
                self.count(&message);
                Ok(())
            }
            Incoming::SubAck { codes, .. } if codes.iter().any(|code| *code >= 0x80) => {
                let (client_id, topic) = (&self.link.client_id, &self.topic);
                info!(
                    event = "broker.no_drop_count",
                    client_id,
                    topic,
                    ?codes,
                    "the broker does not tell what it drops: subscription refused"
                );
                self.denied = true;
                Err(End::Drained)
            }
            Incoming::SubAck { .. } | Incoming::PingResp => Ok(()),
            Incoming::Disconnect(reason) => Err(End::disconnected(&reason)),
            _ => Err(End::lost("a packet that nobody has asked for")),
        }
    }

    /// A payload that is no number is ignored and not logged, because anybody may have published it.
    fn count(&mut self, message: &Message) {
        let text = std::str::from_utf8(&message.payload).unwrap_or_default();
        match text.trim().parse() {
            Ok(total) if *message.topic == *self.topic => {
                self.metrics.dropped(total);
                self.drops.counted(total);
            }
            _ => debug!(event = "broker.no_number", client_id = self.link.client_id, "not a count of dropped messages"),
        }
    }

    fn say(&mut self, line: &mut Line, output: &mut BytesMut, now: StdInstant) -> Result<(), End> {
        let wire = Wire(self.link.protocol);
        if !std::mem::replace(&mut line.subscribed, true) {
            let (topic_filters, identifier) = (&[self.topic.as_str()][..], None);
            let qos = Qos::AtMostOnce;
            wire.subscribe(&Subscription { packet_id: PACKET_ID, topic_filters, identifier, qos }, output)?;
        }
        if line.next_tick <= now {
            line.next_tick = now + line.keep_alive.period();
            match line.keep_alive.due(now) {
                Due::Nothing => {}
                Due::Ping => wire.pingreq(output)?,
                Due::Dead => return Err(End::lost("the broker is silent: no answer to PINGREQ")),
            }
        }
        if let Some(dropped) = self.drops.due(now) {
            warn!(
                event = "broker.dropped",
                dropped,
                topic = self.topic,
                "the broker has dropped messages that it had confirmed: a client's queue is full; its log names the client"
            );
        }
        Ok(())
    }
}

impl Client for BrokerStats {
    fn hello(&self, _broker: usize) -> Hello {
        Hello {
            client_id: self.link.client_id.clone(),
            clean_start: true,
            keep_alive: self.link.keep_alive,
            session_expiry: std::time::Duration::ZERO,
            // QoS 0 does not use it, but zero is forbidden (MQTT 5, 3.1.2.11.3).
            receive_maximum: 1,
            will: None,
        }
    }

    fn connected(&mut self, connack: &ConnAck, agreed: &Agreed, now: StdInstant) {
        let broker = self.connector.url_of(&self.link.client_id);
        info!(event = "broker.connected", client_id = self.link.client_id, broker, tls = %agreed, "broker's counter connected");
        let keep_alive = KeepAlive::new(self.link.keep_alive, connack.keep_alive, now);
        let next_tick = now + keep_alive.period();
        let decoder = Decoder::within(Wire(self.link.protocol), BOUNDS);
        self.line = Some(Line { decoder, keep_alive, next_tick, subscribed: false });
    }

    fn received(&mut self, bytes: usize, now: StdInstant) {
        self.line.iter_mut().for_each(|line| line.keep_alive.received(bytes, now));
    }

    fn turn(&mut self, input: &mut BytesMut, output: &mut BytesMut, now: StdInstant) -> Result<(), End> {
        if self.is_done() {
            return Err(End::Drained);
        }
        let Some(mut line) = self.line.take() else { return Ok(()) };
        let result = self.hear(&mut line, input, now).and_then(|()| self.say(&mut line, output, now));
        self.line = Some(line);
        result
    }

    fn written(&mut self, now: StdInstant) -> bool {
        self.line.iter_mut().for_each(|line| line.keep_alive.sent(now));
        false
    }

    fn reads(&self) -> bool {
        true
    }

    fn wakes(&self, now: StdInstant) -> StdInstant {
        let Some(line) = &self.line else { return now };
        self.drops.wakes().map_or(line.next_tick, |at| at.min(line.next_tick))
    }

    fn give_way(&mut self, _: StdInstant) -> bool {
        true
    }

    fn go_back(&mut self, _: StdInstant) -> bool {
        true
    }

    fn disconnected(&mut self, end: End) -> End {
        self.line = None;
        end
    }

    /// The sessions say what is wrong with the broker; here only what concerns this client alone can be new.
    fn failed(&mut self, failure: Failure) {
        let (client_id, Failure { why, lasting, wait, .. }) = (&self.link.client_id, failure);
        if lasting && !std::mem::replace(&mut self.told, true) {
            info!(event = "broker.no_drop_count", client_id, reason = why, retry_in = ?wait, "the broker does not tell what it drops");
        } else {
            debug!(event = "broker.no_drop_count", client_id, reason = why, retry_in = ?wait, "the broker does not tell what it drops");
        }
    }

    fn is_done(&self) -> bool {
        self.denied || self.shutdown.phase() >= Phase::Draining
    }

    async fn hear(&mut self) {
        self.shutdown.changed().await;
    }
}

#[cfg(test)]
#[path = "broker_stats/tests.rs"]
mod tests;
