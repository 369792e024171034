//! The broker's side of one connection: each method is a step of a script; those that send alone are in [`sending`]. Dropping it
//! resets the connection.

mod reader;
mod sending;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bridge::config::Protocol;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use self::reader::{Reader, Writer};
use super::PATIENCE;
use super::heard::{Ack, Connect, Heard, Packet, Subscribe};
use super::said::{ConnAck, frame};

/// A script that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The connection broke.
    #[error("connection: {0}")]
    Broken(#[from] io::Error),
    /// The client closed, where something else was due.
    #[error("the client has closed the connection; due was {0}")]
    Closed(&'static str),
    /// The client sent something else.
    #[error("{got:?} came; due was {due}")]
    Unexpected {
        /// What the script waits for.
        due: &'static str,
        /// What came.
        got: Packet,
    },
    /// Nothing came.
    #[error("{0} is late")]
    Late(&'static str),
}

/// One connection.
#[derive(Debug)]
pub struct Peer {
    number: usize,
    protocol: Protocol,
    writer: Writer,
    packets: mpsc::UnboundedReceiver<Packet>,
    mute: Arc<AtomicBool>,
    unanswered: watch::Receiver<usize>,
    reader: JoinHandle<()>,
}

impl Peer {
    pub(super) fn new(
        stream: TlsStream<TcpStream>,
        number: usize,
        protocol: Protocol,
        heard: Arc<Mutex<Vec<Heard>>>,
    ) -> Self {
        let (stream, writer) = tokio::io::split(stream);
        let (sender, packets) = mpsc::unbounded_channel();
        let (writer, mute) = (Arc::new(AsyncMutex::new(writer)), Arc::<AtomicBool>::default());
        let (pings, unanswered) = watch::channel(0);
        let reader = Reader {
            stream,
            number,
            protocol,
            writer: Arc::clone(&writer),
            packets: sender,
            mute: Arc::clone(&mute),
            unanswered: pings,
            heard,
        };
        Self { number, protocol, writer, packets, mute, unanswered, reader: tokio::spawn(reader.run()) }
    }

    /// Which connection it is, counted from 1.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// Leaves PINGREQ without an answer from now on.
    pub fn mute(&self) {
        self.mute.store(true, Ordering::Relaxed);
    }

    /// Expects CONNECT and answers it.
    ///
    /// # Errors
    /// When the script cannot go on; so with all steps.
    pub async fn greet(&mut self, connack: &ConnAck) -> Result<Connect, ScriptError> {
        let connect = self.connect().await?;
        self.bytes(&connack.bytes(self.protocol)).await?;
        Ok(connect)
    }

    /// Expects CONNECT and leaves the client waiting.
    ///
    /// # Errors
    /// When the script cannot go on.
    pub async fn connect(&mut self) -> Result<Connect, ScriptError> {
        match self.next("CONNECT").await? {
            Packet::Connect(connect) => Ok(connect),
            got => Err(ScriptError::Unexpected { due: "CONNECT", got }),
        }
    }

    /// Expects SUBSCRIBE and answers with this one code.
    ///
    /// # Errors
    /// When the script cannot go on.
    pub async fn grant(&mut self, code: u8) -> Result<Subscribe, ScriptError> {
        let subscribe = self.subscribe().await?;
        self.suback(subscribe.packet_id, &[code]).await?;
        Ok(subscribe)
    }

    /// Expects SUBSCRIBE and leaves the client waiting.
    ///
    /// # Errors
    /// When the script cannot go on.
    pub async fn subscribe(&mut self) -> Result<Subscribe, ScriptError> {
        match self.next("SUBSCRIBE").await? {
            Packet::Subscribe(subscribe) => Ok(subscribe),
            got => Err(ScriptError::Unexpected { due: "SUBSCRIBE", got }),
        }
    }

    /// Expects PUBACK or PUBREC.
    ///
    /// # Errors
    /// When the script cannot go on.
    pub async fn ack(&mut self) -> Result<Ack, ScriptError> {
        match self.next("PUBACK or PUBREC").await? {
            Packet::Ack(ack) => Ok(ack),
            got => Err(ScriptError::Unexpected { due: "PUBACK or PUBREC", got }),
        }
    }

    /// Sends PUBREL and expects PUBCOMP.
    ///
    /// # Errors
    /// When the script cannot go on.
    pub async fn release(&mut self, packet_id: u16) -> Result<(), ScriptError> {
        self.bytes(&frame(0x62, &packet_id.to_be_bytes())).await?;
        match self.next("PUBCOMP").await? {
            Packet::Complete(id) if id == packet_id => Ok(()),
            got => Err(ScriptError::Unexpected { due: "PUBCOMP", got }),
        }
    }

    /// Expects PINGREQ, which is answered by itself, before anything that the script sends next.
    ///
    /// # Errors
    /// When the script cannot go on.
    pub async fn ping(&mut self) -> Result<(), ScriptError> {
        match timeout(PATIENCE, self.packets.recv()).await {
            Ok(Some(Packet::PingReq)) => {
                // An error means that the client is gone, and with it the answer.
                let _ = timeout(PATIENCE, self.unanswered.wait_for(|count| *count == 0)).await;
                Ok(())
            }
            Ok(Some(got)) => Err(ScriptError::Unexpected { due: "PINGREQ", got }),
            Ok(None) => Err(ScriptError::Closed("PINGREQ")),
            Err(_) => Err(ScriptError::Late("PINGREQ")),
        }
    }

    /// The next packet, whatever it is but PINGREQ.
    ///
    /// # Errors
    /// When there is none.
    pub async fn next(&mut self, due: &'static str) -> Result<Packet, ScriptError> {
        let next = async {
            loop {
                match self.packets.recv().await {
                    Some(Packet::PingReq) => {}
                    Some(other) => return Ok(other),
                    None => return Err(ScriptError::Closed(due)),
                }
            }
        };
        timeout(PATIENCE, next).await.unwrap_or(Err(ScriptError::Late(due)))
    }

    /// A packet that has come already, but PINGREQ.
    pub fn try_next(&mut self) -> Option<Packet> {
        loop {
            match self.packets.try_recv().ok()? {
                Packet::PingReq => {}
                other => return Some(other),
            }
        }
    }

    /// Expects the client to say why it closes, and to close: the reason code, or `None` when it closes without a word,
    /// as under MQTT 3.1.1 it must for any error. What it sends before is left out.
    ///
    /// # Errors
    /// When it does not close.
    pub async fn end(mut self) -> Result<Option<u8>, ScriptError> {
        let end = async {
            let mut reason = None;
            while let Some(packet) = self.packets.recv().await {
                if let Packet::Disconnect(code, _) = packet {
                    reason = Some(code);
                }
            }
            reason
        };
        timeout(PATIENCE, end).await.map_err(|_| ScriptError::Late("the end of the connection"))
    }

    /// Closes as a right broker does, and waits until the client has closed, too.
    ///
    /// # Errors
    /// When it does not.
    pub async fn close(self) -> Result<(), ScriptError> {
        self.writer.lock().await.shutdown().await?;
        self.end().await.map(drop)
    }

    /// Cuts the connection without a goodbye; the client gets a TCP reset.
    pub fn reset(self) {
        drop(self);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
