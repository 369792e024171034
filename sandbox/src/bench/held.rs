//! Fills the window with an endpoint that never answers, and measures how much the bridge holds, by its own metrics.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::BenchError;
use super::case::Case;
use super::cpu;
use super::figures::Spent;
use super::queued::{Played, queue};
use super::quiet::{Quiet, Wait};
use super::start::Start;
use super::stub::Seen;

/// The metrics that say what is held.
const MESSAGES: &str = "mqtt_lambda_bridge_outstanding{";
const BYTES: &str = "mqtt_lambda_bridge_outstanding_bytes{";

/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(100);

/// A port that nobody listens on now.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Fills the window of a bridge with this admin port, and weighs it.
pub(super) async fn play(case: &Case, start: Start<'_>, admin: u16) -> Result<Played, BenchError> {
    let (rest, _) = queue(case, start).await?;
    let (mut process, id) = start.run(case).await?;
    let mut quiet = Quiet::new(case.messages, start.patience, Instant::now());
    let held = loop {
        let held = metric(admin, MESSAGES).await?.unwrap_or_default();
        if quiet.looked(held, Instant::now()) != Wait::More {
            break held;
        }
        sleep(BETWEEN).await;
    };
    let bytes = metric(admin, BYTES).await?.unwrap_or_default();
    let usage = process.usage()?;
    let spent = Spent { cpu: cpu::time_of(id)?, rest, usage };
    #[allow(clippy::cast_precision_loss, reason = "memory of one process")]
    let weighed = usage.resident.saturating_sub(rest) as f64 / bytes as f64;
    // Killed, because a drain would wait for answers that never come.
    process.kill().await?;
    // Each message is held once, and no invocation completes.
    let received = Seen { messages: held, different: held, ..Seen::default() };
    Ok(Played { processes: Vec::new(), spent, received: Some(received), weighed: Some(weighed) })
}

async fn metric(admin: u16, name: &str) -> Result<Option<u64>, BenchError> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, admin)).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1:{admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let line = text.lines().find(|line| line.starts_with(name));
    Ok(line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()))
}
