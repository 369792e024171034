//! A listener on the line between bridge and broker: takes TLS apart, passes every byte on, and notes the packets with
//! their times. It can cut the line. Changes nothing that it passes on.
//!
//! It works because the world's certificates are its own: towards the bridge it is the broker, towards the broker it
//! is the bridge.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bridge::config::{BrokerUrl, Protocol};
use bytes::{Bytes, BytesMut};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certs::PkiFiles;

/// A packet that went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// From the broker.
    ConnAck {
        /// Whether it kept the session.
        session_present: bool,
    },
    /// From the broker.
    Publish {
        /// 0 at QoS 0.
        packet_id: u16,
        /// Whether the broker says that it sent it before.
        dup: bool,
        /// The message.
        payload: Bytes,
    },
    /// From the bridge: PUBACK or PUBREC.
    Ack {
        /// What it acknowledges.
        packet_id: u16,
    },
    /// From the bridge.
    Subscribe,
    /// From the bridge.
    Disconnect,
    /// Any other, in either direction.
    Other,
}

/// When a packet went by, and on which connection, counted from 1.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// On which connection.
    pub connection: usize,
    /// Which packet.
    pub packet: Packet,
}

/// A line that is tapped. Dropping it cuts the line for good.
#[derive(Debug)]
pub struct Wiretap {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    cuts: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Wiretap {
    /// Taps the line to `broker`.
    ///
    /// # Errors
    /// When the certificates cannot be used, or no port is free.
    pub async fn start(broker: &BrokerUrl, files: &PkiFiles, protocol: Protocol) -> io::Result<Self> {
        let line = Arc::new(Line {
            broker: broker.clone(),
            accept: TlsAcceptor::from(Arc::new(as_broker(files)?)),
            connect: TlsConnector::from(Arc::new(files.client_config(&files.bridge).map_err(io::Error::other)?)),
            protocol,
            seen: Arc::default(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (cuts, cut) = watch::channel(0);
        let seen = Arc::clone(&line.seen);
        let task = tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                connection += 1;
                let (line, mut cut) = (Arc::clone(&line), cut.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = line.pass(stream, connection) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Ok(Self { port, seen, cuts, task })
    }

    /// Where the bridge shall connect to.
    #[must_use]
    pub fn url(&self) -> BrokerUrl {
        BrokerUrl::mqtts("localhost", self.port)
    }

    /// Everything that went by.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    /// Cuts all connections that there are now, without a goodbye in either direction.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Wiretap {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

struct Line {
    broker: BrokerUrl,
    accept: TlsAcceptor,
    connect: TlsConnector,
    protocol: Protocol,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Line {
    async fn pass(&self, stream: TcpStream, connection: usize) -> io::Result<()> {
        let name = ServerName::try_from(self.broker.host.clone()).map_err(io::Error::other)?;
        let bridge = self.accept.accept(stream).await?;
        let tcp = TcpStream::connect((self.broker.host.as_str(), self.broker.port)).await?;
        let broker = self.connect.connect(name, tcp).await?;
        let ((bridge_reads, bridge_writes), (broker_reads, broker_writes)) =
            (tokio::io::split(bridge), tokio::io::split(broker));
        // When one direction ends, both do: dropping the other half cuts it.
        tokio::select! {
            end = self.copy(bridge_reads, broker_writes, connection) => end,
            end = self.copy(broker_reads, bridge_writes, connection) => end,
        }
    }

    async fn copy(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        connection: usize,
    ) -> io::Result<()> {
        let mut undecoded = BytesMut::new();
        let mut bytes = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut bytes).await?;
            if read == 0 {
                return Ok(());
            }
            undecoded.extend_from_slice(&bytes[..read]);
            // Recorded before it is passed on, so that no answer is recorded before its request.
            self.note(&mut undecoded, connection);
            to.write_all(&bytes[..read]).await?;
            to.flush().await?;
        }
    }

    fn note(&self, undecoded: &mut BytesMut, connection: usize) {
        let at = Instant::now();
        while let Some(packet) = match self.protocol {
            Protocol::V5 => decode_v5(undecoded),
            Protocol::V311 => decode_v4(undecoded),
        } {
            lock(&self.seen).push(Seen { at, connection, packet });
        }
    }
}

/// The next whole packet.
fn decode_v5(bytes: &mut BytesMut) -> Option<Packet> {
    use rumqttc::mqttbytes::v5::Packet as P;
    let packet = P::read(bytes, None).ok()?;
    Some(match packet {
        P::ConnAck(ack) => Packet::ConnAck { session_present: ack.session_present },
        P::Publish(p) => Packet::Publish { packet_id: p.pkid, dup: p.dup, payload: p.payload },
        P::PubAck(ack) => Packet::Ack { packet_id: ack.pkid },
        P::PubRec(ack) => Packet::Ack { packet_id: ack.pkid },
        P::Subscribe(_) => Packet::Subscribe,
        P::Disconnect(_) => Packet::Disconnect,
        _ => Packet::Other,
    })
}

fn decode_v4(bytes: &mut BytesMut) -> Option<Packet> {
    use rumqttc_v4::mqttbytes::v4::Packet as P;
    let packet = P::read(bytes, usize::MAX).ok()?;
    Some(match packet {
        P::ConnAck(ack) => Packet::ConnAck { session_present: ack.session_present },
        P::Publish(p) => Packet::Publish { packet_id: p.pkid, dup: p.dup, payload: p.payload },
        P::PubAck(ack) => Packet::Ack { packet_id: ack.pkid },
        P::PubRec(ack) => Packet::Ack { packet_id: ack.pkid },
        P::Subscribe(_) => Packet::Subscribe,
        P::Disconnect => Packet::Disconnect,
        _ => Packet::Other,
    })
}

/// The broker's own identity; it takes whoever comes, since the broker behind it checks who the bridge is.
fn as_broker(files: &PkiFiles) -> io::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let pem = std::fs::read(&files.broker.cert)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(&files.broker.key).map_err(io::Error::other)?;
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
