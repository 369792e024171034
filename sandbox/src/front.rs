//! What stands between the bridge and AWS: an endpoint with TLS that can go dead under its connections, and a proxy that
//! wants a password. Passes bytes on and reads no request behind its own.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
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

/// A running front. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Front {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    dead: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Front {
    /// An endpoint with TLS before a plain one. What it offers by ALPN stands in `tls`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn tls(tls: ServerConfig, target: SocketAddr) -> io::Result<Self> {
        Self::start(Kind::Tls(Arc::new(tls).into(), target)).await
    }

    /// A proxy for `CONNECT` that lets this user through, and answers 407 to all others.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn proxy(user: &str, password: &str) -> io::Result<Self> {
        let login = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        Self::start(Kind::Proxy(login)).await
    }

    async fn start(kind: Kind) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (seen, dead) = (Arc::default(), watch::Sender::new(0));
        let task = tokio::spawn(accept(listener, kind, Arc::clone(&seen), dead.clone()));
        Ok(Self { port, seen, dead, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What each connection asked for so far: the protocol that ALPN chose, or the target of `CONNECT`.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on nothing passes on the connections that there are, and nobody is told. New ones are fine.
    pub fn black_hole(&self) {
        self.dead.send_modify(|times| *times += 1);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, kind: Kind, seen: Arc<Mutex<Vec<String>>>, dead: watch::Sender<u64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                let mut dead = dead.subscribe();
                let (kind, seen) = (kind.clone(), Arc::clone(&seen));
                connections.spawn(async move {
                    let mut line = std::pin::pin!(pass(stream, kind, seen));
                    tokio::select! {
                        _ = &mut line => {}
                        Ok(()) = dead.changed() => {
                            // The sockets stay open, and nobody reads them.
                            std::future::pending::<()>().await;
                        }
                    }
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn pass(stream: TcpStream, kind: Kind, seen: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    let see = |what: String| seen.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    match kind {
        Kind::Tls(tls, target) => {
            let stream = tls.accept(stream).await?;
            let protocol = stream.get_ref().1.alpn_protocol().unwrap_or(b"none");
            see(String::from_utf8_lossy(protocol).into_owned());
            join(stream, TcpStream::connect(target).await?).await
        }
        Kind::Proxy(login) => {
            let mut stream = stream;
            let head = head(&mut stream).await?;
            let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or("nothing");
            see(target.to_owned());
            if !head.lines().any(|line| line.strip_prefix("Proxy-Authorization: ") == Some(&login)) {
                return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
            }
            let target = TcpStream::connect(target).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            join(stream, target).await
        }
    }
}

async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn join(mut one: impl AsyncRead + AsyncWrite + Unpin, mut other: TcpStream) -> io::Result<()> {
    copy_bidirectional(&mut one, &mut other).await.map(drop)
}
