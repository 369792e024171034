//! Publishes the backlog with which each backlog case begins.

use std::time::Duration;

use super::case::Case;
use super::figures::Spent;
use super::start::{Start, ended};
use super::stub::Seen;
use super::{BenchError, cpu};
use crate::world::BridgeProcess;

/// What came of a case.
pub(super) struct Played {
    /// The processes that still run.
    pub(super) processes: Vec<BridgeProcess>,
    pub(super) spent: Spent,
    /// What has come, where the endpoint does not see it.
    pub(super) received: Option<Seen>,
    /// Memory above that at rest, by what the bridge says that it holds.
    pub(super) weighed: Option<f64>,
}

/// Opens the session, and fills it: the memory and the time of a start.
pub(super) async fn queue(case: &Case, start: Start<'_>) -> Result<(u64, Duration), BenchError> {
    let (process, id) = start.run(case).await?;
    let spent = (process.usage()?.resident, cpu::time_of(id)?);
    ended(process).await?;
    start.publish(case).await?;
    start.endpoint.reset().await?;
    Ok(spent)
}
