//! Plays one scenario for one client: endpoint, bridge and broker are processes of their own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::figures::Figures;
use super::stub::Seen;
use super::{BenchError, cpu, publisher};
use crate::world::{BridgeProcess, World};

const PATIENCE: Duration = Duration::from_secs(20);
/// How long a backlog may take to drain, and the broker to be quiet after it.
const DRAIN: Duration = Duration::from_mins(10);
const QUIET: Duration = Duration::from_millis(300);

/// What is played.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) messages: u64,
    /// Messages a second; `None` for a backlog that the bridge finds when it starts.
    pub(super) rate: Option<f64>,
}

/// The endpoint's process; it ends with this.
pub(super) struct Stub {
    _child: Child,
    port: u16,
}

impl Stub {
    pub(super) async fn start(latency: Duration) -> Result<Self, BenchError> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench-stub", "--latency", &humantime::format_duration(latency).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or(BenchError::Late("the endpoint"))?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let port = line.and_then(|line| line.parse().ok()).ok_or(BenchError::Late("the endpoint"))?;
        Ok(Self { _child: child, port })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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

    /// What has come once there are so many messages.
    async fn reached(&self, messages: u64) -> Result<Seen, BenchError> {
        let begun = Instant::now();
        while begun.elapsed() < DRAIN {
            let seen = self.ask("/seen").await?;
            if seen.messages >= messages {
                return Ok(seen);
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err(BenchError::Late("the last message"))
    }
}

/// One client for Lambda in one scenario.
pub(super) async fn play(
    world: &World,
    stub: &Stub,
    binary: &Path,
    client: &'static str,
    scenario: Scenario,
) -> Result<Figures, BenchError> {
    // Opens the session, and shows what a start costs.
    let (bridge, id) = started(world, stub, binary, client).await?;
    let (mut before, mut running) = (cpu::time_of(id)?, Some(bridge));
    let name = format!("bench-{client}-{}", fastrand::u32(..));
    if let Some(rate) = scenario.rate {
        stub.ask("/reset").await?;
        publisher::publish(world, &name, scenario.messages, Some(rate)).await?;
    } else {
        if let Some(bridge) = running.take() {
            ended(bridge).await?;
        }
        publisher::publish(world, &name, scenario.messages, None).await?;
        stub.ask("/reset").await?;
    }
    let (bridge, id) = match running {
        Some(bridge) => (bridge, id),
        None => started(world, stub, binary, client).await?,
    };
    stub.reached(scenario.messages).await?;
    let after = cpu::time_of(id)?;
    // A copy would still come.
    sleep(QUIET).await;
    let (seen, usage) = (stub.ask("/seen").await?, bridge.usage()?);
    before = before.min(after);
    ended(bridge).await?;
    Ok(figures(client, scenario.messages, &seen, after.saturating_sub(before), usage))
}

async fn started(world: &World, stub: &Stub, binary: &Path, client: &str) -> Result<(BridgeProcess, u32), BenchError> {
    let variables = [("AWS_ENDPOINT_URL", stub.url()), ("BRIDGE_LAMBDA_CLIENT", client.to_owned())];
    let mut bridge = world.spawn_binary(binary, variables)?;
    if !bridge.logged("subscribed", PATIENCE).await {
        bridge.log().iter().for_each(|line| eprintln!("{line}"));
        return Err(BenchError::Late("a subscription"));
    }
    let id = bridge.id().ok_or(BenchError::Late("a bridge"))?;
    Ok((bridge, id))
}

async fn ended(mut bridge: BridgeProcess) -> Result<(), BenchError> {
    bridge.signal("TERM").await?;
    bridge.exited(PATIENCE).await?.map(drop).ok_or(BenchError::Late("the end of the bridge"))
}

#[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
fn figures(client: &'static str, messages: u64, seen: &Seen, cpu: Duration, usage: crate::world::Usage) -> Figures {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let took = Duration::from_micros(seen.took.max(1)).as_secs_f64();
    Figures {
        client,
        messages,
        invocations: seen.invocations,
        duplicates: seen.messages.saturating_sub(messages),
        per_second: seen.messages as f64 / took,
        cpu_us_per_message: cpu.as_secs_f64() * 1e6 / messages.max(1) as f64,
        resident_mib: mib(usage.resident),
        peak_mib: mib(usage.peak),
        p50_us: seen.p50,
        p90_us: seen.p90,
        p99_us: seen.p99,
    }
}
