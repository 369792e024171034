//! Reads what the client sends, notes all of it, and answers PINGREQ by itself.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bridge::config::Protocol;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio_rustls::server::TlsStream;

use crate::scripted::heard::{Heard, Packet, decode};

const READ_AHEAD: usize = 16 * 1024;

pub(super) type Writer = Arc<AsyncMutex<WriteHalf<TlsStream<TcpStream>>>>;

/// What the task that reads needs.
pub(super) struct Reader {
    pub(super) stream: ReadHalf<TlsStream<TcpStream>>,
    pub(super) number: usize,
    pub(super) protocol: Protocol,
    pub(super) writer: Writer,
    pub(super) packets: mpsc::UnboundedSender<Packet>,
    pub(super) mute: Arc<AtomicBool>,
    /// How many PINGREQs still get their answer.
    pub(super) unanswered: watch::Sender<usize>,
    pub(super) heard: Arc<Mutex<Vec<Heard>>>,
}

impl Reader {
    pub(super) async fn run(mut self) {
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
            let (writer, unanswered) = (Arc::clone(&self.writer), self.unanswered.clone());
            unanswered.send_modify(|count| *count += 1);
            tokio::spawn(async move {
                // An error means that the connection is gone, which the script will see.
                let _ = write(&writer, &[0xd0, 0]).await;
                unanswered.send_modify(|count| *count -= 1);
            });
        }
        let heard = Heard { at: Instant::now(), connection: self.number, packet: packet.clone() };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
        let _ = self.packets.send(packet);
    }
}

pub(super) async fn write(writer: &Writer, bytes: &[u8]) -> io::Result<()> {
    let mut writer = writer.lock().await;
    writer.write_all(bytes).await?;
    writer.flush().await
}
