//! The broker's side of one connection: each method is a step of a script. Dropping it resets the connection.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bridge::config::Protocol;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;

use super::PATIENCE;
use super::heard::{Ack, Connect, Heard, Packet, Subscribe, decode};
use super::said::{ConnAck, Message, frame, length, string};

const READ_AHEAD: usize = 16 * 1024;

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

type Writer = Arc<AsyncMutex<WriteHalf<TlsStream<TcpStream>>>>;

/// One connection.
#[derive(Debug)]
pub struct Peer {
    number: usize,
    protocol: Protocol,
    writer: Writer,
    packets: mpsc::UnboundedReceiver<Packet>,
    mute: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

/// What the task that reads needs.
struct Reader {
    stream: ReadHalf<TlsStream<TcpStream>>,
    number: usize,
    protocol: Protocol,
    writer: Writer,
    packets: mpsc::UnboundedSender<Packet>,
    mute: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Heard>>>,
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
        let reader = Reader {
            stream,
            number,
            protocol,
            writer: Arc::clone(&writer),
            packets: sender,
            mute: Arc::clone(&mute),
            heard,
        };
        Self { number, protocol, writer, packets, mute, reader: tokio::spawn(reader.run()) }
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

    /// Sends SUBACK.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn suback(&mut self, packet_id: u16, codes: &[u8]) -> Result<(), ScriptError> {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.protocol == Protocol::V5 {
            body.push(0);
        }
        body.extend(codes);
        self.bytes(&frame(0x90, &body)).await
    }

    /// Sends UNSUBACK for so many filters, all of them given up.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn unsuback(&mut self, packet_id: u16, filters: usize) -> Result<(), ScriptError> {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.protocol == Protocol::V5 {
            body.resize(3 + filters, 0);
        }
        self.bytes(&frame(0xb0, &body)).await
    }

    /// Sends PUBLISH.
    ///
    /// # Errors
    /// When the connection is broken, or the codec will not write the message.
    pub async fn publish(&mut self, message: &Message) -> Result<(), ScriptError> {
        let bytes = message.bytes(self.protocol)?;
        self.bytes(&bytes).await
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

    /// Sends PUBACK, under MQTT 5 with this reason code.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn puback(&mut self, packet_id: u16, reason: u8) -> Result<(), ScriptError> {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.protocol == Protocol::V5 {
            body.push(reason);
        }
        self.bytes(&frame(0x40, &body)).await
    }

    /// The same, with a Reason String (MQTT 5, 3.4.2.2.2).
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn puback_because(&mut self, packet_id: u16, reason: u8, words: &str) -> Result<(), ScriptError> {
        let mut body = packet_id.to_be_bytes().to_vec();
        body.push(reason);
        body.extend(reason_string(words));
        self.bytes(&frame(0x40, &body)).await
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

    /// Expects PINGREQ, which is answered by itself.
    ///
    /// # Errors
    /// When the script cannot go on.
    pub async fn ping(&mut self) -> Result<(), ScriptError> {
        match timeout(PATIENCE, self.packets.recv()).await {
            Ok(Some(Packet::PingReq)) => Ok(()),
            Ok(Some(got)) => Err(ScriptError::Unexpected { due: "PINGREQ", got }),
            Ok(None) => Err(ScriptError::Closed("PINGREQ")),
            Err(_) => Err(ScriptError::Late("PINGREQ")),
        }
    }

    /// Sends DISCONNECT with this reason, which only MQTT 5 knows.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn disconnect(&mut self, reason: u8) -> Result<(), ScriptError> {
        self.bytes(&frame(0xe0, &[reason, 0])).await
    }

    /// The same, with a Reason String (MQTT 5, 3.14.2.2.3).
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn disconnect_because(&mut self, reason: u8, words: &str) -> Result<(), ScriptError> {
        let mut body = vec![reason];
        body.extend(reason_string(words));
        self.bytes(&frame(0xe0, &body)).await
    }

    /// Sends these bytes, whatever they are.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn bytes(&mut self, bytes: &[u8]) -> Result<(), ScriptError> {
        write(&self.writer, bytes).await?;
        Ok(())
    }

    /// Sends these bytes one at a time, with a pause before each.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn drip(&mut self, bytes: &[u8], pause: Duration) -> Result<(), ScriptError> {
        for byte in bytes {
            sleep(pause).await;
            self.bytes(&[*byte]).await?;
        }
        Ok(())
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

impl Reader {
    async fn run(mut self) {
        let mut input = BytesMut::new();
        loop {
            while let Some(packet) = decode(self.protocol, &mut input) {
                self.note(packet);
            }
            input.reserve(READ_AHEAD);
            if !matches!(self.stream.read_buf(&mut input).await, Ok(1..)) {
                return;
            }
        }
    }

    fn note(&self, packet: Packet) {
        if packet == Packet::PingReq && !self.mute.load(Ordering::Relaxed) {
            // A script may be in the middle of writing more than the client takes.
            let writer = Arc::clone(&self.writer);
            tokio::spawn(async move { write(&writer, &[0xd0, 0]).await });
        }
        let heard = Heard { at: Instant::now(), connection: self.number, packet: packet.clone() };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
        let _ = self.packets.send(packet);
    }
}

/// Properties that are a Reason String alone, with their length.
fn reason_string(words: &str) -> Vec<u8> {
    let property = [&[31], &string(words.as_bytes())[..]].concat();
    [length(property.len()), property].concat()
}

async fn write(writer: &Writer, bytes: &[u8]) -> io::Result<()> {
    let mut writer = writer.lock().await;
    writer.write_all(bytes).await?;
    writer.flush().await
}
