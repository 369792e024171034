//! Publishes on a retained topic whether the bridge is online: its Last Will says offline when the process dies, and
//! the bridge itself says so when it ends. It has a connection of its own for the life of the process: sessions start
//! and end with mappings, the publisher's connection may not exist, and a broker that forbids the Will refuses the
//! whole connection. Nothing depends on it: readiness ignores it.

use std::time::{Duration, Instant as StdInstant};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;
use tracing::{debug, info};

use super::connector::Connector;
use super::decoder::Decoder;
use super::driver::{self, Client};
use super::end::End;
use super::keep_alive::{Due, KeepAlive};
use super::link::Link;
use super::packet::{ConnAck, Hello, Incoming, Limits, Reason, Will};
use super::reconnect::Failure;
use super::transport::Agreed;
use super::wire::Wire;
use crate::config::{Protocol, Qos};
use crate::outgoing::Outgoing;
use crate::shutdown::{Listener, Phase};

/// The packet identifier of every PUBLISH: there is one at a time.
const PACKET_ID: u16 = 1;

/// The status and its topic.
#[derive(Debug, Clone)]
pub struct Told {
    /// The topic, retained.
    pub topic: String,
    /// The message of the Will, also published at a clean end.
    pub offline: Bytes,
    /// How long the broker waits with the Will for a new connection (MQTT 5, 3.1.3.2.2).
    pub will_delay: Duration,
}

/// The teller of one bridge. [`StatusTopic::run`] is its whole life.
pub struct StatusTopic {
    link: Link,
    told: Told,
    /// The current status; nothing until the bridge was ready for the first time.
    online: watch::Receiver<Option<Bytes>>,
    connector: Connector,
    shutdown: Listener,
    line: Option<Line>,
    /// The broker does not take it: there is nothing left to do.
    denied: bool,
    /// Whether the failure was logged.
    said: bool,
    /// It leaves this broker for a preferred one.
    goes_back: bool,
}

/// One connection.
struct Line {
    decoder: Decoder,
    keep_alive: KeepAlive,
    next_tick: StdInstant,
    limits: Limits,
    /// The status that the broker has confirmed on this connection.
    confirmed: Option<Bytes>,
    /// The status that it has not confirmed yet.
    on_its_way: Option<Bytes>,
}

impl StatusTopic {
    /// Tells whatever `online` holds. No session may have its client id.
    #[must_use]
    pub fn new(
        link: Link,
        told: Told,
        online: watch::Receiver<Option<Bytes>>,
        connector: Connector,
        shutdown: Listener,
    ) -> Self {
        Self { link, told, online, connector, shutdown, line: None, denied: false, said: false, goes_back: false }
    }

    /// Connects, publishes and connects again until the bridge stops, or the broker refuses the status.
    pub async fn run(mut self) {
        let (connector, link) = (self.connector.clone(), self.link.clone());
        driver::run(&mut self, &connector, &link).await;
    }

    fn is_stopping(&self) -> bool {
        self.shutdown.phase() == Phase::Stopping
    }

    /// Whether this connection is to end once the topic says so.
    fn is_leaving(&self) -> bool {
        self.is_stopping() || self.goes_back
    }

    /// What the topic should hold: nothing new at the end if nothing was published.
    fn wanted(&self) -> Option<Bytes> {
        let online = self.online.borrow().clone();
        if self.is_leaving() { online.map(|_| self.told.offline.clone()) } else { online }
    }

    fn hear(&mut self, line: &mut Line, input: &mut BytesMut, now: StdInstant) -> Result<(), End> {
        while let Some(packet) = line.decoder.next(input)? {
            line.keep_alive.alive(now);
            match packet {
                Incoming::PubAck { packet_id: PACKET_ID, refused, .. } if line.on_its_way.is_some() => {
                    line.confirmed = line.on_its_way.take();
                    if let Some(reason) = refused {
                        return Err(self.deny(&reason));
                    }
                }
                Incoming::PingResp => {}
                Incoming::Disconnect(reason) => return Err(End::disconnected(&reason)),
                _ => return Err(End::lost("a packet that nobody has asked for")),
            }
        }
        Ok(())
    }

    /// MQTT 3.1.1 has no such answer: there the broker confirms what it forbids, or closes the connection.
    fn deny(&mut self, reason: &Reason) -> End {
        self.denied = true;
        self.log_unsaid(&reason.text);
        End::Drained
    }

    /// Once: nobody but the readers of the topic misses it.
    fn log_unsaid(&mut self, reason: &str) {
        let (client_id, topic) = (&self.link.client_id, &self.told.topic);
        if std::mem::replace(&mut self.said, true) {
            debug!(event = "status.waits", client_id, topic, reason, "the status topic is not kept up to date");
        } else {
            info!(event = "status.refused", client_id, topic, reason, "the status topic is not kept up to date");
        }
    }

    fn say(&mut self, line: &mut Line, output: &mut BytesMut, now: StdInstant) -> Result<(), End> {
        let wanted = self.wanted();
        if line.on_its_way.is_none() && wanted.is_some() && wanted != line.confirmed {
            self.publish(line, wanted.unwrap_or_default(), output)?;
        } else if self.is_leaving() && line.on_its_way.is_none() {
            return Err(if self.is_stopping() { End::Drained } else { End::Renewed });
        }
        if line.next_tick <= now {
            line.next_tick = now + line.keep_alive.period();
            match line.keep_alive.due(now) {
                Due::Nothing => {}
                Due::Ping => Wire(self.link.protocol).pingreq(output)?,
                Due::Dead => return Err(End::lost("the broker is silent: no answer to PINGREQ")),
            }
        }
        Ok(())
    }

    fn publish(&mut self, line: &mut Line, status: Bytes, output: &mut BytesMut) -> Result<(), End> {
        let Limits { max_qos, retain, .. } = line.limits;
        if !retain {
            let text = "the broker keeps no retained messages".into();
            return Err(self.deny(&Reason { code: 0x9a, text }));
        }
        let qos = max_qos.min(Qos::AtLeastOnce);
        let packet_id = if qos == Qos::AtMostOnce { 0 } else { PACKET_ID };
        let outgoing = Outgoing { qos, retain: true, ..Outgoing::new(self.told.topic.as_str(), status.clone()) };
        Wire(self.link.protocol).publish(packet_id, &outgoing, output)?;
        match packet_id {
            0 => line.confirmed = Some(status),
            _ => line.on_its_way = Some(status),
        }
        Ok(())
    }
}

impl Client for StatusTopic {
    /// Under MQTT 5 the session is kept as long as the Will waits: with the session it would be sent at once
    /// (3.1.3.2.2), and a connection that starts over ends the one before (3.1.4).
    fn hello(&self, _: usize) -> Hello {
        let (v5, told) = (self.link.protocol == Protocol::V5, &self.told);
        let will = Will { topic: told.topic.clone(), payload: told.offline.clone(), delay: told.will_delay };
        Hello {
            client_id: self.link.client_id.clone(),
            clean_start: !v5,
            keep_alive: self.link.keep_alive,
            session_expiry: told.will_delay,
            receive_maximum: 1,
            will: Some(will),
        }
    }

    fn connected(&mut self, connack: &ConnAck, agreed: &Agreed, now: StdInstant) {
        let broker = self.connector.url_of(&self.link.client_id);
        info!(event = "broker.connected", client_id = self.link.client_id, broker, tls = %agreed, "status connected");
        let keep_alive = KeepAlive::new(self.link.keep_alive, connack.keep_alive, now);
        let (next_tick, decoder) = (now + keep_alive.period(), Decoder::new(Wire(self.link.protocol)));
        let (limits, confirmed, on_its_way) = (connack.limits, None, None);
        self.goes_back = false;
        self.line = Some(Line { decoder, keep_alive, next_tick, limits, confirmed, on_its_way });
    }

    fn received(&mut self, bytes: usize, now: StdInstant) {
        self.line.iter_mut().for_each(|line| line.keep_alive.received(bytes, now));
    }

    fn turn(&mut self, input: &mut BytesMut, output: &mut BytesMut, now: StdInstant) -> Result<(), End> {
        let Some(mut line) = self.line.take() else { return Ok(()) };
        let result = self.hear(&mut line, input, now).and_then(|()| self.say(&mut line, output, now));
        self.line = Some(line);
        result
    }

    fn written(&mut self, now: StdInstant) -> bool {
        self.line.iter_mut().for_each(|line| line.keep_alive.sent(now));
        true
    }

    fn reads(&self) -> bool {
        true
    }

    fn wakes(&self, now: StdInstant) -> StdInstant {
        self.line.as_ref().map_or(now, |line| line.next_tick)
    }

    fn give_way(&mut self, _: StdInstant) -> bool {
        true
    }

    /// After this, no client corrects the status at this broker.
    fn go_back(&mut self, _: StdInstant) -> bool {
        self.goes_back = true;
        false
    }

    fn disconnected(&mut self, end: End) -> End {
        self.line = None;
        end
    }

    /// The sessions already log what is wrong with the broker.
    fn failed(&mut self, failure: Failure) {
        let Failure { why, lasting, wait, .. } = failure;
        if lasting {
            self.log_unsaid(&why);
        } else {
            let client_id = &self.link.client_id;
            debug!(event = "status.waits", client_id, reason = why, retry_in = ?wait, "the status topic waits");
        }
    }

    /// A connection says goodbye first.
    fn is_done(&self) -> bool {
        self.denied || self.is_stopping() && self.line.is_none()
    }

    async fn hear(&mut self) {
        tokio::select! {
            biased;
            () = self.shutdown.changed() => {}
            Ok(()) = self.online.changed() => {}
        }
    }
}

#[cfg(test)]
#[path = "status_topic/tests.rs"]
mod tests;
