//! A window that fills up, because the endpoint answers nothing: what the bridge holds then, by what it says that it holds.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::BenchError;
use super::case::Case;
use super::cpu;
use super::figures::Spent;
use super::queued::{Played, queue};
use super::start::Start;

/// The metrics that say what is held.
const MESSAGES: &str = "mqtt_lambda_bridge_outstanding{";
const BYTES: &str = "mqtt_lambda_bridge_outstanding_bytes{";

/// How long a window may take to fill.
const FULL_WITHIN: Duration = Duration::from_mins(2);

/// A port that nobody listens on now.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Fills the window of a bridge with this admin port, and weighs it.
pub(super) async fn play(case: &Case, start: Start<'_>, admin: u16) -> Result<Played, BenchError> {
    let (rest, _) = queue(case, start).await?;
    let (mut process, id) = start.run(case).await?;
    #[allow(clippy::cast_precision_loss, reason = "a window has 16 bits")]
    let all = case.messages as f64;
    until(async || Ok(metric(admin, MESSAGES).await?.is_some_and(|held| held >= all))).await?;
    let bytes = metric(admin, BYTES).await?.unwrap_or(f64::NAN);
    let usage = process.usage()?;
    let spent = Spent { cpu: cpu::time_of(id)?, rest, usage, took: None };
    #[allow(clippy::cast_precision_loss, reason = "memory of one process")]
    let grown = usage.resident.saturating_sub(rest) as f64;
    // It would wait for answers that never come.
    process.kill().await?;
    Ok((Vec::new(), spent, Some(grown / bytes)))
}

async fn metric(admin: u16, name: &str) -> Result<Option<f64>, BenchError> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, admin)).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1:{admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let line = text.lines().find(|line| line.starts_with(name));
    Ok(line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()))
}

/// Asks again until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> Result<bool, BenchError>) -> Result<(), BenchError> {
    let begun = Instant::now();
    while begun.elapsed() < FULL_WITHIN {
        if is_so().await? {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(BenchError::Late("a full window"))
}
