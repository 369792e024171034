//! The endpoint's process, seen from outside: its address, and the number of requests that it got.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::BenchError;
use super::quiet::{Quiet, Wait};
use super::stub::Seen;
use crate::certs::IdentityFiles;

/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(50);
/// Without anything new for so long, nothing more comes.
const QUIET: Duration = Duration::from_millis(500);

/// The endpoint's process; it ends with this.
pub(super) struct Endpoint {
    _child: Child,
    port: u16,
    is_https: bool,
}

impl Endpoint {
    /// Starts one that takes so long for each invocation; with a certificate it speaks TLS.
    pub(super) async fn start(latency: Duration, identity: Option<&IdentityFiles>) -> Result<Self, BenchError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench-stub", "--latency", &humantime::format_duration(latency).to_string()]);
        if let Some(IdentityFiles { cert, key }) = identity {
            command.arg("--cert-file").arg(cert).arg("--key-file").arg(key);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().ok_or(BenchError::Late("the endpoint"))?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let port = line.and_then(|line| line.parse().ok()).ok_or(BenchError::Late("the endpoint"))?;
        Ok(Self { _child: child, port, is_https: identity.is_some() })
    }

    pub(super) fn url(&self) -> String {
        // The host name that its certificate names.
        if self.is_https {
            format!("https://localhost:{}", self.port)
        } else {
            format!("http://127.0.0.1:{}", self.port)
        }
    }

    /// Sets its counters to zero.
    pub(super) async fn reset(&self) -> Result<(), BenchError> {
        self.ask("/reset").await.map(drop)
    }

    pub(super) async fn seen(&self) -> Result<Seen, BenchError> {
        self.ask("/seen").await
    }

    async fn ask(&self, what: &str) -> Result<Seen, BenchError> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(format!("POST {what} HTTP/1.1\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok(serde_json::from_str(body)?)
    }

    /// Returns once there are so many different messages, or nothing new has come for as long as this: then the rest is
    /// lost.
    pub(super) async fn settled(&self, messages: u64, patience: Duration) -> Result<(), BenchError> {
        let mut quiet = Quiet::new(messages, patience, Instant::now());
        while quiet.looked(self.seen().await?.different, Instant::now()) == Wait::More {
            sleep(BETWEEN).await;
        }
        Ok(())
    }

    /// What has come once nothing more comes: a copy would still.
    pub(super) async fn quiet(&self) -> Result<Seen, BenchError> {
        let mut before = self.seen().await?;
        loop {
            sleep(QUIET).await;
            let now = self.seen().await?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
    }
}
