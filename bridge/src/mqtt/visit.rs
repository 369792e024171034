//! Connects to the broker for a short time under a client id of its own, to see what it grants. Keeps no session, and
//! receives only copies, so no other client misses a message.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{hang_up, open_noting};
use super::connection::Connection;
use super::connector::Connector;
use super::decoder::Decoder;
use super::end::End;
use super::ledger::Ack;
use super::link::Link;
use super::packet::{ConnAck, Hello, Incoming, MAX_PACKET_SIZE, Subscription};
use super::stage::{Passed, StageCell};
use super::tls::ShownCertificate;
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

/// One attempt to connect.
pub struct Attempt {
    /// The steps that have begun. Where it failed, it was the last of them that failed; none where it was the password.
    pub steps: Vec<Passed>,
    /// Host and port of the other end, and its address, once there was a TCP connection.
    pub peer: Option<String>,
    /// The result; otherwise why there is no connection, and how to fix it.
    pub opened: Result<(Visit, Welcome), String>,
}

/// What CONNACK and the handshake say.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// Version, cipher suite and key exchange group.
    pub tls: String,
    /// The subject of the broker's certificate, and its expiry.
    pub certificate: Option<ShownCertificate>,
    /// How long the broker keeps a session; none when it is as long as asked.
    pub session_expiry: Option<Duration>,
    /// The keep alive that the broker requires in place of ours.
    pub keep_alive: Option<Duration>,
    /// The highest quality of service of messages that are published.
    pub max_qos: Qos,
    /// The size of the largest packet that it takes, in bytes, where it has a limit of its own.
    pub max_packet_size: Option<u32>,
    /// Whether topic filters may hold wildcards.
    pub wildcards: bool,
    /// Whether there are shared subscriptions.
    pub shared: bool,
}

impl Visit {
    /// Connects to the first broker with the client id of this link, asking for a session that lives so long; it is
    /// given up at the end.
    pub async fn begin(connector: &Connector, link: &Link, session_expiry: Duration) -> Attempt {
        let hello = Hello {
            client_id: link.client_id.clone(),
            clean_start: true,
            keep_alive: link.keep_alive,
            session_expiry,
            receive_maximum: 16,
            will: None,
        };
        let (wire, patience, stage) = (Wire(link.protocol), link.connect_timeout, StageCell::default());
        let opened = open_noting(&stage, (connector, 0), wire, hello, &mut connector.login(), patience).await;
        let (steps, peer) = (stage.passed(), stage.peer());
        let opened = opened.map_err(|unopened| in_words(unopened.end)).map(|(connection, connack)| {
            let welcome = welcome(&connection, &connack);
            (Self { wire, connection, decoder: Decoder::new(wire), patience }, welcome)
        });
        Attempt { steps, peer, opened }
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

    /// Returns once the broker has confirmed the message. False when it says that nobody has subscribed, so that it
    /// drops it.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn publish(&mut self, topic: &str, payload: Bytes) -> Result<bool, String> {
        let outgoing = Outgoing::new(topic, payload);
        self.wire.publish(PACKET_ID, &outgoing, &mut self.connection.output).map_err(|error| error.to_string())?;
        let deadline = Instant::now() + self.patience;
        loop {
            if let Incoming::PubAck { refused, unheard, .. } = self.next(deadline).await? {
                return refused.map_or(Ok(!unheard), |reason| Err(format!("refused by the broker: {}", reason.text)));
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
        // The session was made only to learn how long the broker would keep it.
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

fn welcome(connection: &Connection, connack: &ConnAck) -> Welcome {
    Welcome {
        tls: connection.agreed().to_string(),
        certificate: connection.certificate(),
        session_expiry: connack.session_expiry,
        keep_alive: connack.keep_alive,
        max_qos: connack.limits.max_qos,
        max_packet_size: Some(connack.limits.max_packet_size).filter(|size| *size < MAX_PACKET_SIZE),
        wildcards: connack.wildcard_available,
        shared: connack.shared_available,
    }
}

fn in_words(end: End) -> String {
    match end {
        End::Lost { why, .. } => why,
        End::Drained | End::Retired | End::Renewed => "closed".to_owned(),
    }
}
