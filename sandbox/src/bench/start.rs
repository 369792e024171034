//! Starts a contender as a separate process, and detects when it is subscribed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::BenchError;
use super::case::{Case, Contender, Incident, Load, Members};
use super::endpoint::Endpoint;
use super::peers::Program;
use super::publisher::{Publications, publish};
use crate::certs::PkiFiles;
use crate::world::{BridgeProcess, FUNCTION, World};

/// How long a start, a subscription and an end may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a log.
const BETWEEN: Duration = Duration::from_millis(5);
/// What each session, and each peer, says when it is ready.
const SUBSCRIBED: &str = "subscribed";

/// What contenders are started with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) world: &'a World,
    pub(super) endpoint: &'a Endpoint,
    /// The bridge's binary.
    pub(super) bridge: &'a Path,
    pub(super) peer: Option<&'a Program>,
    /// How long nothing new may come before the rest is lost.
    pub(super) patience: Duration,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url())
    }
}

impl Start<'_> {
    /// A process that is subscribed, or ready to invoke, and its id.
    pub(super) async fn run(self, case: &Case) -> Result<(BridgeProcess, u32), BenchError> {
        let mut process = match case.contender {
            Contender::Lean => self.bridge("lean", case, None)?,
            Contender::Sdk => self.bridge("sdk", case, None)?,
            Contender::Raw => self.peer(rust("raw")?, case, 1)?,
            Contender::SdkLoop => self.peer(rust("sdk-loop")?, case, case.concurrency)?,
            Contender::Python(calls) | Contender::Node(calls) => {
                let program = self.peer.ok_or(BenchError::Late("a program"))?;
                self.peer(program.command(), case, calls)?
            }
        };
        let sessions = if let Members::Sessions(sessions) = case.members { sessions as usize } else { 1 };
        subscribed(&mut process, sessions).await.map(|id| (process, id))
    }

    /// Publishes the messages of this case.
    pub(super) async fn publish(self, case: &Case) -> Result<(), BenchError> {
        let withheld = u64::from(case.incident == Incident::Withhold);
        let rate = if let Load::Rate(rate) = case.load { Some(rate) } else { None };
        let what =
            Publications { messages: case.messages - withheld, size: case.payload, rate, clients: case.publishers };
        publish(self.world.url(), &self.world.files, what).await
    }

    /// One bridge of several that share the subscription, which it does not have yet.
    pub(super) fn member(self, case: &Case, number: u32) -> Result<BridgeProcess, BenchError> {
        self.bridge("lean", case, Some(number))
    }

    fn bridge(self, client: &str, case: &Case, member: Option<u32>) -> Result<BridgeProcess, BenchError> {
        let mut variables =
            vec![("AWS_ENDPOINT_URL", self.endpoint.url()), ("BRIDGE_LAMBDA_CLIENT", client.to_owned())];
        if case.https {
            variables.push(("AWS_CA_BUNDLE", self.world.files.ca.display().to_string()));
        }
        variables.extend(member.map(|number| ("BRIDGE_MQTT_CLIENT_ID", format!("bench-{number}"))));
        Ok(self.world.spawn_binary(self.bridge, variables)?)
    }

    fn peer(self, mut command: Command, case: &Case, calls: u32) -> Result<BridgeProcess, BenchError> {
        let PkiFiles { ca, bridge, .. } = &self.world.files;
        command
            .envs([("PEER_CA", ca), ("PEER_CERT", &bridge.cert), ("PEER_KEY", &bridge.key)])
            .env("PEER_HOST", &self.world.url().host)
            .env("PEER_PORT", self.world.url().port.to_string())
            .envs([("PEER_CLIENT_ID", "bench"), ("PEER_TOPIC", "sensor/data"), ("PEER_FUNCTION", FUNCTION)])
            .envs([("PEER_THREADS", calls.to_string()), ("PEER_MESSAGES", case.messages.to_string())])
            .env("PEER_PATIENCE_MS", self.patience.as_millis().to_string())
            .envs([
                ("AWS_ENDPOINT_URL", self.endpoint.url().as_str()),
                ("AWS_REGION", "us-east-1"),
                ("AWS_DEFAULT_REGION", "us-east-1"),
            ])
            .envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(BridgeProcess::start(&mut command)?)
    }
}

/// Its id, once so many sessions of it are subscribed, or it is ready to invoke.
pub(super) async fn subscribed(process: &mut BridgeProcess, sessions: usize) -> Result<u32, BenchError> {
    let waiting = async {
        while process.count(SUBSCRIBED) < sessions {
            sleep(BETWEEN).await;
        }
    };
    if timeout(PATIENCE, waiting).await.is_err() {
        process.log().iter().for_each(|line| eprintln!("{line}"));
        return Err(BenchError::Late("a subscription"));
    }
    process.id().ok_or(BenchError::Late("a process"))
}

/// A peer in this program.
fn rust(peer: &str) -> Result<Command, BenchError> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench-peer", peer]);
    Ok(command)
}

/// SIGTERM, and waits for the end.
pub(super) async fn ended(mut process: BridgeProcess) -> Result<(), BenchError> {
    process.signal("TERM").await?;
    process.exited(PATIENCE).await?.map(drop).ok_or(BenchError::Late("the end of a process"))
}
