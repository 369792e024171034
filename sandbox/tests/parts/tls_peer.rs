//! The other end of a TLS connection, with the settings of a correct, old or misconfigured broker. After the handshake
//! it speaks just enough MQTT for a subscription.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bridge::config::Protocol;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::pki::Made;

/// A peer that runs until it is dropped.
pub struct Peer {
    pub port: u16,
    /// Connections that have spoken MQTT.
    pub greeted: Arc<AtomicUsize>,
    _task: Option<AbortOnDrop>,
    _child: Option<Child>,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The settings of a rustls server.
#[derive(Clone)]
pub struct Server {
    pub made: Made,
    pub versions: &'static [&'static SupportedProtocolVersion],
    pub provider: CryptoProvider,
    /// The authority of client certificates; `None` asks for no certificate.
    pub clients: Option<String>,
    pub protocol: Protocol,
}

impl Server {
    pub fn new(made: Made) -> Self {
        let provider = aws_lc_rs::default_provider();
        Self { made, versions: rustls::ALL_VERSIONS, provider, clients: None, protocol: Protocol::V5 }
    }

    pub fn config(self) -> ServerConfig {
        let provider = Arc::new(self.provider.clone());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(self.versions).unwrap();
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = CertificateDer::pem_slice_iter(self.made.chain.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.made.key.as_bytes()).unwrap();
        // Without checks, because rustls refuses to present the worst of these certificates.
        let key = self.provider.key_provider.load_private_key(key).unwrap();
        builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))))
    }

    pub async fn start(self) -> Peer {
        let protocol = self.protocol;
        let acceptor = TlsAcceptor::from(Arc::new(self.config()));
        serve(move |stream, greeted| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let _ = speak_mqtt(stream, protocol, &greeted).await;
            }
        })
        .await
    }
}

/// `openssl s_server`, for protocols and suites that rustls does not support.
pub async fn openssl(program: &Path, directory: &Path, made: &Made, arguments: &[&str]) -> Peer {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let name = |kind: &str| directory.join(format!("server-{port}.{kind}"));
    std::fs::write(name("crt"), &made.chain).unwrap();
    std::fs::write(name("key"), &made.key).unwrap();
    let mut child = Command::new(program)
        .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-cert"])
        .arg(name("crt"))
        .arg("-cert_chain")
        .arg(name("crt"))
        .arg("-key")
        .arg(name("key"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    loop {
        let line = tokio::time::timeout(super::common::PATIENCE, lines.next_line()).await.unwrap().unwrap();
        if line.unwrap().contains("ACCEPT") {
            break;
        }
    }
    // Its output is read, so that the process never blocks on a full pipe.
    let task = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Peer { port, greeted: Arc::default(), _task: Some(AbortOnDrop(task)), _child: Some(child) }
}

/// A port that answers a handshake with these bytes, `pause` between them, and then waits.
pub async fn plain(answer: &'static [u8], pause: Duration) -> Peer {
    serve(move |mut stream, _| async move {
        let mut hello = [0; 64];
        let _ = stream.read(&mut hello).await;
        if pause.is_zero() {
            let _ = stream.write_all(answer).await;
        } else {
            for byte in answer {
                let _ = stream.write_all(&[*byte]).await;
                tokio::time::sleep(pause).await;
            }
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await
}

/// A port that closes as soon as it is spoken to.
pub async fn closing() -> Peer {
    serve(|mut stream, _| async move {
        let mut hello = [0; 4096];
        let _ = stream.read(&mut hello).await;
    })
    .await
}

/// A broker that finishes the handshake and then answers CONNECT with these bytes.
pub async fn behind_tls(server: Server, answer: &'static [u8]) -> Peer {
    let acceptor = TlsAcceptor::from(Arc::new(server.config()));
    serve(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut connect = [0; 1024];
            let _ = stream.read(&mut connect).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.flush().await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    })
    .await
}

async fn serve<F>(each: impl Fn(TcpStream, Arc<AtomicUsize>) -> F + Send + 'static) -> Peer
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeted = Arc::new(AtomicUsize::new(0));
    let counted = greeted.clone();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream, counted.clone()));
        }
    });
    Peer { port, greeted, _task: Some(AbortOnDrop(task)), _child: None }
}

/// CONNACK, SUBACK and PINGRESP, and nothing else.
async fn speak_mqtt(
    mut stream: tokio_rustls::server::TlsStream<TcpStream>,
    protocol: Protocol,
    greeted: &AtomicUsize,
) -> std::io::Result<()> {
    loop {
        let (kind, body) = packet(&mut stream).await?;
        let answer: Vec<u8> = match (kind, protocol) {
            (0x10, Protocol::V5) => vec![0x20, 3, 0, 0, 0],
            (0x10, Protocol::V311) => vec![0x20, 2, 0, 0],
            (0x82, Protocol::V5) => vec![0x90, 4, body[0], body[1], 0, 1],
            (0x82, Protocol::V311) => vec![0x90, 3, body[0], body[1], 1],
            (0xc0, _) => vec![0xd0, 0],
            _ => return Ok(()),
        };
        if kind == 0x10 {
            greeted.fetch_add(1, Ordering::SeqCst);
        }
        stream.write_all(&answer).await?;
        stream.flush().await?;
    }
}

async fn packet(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = usize::from(stream.read_u8().await?);
        length |= (byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}
