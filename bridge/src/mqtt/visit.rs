//! A short visit to the broker under a client id of its own, to see what it grants. Keeps no session, and what it receives are
//! copies: it takes no message from anybody.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{hang_up, open_within};
use super::connection::Connection;
use super::connector::Connector;
use super::decoder::Decoder;
use super::end::End;
use super::ledger::Ack;
use super::link::Link;
use super::packet::{Hello, Incoming, Subscription};
use super::wire::Wire;
use crate::config::Qos;
use crate::outgoing::Outgoing;

/// The packet identifier of everything that a visit sends: it waits for each answer.
const PACKET_ID: u16 = 1;

/// A connection that was accepted.
pub struct Visit {
    wire: Wire,
    connection: Connection,
    decoder: Decoder,
    patience: Duration,
}

/// What CONNACK and the handshake say.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// Version, cipher suite and key exchange group.
    pub tls: String,
    /// How long the broker keeps a session; none when it is as long as asked.
    pub session_expiry: Option<Duration>,
    /// Whether topic filters may hold wildcards.
    pub wildcards: bool,
    /// Whether there are shared subscriptions.
    pub shared: bool,
}

impl Visit {
    /// Connects to the first broker with the client id of this link, asking for a session that lives so long; it is given up at the end.
    ///
    /// # Errors
    /// Why there is no connection, and the way out.
    pub async fn begin(
        connector: &Connector,
        link: &Link,
        session_expiry: Duration,
    ) -> Result<(Self, Welcome), String> {
        let hello = Hello {
            client_id: link.client_id.clone(),
            clean_start: true,
            keep_alive: link.keep_alive,
            session_expiry,
            receive_maximum: 16,
            will: None,
        };
        let (wire, patience) = (Wire(link.protocol), link.connect_timeout);
        let opened = open_within((connector, 0), wire, hello, &mut connector.login(), patience).await;
        let (connection, connack) = opened.map_err(|unopened| in_words(unopened.end))?;
        let welcome = Welcome {
            tls: connection.agreed().to_string(),
            session_expiry: connack.session_expiry,
            wildcards: connack.wildcard_available,
            shared: connack.shared_available,
        };
        Ok((Self { wire, connection, decoder: Decoder::new(wire), patience }, welcome))
    }

    /// Returns once the broker has granted the subscription with the QoS asked.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn subscribe(&mut self, topic_filter: &str, qos: Qos) -> Result<(), String> {
        let subscription = Subscription { packet_id: PACKET_ID, topic_filters: &[topic_filter], identifier: None, qos };
        self.wire.subscribe(&subscription, &mut self.connection.output).map_err(|error| error.to_string())?;
        let deadline = Instant::now() + self.patience;
        loop {
            let Incoming::SubAck { codes, said, .. } = self.next(deadline).await? else { continue };
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            return match codes[..] {
                [code] if code == qos as u8 => Ok(()),
                [code] if code < 0x80 => {
                    Err(format!("the broker grants QoS {code} where QoS {} was asked{said}", qos as u8))
                }
                [code] => Err(format!("refused by the broker with reason 0x{code:02x}{said}")),
                _ => Err("the broker answers one filter with several codes".to_owned()),
            };
        }
    }

    /// Returns once the broker has confirmed the message.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn publish(&mut self, topic: &str, payload: Bytes) -> Result<(), String> {
        let outgoing =
            Outgoing { topic: topic.into(), payload, qos: Qos::AtLeastOnce, retain: false, properties: None };
        self.wire.publish(PACKET_ID, &outgoing, &mut self.connection.output).map_err(|error| error.to_string())?;
        let deadline = Instant::now() + self.patience;
        loop {
            if let Incoming::PubAck { refused, .. } = self.next(deadline).await? {
                return refused.map_or(Ok(()), |reason| Err(format!("refused by the broker: {}", reason.text)));
            }
        }
    }

    /// Whether a message with this payload comes in time.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn receives(&mut self, payload: &[u8], patience: Duration) -> Result<bool, String> {
        let deadline = Instant::now() + patience;
        loop {
            match timeout_at(deadline, self.next(deadline + self.patience)).await {
                Ok(Ok(Incoming::Publish { message, .. })) if message.payload == payload => return Ok(true),
                Ok(Ok(_)) => {}
                Ok(Err(why)) => return Err(why),
                Err(_) => return Ok(false),
            }
        }
    }

    /// Has the broker forget the session, and closes.
    pub async fn leave(self) {
        // The session was asked for to see how long it would be kept.
        hang_up(self.wire, self.connection, &End::Retired).await;
    }

    /// The next packet; copies of messages are confirmed, so that more of them can come.
    async fn next(&mut self, deadline: Instant) -> Result<Incoming, String> {
        loop {
            self.connection.flush(self.patience).await.map_err(|error| error.to_string())?;
            let Some(packet) = self.decoder.next(&mut self.connection.input).map_err(|error| error.to_string())? else {
                let read = timeout_at(deadline, self.connection.read()).await;
                read.map_err(|_| "the broker does not answer in time".to_owned())?
                    .map_err(|error| error.to_string())?;
                continue;
            };
            let output = &mut self.connection.output;
            let answered = match &packet {
                Incoming::Publish { packet_id, message, .. } => {
                    self.wire.ack(Ack { packet_id: *packet_id, qos: message.qos }, output)
                }
                Incoming::PubRel(packet_id) => self.wire.pubcomp(*packet_id, output),
                Incoming::Disconnect(reason) => return Err(format!("the broker disconnects: {}", reason.text)),
                _ => Ok(()),
            };
            answered.map_err(|error| error.to_string())?;
            let _ = timeout(self.patience, self.connection.flush(self.patience)).await;
            return Ok(packet);
        }
    }
}

fn in_words(end: End) -> String {
    match end {
        End::Lost { why, .. } => why,
        End::Drained | End::Retired | End::Renewed => "closed".to_owned(),
    }
}
