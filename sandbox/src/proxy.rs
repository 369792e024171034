//! A bad line on command: a TCP proxy that resets, delays, throttles, loses, goes silent, or breaks after so many
//! bytes.
//!
//! Passes every byte on unchanged and in order, and knows nothing of TLS or MQTT. What it does by chance follows a
//! seed.

mod direction;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bridge::config::BrokerUrl;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use direction::Direction;

/// How the line is. The default is a good one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quality {
    /// How much later each byte arrives, in each direction.
    pub delay: Duration,
    /// Bytes a second, in each direction of each connection; as many as come when absent.
    pub bytes_per_second: Option<u64>,
    /// Segments that get lost, and are sent again as TCP does.
    pub loss: Option<Loss>,
    /// Nothing arrives, in either direction, and nobody is told. What was sent meanwhile arrives afterwards.
    pub silent: bool,
}

/// Segments that get lost. Seen from above TCP a lost segment is one that comes late, with all that is behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// From 0 to 1, for each segment of 1,460 bytes or less.
    pub probability: f64,
    /// How long until it is sent again.
    pub timeout: Duration,
    /// The same seed loses the same segments of the nth connection.
    pub seed: u64,
}

/// A line that can be made bad. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    line: Arc<Line>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Line {
    target: BrokerUrl,
    quality: watch::Sender<Quality>,
    resets: watch::Sender<u64>,
    /// How many bytes the next connection carries to the client before it breaks; 0 for any number.
    cut_after: AtomicU64,
    connections: AtomicU64,
    passed: AtomicU64,
}

impl Proxy {
    /// Puts a line in front of `target`, a good one for now.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(target: &BrokerUrl) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let line = Arc::new(Line {
            target: target.clone(),
            quality: watch::Sender::default(),
            resets: watch::Sender::default(),
            cut_after: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&line)));
        Ok(Self { port, line, task })
    }

    /// Where a client shall connect to.
    #[must_use]
    pub fn url(&self) -> BrokerUrl {
        BrokerUrl::mqtts(&self.line.target.host, self.port)
    }

    /// Makes the line so, for the connections that there are and for those to come.
    pub fn set(&self, quality: Quality) {
        self.line.quality.send_replace(quality);
    }

    /// Resets all connections that there are now (RST, in both directions).
    pub fn reset(&self) {
        self.line.resets.send_modify(|resets| *resets += 1);
    }

    /// Resets the next connection, once it has carried exactly this many bytes to the client.
    pub fn cut_after(&self, bytes: u64) {
        self.line.cut_after.store(bytes, Ordering::Relaxed);
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.line.connections.load(Ordering::Relaxed)
    }

    /// Bytes that have arrived so far, of all connections and both directions.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.line.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts until aborted; the connections end with it.
async fn accept(listener: TcpListener, line: Arc<Line>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(connections.spawn(Arc::clone(&line).connection(client))),
                // No file descriptor is free: wait for connections to close.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

impl Line {
    async fn connection(self: Arc<Self>, mut client: TcpStream) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let cut_after = self.cut_after.swap(0, Ordering::Relaxed);
        let (mut resets, mut quality) = (self.resets.subscribe(), self.quality.subscribe());
        let reached = TcpStream::connect((self.target.host.as_str(), self.target.port)).await;
        // The target is down: the client sees a reset, as from a closed port.
        let Ok(mut target) = reached else { return drop(client.set_zero_linger()) };
        let _ = (client.set_nodelay(true), target.set_nodelay(true));
        let broken = {
            let ((from_client, to_client), (from_target, to_target)) = (client.split(), target.split());
            let budget = (cut_after > 0).then_some(cut_after);
            let there = Direction::new(&self, 2 * number, None);
            let back = Direction::new(&self, 2 * number + 1, budget);
            tokio::select! {
                ended = async { tokio::try_join!(there.pass(from_client, to_target), back.pass(from_target, to_client)) } => {
                    // A silent line also holds back the end of the connection.
                    let _ = quality.wait_for(|quality| !quality.silent).await;
                    ended.is_err()
                }
                _ = resets.changed() => true,
            }
        };
        if broken {
            let _ = (client.set_zero_linger(), target.set_zero_linger());
        }
    }
}

#[cfg(test)]
mod tests;
