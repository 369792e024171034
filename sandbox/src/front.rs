//! An endpoint with TLS between the bridge and AWS that can fail, move or limit its connections, and a proxy that
//! requires a password. Passes bytes on without reading them.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// What a front does with a connection before it passes bytes on.
#[derive(Clone)]
enum Kind {
    /// Ends TLS; plain bytes go to this address.
    Tls(TlsAcceptor, SocketAddr),
    /// Takes `CONNECT` and wants this in `Proxy-Authorization`.
    Proxy(String),
}

/// What becomes of the connections that there are.
#[derive(Debug, Clone, Copy)]
enum Fate {
    BlackHole,
    Moved,
}

/// What a front does with a connection beyond those that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// It resets it.
    Reset,
    /// It says nothing until another has ended.
    Silence,
}

/// What all connections of a front share.
#[derive(Clone)]
struct Shared {
    kind: Kind,
    seen: Arc<Mutex<Vec<String>>>,
    fate: watch::Sender<Option<Fate>>,
    places: Arc<Semaphore>,
    beyond: Beyond,
    held: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
}

/// A running front. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Front {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    fate: watch::Sender<Option<Fate>>,
    held: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Front {
    /// An endpoint with TLS before a plain one. What it offers by ALPN stands in `tls`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn tls(tls: ServerConfig, target: SocketAddr) -> io::Result<Self> {
        Self::start(Kind::Tls(Arc::new(tls).into(), target), Semaphore::MAX_PERMITS, Beyond::Silence).await
    }

    /// The same, for so many connections at once.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn tls_for(most: usize, beyond: Beyond, tls: ServerConfig, target: SocketAddr) -> io::Result<Self> {
        Self::start(Kind::Tls(Arc::new(tls).into(), target), most, beyond).await
    }

    /// A proxy for `CONNECT` that lets this user through, and answers 407 to all others.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn proxy(user: &str, password: &str) -> io::Result<Self> {
        let login = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        Self::start(Kind::Proxy(login), Semaphore::MAX_PERMITS, Beyond::Silence).await
    }

    async fn start(kind: Kind, most: usize, beyond: Beyond) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (seen, fate) = (Arc::default(), watch::Sender::new(None));
        let places = Arc::new(Semaphore::new(most));
        let (held, waiting) = (watch::Sender::new(false), Arc::default());
        let shared = Shared {
            kind,
            seen: Arc::clone(&seen),
            fate: fate.clone(),
            places,
            beyond,
            held: held.clone(),
            waiting: Arc::clone(&waiting),
        };
        Ok(Self { port, seen, fate, held, waiting, task: tokio::spawn(accept(listener, shared)) })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What each connection asked for so far: the protocol that ALPN chose, or the target of `CONNECT`; `reset` for one
    /// that had no place.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether new connections wait for their TLS handshake from now on.
    pub fn hold_handshakes(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// How many wait for it.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// From now on nothing passes on the connections that there are, and nobody is told. New ones are fine.
    pub fn black_hole(&self) {
        self.fate.send_replace(Some(Fate::BlackHole));
    }

    /// From now on somebody else answers on the connections that there are, who knows no path: 404 and a page of HTML.
    /// New ones are fine.
    pub fn moved(&self) {
        self.fate.send_replace(Some(Fate::Moved));
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                connections.spawn(seated(stream, shared.clone()));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Serves a connection once it has a place.
async fn seated(stream: TcpStream, shared: Shared) {
    let fate = shared.fate.subscribe();
    let place = match shared.beyond {
        Beyond::Reset => shared.places.try_acquire().ok(),
        Beyond::Silence => shared.places.acquire().await.ok(),
    };
    if place.is_some() {
        // The peers report how their connection ended.
        drop(pass(stream, &shared, fate).await);
    } else {
        shared.see("reset");
        drop(stream.set_zero_linger());
    }
}

impl Shared {
    fn see(&self, what: &str) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
    }
}

async fn pass(mut stream: TcpStream, shared: &Shared, fate: watch::Receiver<Option<Fate>>) -> io::Result<()> {
    match &shared.kind {
        Kind::Tls(tls, target) => {
            shared.waiting.fetch_add(1, Ordering::Relaxed);
            // Fails only if the front is gone, which outlives this task.
            let _ = shared.held.subscribe().wait_for(|held| !held).await;
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            let stream = tls.accept(stream).await?;
            let protocol = stream.get_ref().1.alpn_protocol().unwrap_or(b"none");
            shared.see(&String::from_utf8_lossy(protocol));
            join(stream, TcpStream::connect(target).await?, fate).await
        }
        Kind::Proxy(login) => {
            let head = head(&mut stream).await?;
            let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or("nothing");
            shared.see(target);
            if !head.lines().any(|line| line.strip_prefix("Proxy-Authorization: ") == Some(login)) {
                return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
            }
            let target = TcpStream::connect(target).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            join(stream, target, fate).await
        }
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Passes bytes on, until the fate of the connections changes.
async fn join<S>(mut one: S, mut other: TcpStream, mut fate: watch::Receiver<Option<Fate>>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        ended = copy_bidirectional(&mut one, &mut other) => return ended.map(drop),
        Ok(()) = fate.changed() => {}
    }
    let fate = *fate.borrow();
    match fate {
        Some(Fate::Moved) => answer_pages(one).await,
        // The sockets stay open, and nobody reads them.
        _ => std::future::pending().await,
    }
}

async fn answer_pages(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    loop {
        let head = head(&mut stream).await?.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        stream.read_exact(&mut vec![0; length]).await?;
        let page = "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
        stream.write_all(page.as_bytes()).await?;
    }
}
