//! Plays one case: broker, endpoint and contender are processes of their own, and only the contender's time counts.

use std::path::Path;
use std::time::Duration;

use super::case::{Case, Contender, Incident};
use super::endpoint::Endpoint;
use super::figures::{Figures, Spent};
use super::peers::Program;
use super::queued::{Played, queue};
use super::start::{Start, ended};
use super::{BenchError, cpu, held, shared};
use crate::broker::BrokerOptions;
use crate::lambda::{Answer, Function};
use crate::world::{BridgeProcess, BrokerKind, FUNCTION, World};

/// How long a subscriber that invokes nothing may take.
const RECEIVED: Duration = Duration::from_mins(2);
/// More than a window of MQTT can hold.
const QUEUE: usize = 1_000_000;

/// Plays it with this binary of the bridge.
pub(super) async fn play(case: &Case, bridge: &Path, broker: BrokerKind) -> Result<Figures, BenchError> {
    let program = Program::of(case.contender).await?;
    let admin = held::free_port()?;
    let world = world(case, broker, admin).await?;
    let endpoint = Endpoint::start(case.latency, case.https.then_some(&world.files.broker)).await?;
    let start = Start { world: &world, endpoint: &endpoint, bridge, peer: program.as_ref() };
    let (processes, spent, weighed) = match *case {
        Case { shared_by: Some(members), .. } => shared::play(case, start, members).await?,
        Case { contender: Contender::SdkLoop, .. } => flowing(case, start, false).await?,
        Case { incident: Incident::Hold, .. } => held::play(case, start, admin).await?,
        Case { incident: Incident::Kill, .. } => killed(case, start).await?,
        Case { rate: Some(_), .. } => flowing(case, start, true).await?,
        Case { rate: None, .. } => backlog(case, start).await?,
    };
    let seen = endpoint.quiet().await?;
    let name = world.broker.as_ref().map_or("a broker", |broker| broker.name()).to_owned();
    for process in processes {
        ended(process).await?;
    }
    Ok(Figures::of(case, &seen, spent, weighed, name))
}

/// Runs while messages are published, or while it invokes by itself.
async fn flowing(case: &Case, start: Start<'_>, publishes: bool) -> Result<Played, BenchError> {
    let (mut process, id) = start.run(case).await?;
    let (rest, before) = (process.usage()?.resident, cpu::time_of(id)?);
    start.endpoint.reset().await?;
    if publishes {
        start.publish(case).await?;
    }
    let took = all_there(case, start, &mut process).await?;
    let usage = process.usage()?;
    Ok((vec![process], Spent { cpu: cpu::time_of(id)?.saturating_sub(before), rest, usage, took }, None))
}

/// Finds the messages at its start. What a start costs without them is known from one before.
async fn backlog(case: &Case, start: Start<'_>) -> Result<Played, BenchError> {
    let (rest, before) = queue(case, start).await?;
    let (mut process, id) = start.run(case).await?;
    let took = all_there(case, start, &mut process).await?;
    let usage = process.usage()?;
    Ok((vec![process], Spent { cpu: cpu::time_of(id)?.saturating_sub(before), rest, usage, took }, None))
}

/// Killed half way through a backlog, and started again.
async fn killed(case: &Case, start: Start<'_>) -> Result<Played, BenchError> {
    let (rest, _) = queue(case, start).await?;
    let (mut process, _) = start.run(case).await?;
    start.endpoint.reached(case.messages / 2).await?;
    process.kill().await?;
    let (process, id) = start.run(case).await?;
    start.endpoint.reached(case.messages).await?;
    let usage = process.usage()?;
    Ok((vec![process], Spent { cpu: cpu::time_of(id)?, rest, usage, took: None }, None))
}

/// Waits for the last message; the time that all took, where the endpoint does not see them.
async fn all_there(case: &Case, start: Start<'_>, process: &mut BridgeProcess) -> Result<Option<Duration>, BenchError> {
    if case.contender.invokes() {
        start.endpoint.reached(case.messages).await?;
        return Ok(None);
    }
    received(process).await.map(Some)
}

/// What a subscriber says that all messages took.
async fn received(process: &mut BridgeProcess) -> Result<Duration, BenchError> {
    let late = BenchError::Late("the last message");
    if !process.logged("received ", RECEIVED).await {
        return Err(late);
    }
    let log = process.log();
    let took = log.iter().find_map(|line| line.strip_prefix("received ")?.split_whitespace().nth(2)?.parse().ok());
    took.map(Duration::from_micros).ok_or(late)
}

async fn world(case: &Case, broker: BrokerKind, admin: u16) -> Result<World, BenchError> {
    // Nothing may be dropped, nor wait for the broker.
    let options = BrokerOptions { max_queued_messages: QUEUE, max_inflight: u16::MAX, ..BrokerOptions::default() };
    let window = if case.incident == Incident::Hold { "65000" } else { "2000" };
    let mut settings = vec![
        ("mapping.concurrency", case.concurrency.to_string()),
        ("mapping.receive_maximum", window.to_owned()),
        ("mapping.batch.max_records", case.batch.to_string()),
    ];
    if case.incident == Incident::Hold {
        // The window is to be full before the memory is.
        settings.push(("mapping.max_outstanding_bytes", "100MiB".to_owned()));
    }
    match case.shared_by {
        Some(_) => settings.push(("mapping.topic_filter", shared::FILTER.to_owned())),
        // Members on one machine cannot have one port.
        None => settings.push(("admin.listen", format!("127.0.0.1:{admin}"))),
    }
    if case.batch > 1 {
        settings.push(("mapping.batch.max_window", "10ms".to_owned()));
    }
    if case.looks_inside {
        let inside = [
            ("mapping.filter", r#"[{"payload":{"d":[{"numeric":[">=",0]}]}}]"#),
            ("mapping.ordering_key", "payload:/d"),
            ("mapping.message_id", "payload:/n"),
        ];
        settings.extend(inside.map(|(key, value)| (key, value.to_owned())));
    }
    let builder = World::builder()
        .broker(broker)
        .broker_options(options)
        .function(Function::inline(FUNCTION, |_| async { Answer::null() }));
    let builder = settings.iter().fold(builder, |builder, (key, value)| builder.set(key, value));
    Ok(builder.without_bridge().await?)
}
