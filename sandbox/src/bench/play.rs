//! Runs one case: broker, endpoint and contender are separate processes, and only the contender's CPU time counts.

mod world;

use std::path::PathBuf;
use std::time::Duration;

use super::case::{Case, Contender, Incident, Load, Members};
use super::choice::Choice;
use super::endpoint::Endpoint;
use super::figures::{Figures, Spent};
use super::peers::Program;
use super::queued::{Played, queue};
use super::received::{RECEIVED, parse};
use super::start::{Start, ended};
use super::stub::Seen;
use super::{BenchError, cpu, held, shared};
use crate::world::BridgeProcess;

/// How long a subscriber that invokes nothing may take, beyond what it waits for lost messages.
const SUBSCRIBER: Duration = Duration::from_mins(2);

/// What cases are played with.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// The bridge's binary.
    pub(super) bridge: PathBuf,
    pub(super) broker: Choice,
    /// How long nothing new may come before what is missing is lost.
    pub(super) patience: Duration,
}

impl Stage {
    /// Plays it. Messages that do not come are lost, and no error.
    pub(super) async fn play(&self, case: &Case) -> Result<Figures, BenchError> {
        let program = Program::of(case.contender).await?;
        let admin = held::free_port()?;
        let world = world::of(case, &self.broker, admin).await?;
        let endpoint = Endpoint::start(case.latency, case.https.then_some(&world.files.broker)).await?;
        let start = Start {
            world: &world,
            endpoint: &endpoint,
            bridge: &self.bridge,
            peer: program.as_ref(),
            patience: self.patience,
        };
        let played = match *case {
            Case { members: Members::Bridges(members), .. } => shared::play(case, start, members).await?,
            Case { contender: Contender::SdkLoop, .. } => flowing(case, start, false).await?,
            Case { incident: Incident::Hold, .. } => held::play(case, start, admin).await?,
            Case { incident: Incident::Kill, .. } => killed(case, start).await?,
            Case { load: Load::Queued, .. } => backlog(case, start).await?,
            Case { load: Load::Rate(_) | Load::Flood, .. } => flowing(case, start, true).await?,
        };
        let seen = match played.received {
            Some(received) => received,
            None => endpoint.quiet().await?,
        };
        let name = world.broker.as_ref().map_or("a broker", |broker| broker.name()).to_owned();
        for process in played.processes {
            ended(process).await?;
        }
        Ok(Figures::of(case, &seen, played.spent, played.weighed, name))
    }
}

/// Runs while messages are published, or while it invokes by itself.
async fn flowing(case: &Case, start: Start<'_>, publishes: bool) -> Result<Played, BenchError> {
    let (process, id) = start.run(case).await?;
    let (rest, before) = (process.usage()?.resident, cpu::time_of(id)?);
    start.endpoint.reset().await?;
    if publishes {
        start.publish(case).await?;
    }
    finished(case, start, process, rest, before).await
}

/// Finds the messages at its start. What a start costs without them is known from one before.
async fn backlog(case: &Case, start: Start<'_>) -> Result<Played, BenchError> {
    let (rest, before) = queue(case, start).await?;
    let (process, _) = start.run(case).await?;
    finished(case, start, process, rest, before).await
}

/// Killed half way through a backlog, and started again.
async fn killed(case: &Case, start: Start<'_>) -> Result<Played, BenchError> {
    let (rest, _) = queue(case, start).await?;
    let (mut process, _) = start.run(case).await?;
    start.endpoint.settled(case.messages / 2, start.patience).await?;
    process.kill().await?;
    let (process, _) = start.run(case).await?;
    finished(case, start, process, rest, Duration::ZERO).await
}

/// Once nothing more comes: what it has spent since it had spent as much as `before`.
async fn finished(
    case: &Case,
    start: Start<'_>,
    mut process: BridgeProcess,
    rest: u64,
    before: Duration,
) -> Result<Played, BenchError> {
    let mut received = None;
    if case.contender.invokes() {
        start.endpoint.settled(case.messages, start.patience).await?;
    } else {
        received = Some(heard(&mut process, SUBSCRIBER + start.patience).await?);
    }
    let id = process.id().ok_or(BenchError::Late("a process"))?;
    let (usage, cpu) = (process.usage()?, cpu::time_of(id)?.saturating_sub(before));
    Ok(Played { processes: vec![process], spent: Spent { cpu, rest, usage }, received, weighed: None })
}

/// What a subscriber says that it has received.
async fn heard(process: &mut BridgeProcess, within: Duration) -> Result<Seen, BenchError> {
    process.logged(RECEIVED, within).await;
    process.log().iter().find_map(|line| parse(line)).ok_or(BenchError::Late("the subscriber's count"))
}
