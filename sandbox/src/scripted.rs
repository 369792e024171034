//! A broker that does what a test says, step by step, including what no correct broker would do: real TLS, both
//! versions of MQTT, and any bytes of the script's choice. It records what it receives, with the time. Decides nothing
//! by itself but the answer to PINGREQ.
//!
//! A test plays the broker's side of each connection as a [`Peer`]:
//!
//! ```ignore
//! let mut peer = broker.accept().await?;
//! peer.greet(&ConnAck::fresh()).await?;
//! peer.grant(1).await?;
//! peer.publish(&Message::new(7, "hello")).await?;
//! assert_eq!(peer.ack().await?.packet_id, 7);
//! peer.reset();
//! ```

pub(crate) mod heard;
mod peer;
pub(crate) mod said;

pub use heard::{Ack, Connect, Heard, Packet, Subscribe};
pub use peer::{Peer, ScriptError};
pub use said::{ConnAck, Message, frame, string};

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridge::config::{BrokerUrl, Protocol};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::certs::PkiFiles;

/// Far longer than any step takes; a script that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A scripted broker. Dropping it ends its listener; connections end with their peers.
#[derive(Debug)]
pub struct Scripted {
    port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    connections: Arc<AtomicUsize>,
    accepted: AsyncMutex<mpsc::UnboundedReceiver<Peer>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Listens with the certificate of `files`' broker, and takes whoever comes.
    ///
    /// # Errors
    /// When the certificate cannot be used, or no port is free.
    pub async fn start(files: &PkiFiles, protocol: Protocol) -> io::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(files)?));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (heard, connections) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::<AtomicUsize>::default());
        let (peers, accepted) = mpsc::unbounded_channel();
        let (record, count) = (Arc::clone(&heard), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                // What is not read when the script closes is of no interest: without this, closing could linger.
                let _ = stream.set_zero_linger();
                let _ = stream.set_nodelay(true);
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let _ = peers.send(Peer::new(stream, number, protocol, Arc::clone(&record)));
            }
        });
        Ok(Self { port, heard, connections, accepted: AsyncMutex::new(accepted), task })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> BrokerUrl {
        BrokerUrl::mqtts("localhost", self.port)
    }

    /// The next connection, in the order of their coming. Nothing has been answered on it yet.
    ///
    /// # Errors
    /// When none comes.
    pub async fn accept(&self) -> Result<Peer, ScriptError> {
        let next = timeout(PATIENCE, async { self.accepted.lock().await.recv().await }).await;
        next.ok().flatten().ok_or(ScriptError::Late("a connection"))
    }

    /// How many TCP connections there have been.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Everything received, in order, over all connections.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The packet ids acknowledged on one connection, in order.
    #[must_use]
    pub fn acks(&self, connection: usize) -> Vec<u16> {
        let ack = |heard: Heard| match heard.packet {
            Packet::Ack(ack) if heard.connection == connection => Some(ack.packet_id),
            _ => None,
        };
        self.heard().into_iter().filter_map(ack).collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn server_config(files: &PkiFiles) -> io::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(&files.broker.cert).map_err(io::Error::other)?;
    let chain = chain.collect::<Result<_, _>>().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(&files.broker.key).map_err(io::Error::other)?;
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)
}
