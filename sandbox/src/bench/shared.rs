//! Measures several bridges on one shared subscription: what each further process adds on one machine.

use std::time::Duration;

use super::case::Case;
use super::figures::Spent;
use super::queued::Played;
use super::start::{Start, ended, subscribed};
use super::{BenchError, cpu};
use crate::world::{BridgeProcess, Usage};

/// What they subscribe to; the publishers know nothing of it.
pub(super) const FILTER: &str = "$share/bench/sensor/data";

/// Opens a session for each, fills them, and lets all of them go at once.
pub(super) async fn play(case: &Case, start: Start<'_>, members: u32) -> Result<Played, BenchError> {
    let opened = begin(case, start, members).await?;
    let rest = opened.iter().map(|(process, _)| Ok(process.usage()?.resident)).sum::<Result<u64, BenchError>>()?;
    let before = spent(&opened)?;
    for (process, _) in opened {
        ended(process).await?;
    }
    start.publish(case).await?;
    start.endpoint.reset().await?;
    let running = begin(case, start, members).await?;
    start.endpoint.settled(case.messages, start.patience).await?;
    let cpu = spent(&running)?.saturating_sub(before);
    let usage = running.iter().map(|(process, _)| process.usage()).collect::<Result<Vec<_>, _>>()?;
    let processes = running.into_iter().map(|(process, _)| process).collect();
    Ok(Played { processes, spent: Spent { cpu, rest, usage: together(&usage) }, received: None, weighed: None })
}

/// All of them, so that the last does not begin when the first has done half of the work.
async fn begin(case: &Case, start: Start<'_>, members: u32) -> Result<Vec<(BridgeProcess, u32)>, BenchError> {
    let begun = (0..members).map(|member| start.member(case, member)).collect::<Result<Vec<_>, _>>()?;
    let mut running = Vec::new();
    for mut process in begun {
        let id = subscribed(&mut process, 1).await?;
        running.push((process, id));
    }
    Ok(running)
}

fn spent(processes: &[(BridgeProcess, u32)]) -> Result<Duration, BenchError> {
    processes.iter().map(|(_, id)| Ok(cpu::time_of(*id)?)).sum()
}

/// What they use as one.
fn together(each: &[Usage]) -> Usage {
    Usage {
        resident: each.iter().map(|usage| usage.resident).sum(),
        peak: each.iter().map(|usage| usage.peak).sum(),
        descriptors: each.iter().map(|usage| usage.descriptors).sum(),
    }
}
