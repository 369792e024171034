//! Several bridges, each a process, in one group of a shared subscription. Each has a client id of its own and keeps it
//! over every restart, since a broker gives what it holds for one member to no other.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use crate::world::{BridgeProcess, World, WorldError};

/// Bridges that share a subscription. Killed when they are dropped.
#[derive(Debug)]
pub struct Replicas {
    processes: Vec<BridgeProcess>,
    patience: Duration,
}

impl Replicas {
    /// Starts `count` bridges, one after the other, and returns when all are subscribed. The world's topic filter
    /// should be a shared one.
    ///
    /// # Errors
    /// When one cannot be started, or is not subscribed within `patience`.
    pub async fn start(world: &mut World, count: usize, patience: Duration) -> Result<Self, WorldError> {
        let mut replicas = Self { processes: Vec::new(), patience };
        for index in 0..count {
            let process = replicas.subscribed(world, index).await?;
            replicas.processes.push(process);
        }
        Ok(replicas)
    }

    /// The stem of a replica's client ids, counted from 0.
    #[must_use]
    pub fn client_id(index: usize) -> String {
        format!("replica-{index}")
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// SIGKILL to one of them, and the same one again.
    ///
    /// # Errors
    /// When the system refuses, or it is not subscribed again in time.
    pub async fn kill_and_restart(&mut self, world: &mut World, index: usize) -> Result<(), WorldError> {
        self.kill(index).await?;
        self.restart(world, index).await
    }

    /// SIGKILL to one of them; its connection is closed when this returns.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self, index: usize) -> io::Result<()> {
        self.processes[index].kill().await
    }

    /// Starts one again that was killed.
    ///
    /// # Errors
    /// When it is not subscribed again in time.
    pub async fn restart(&mut self, world: &mut World, index: usize) -> Result<(), WorldError> {
        self.processes[index] = self.subscribed(world, index).await?;
        Ok(())
    }

    /// SIGTERM to the last of them, and waits until it has drained and gone.
    ///
    /// # Errors
    /// When there is none, the system refuses, or it does not end in time.
    pub async fn stop_last(&mut self, within: Duration) -> io::Result<ExitStatus> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "no replica is left");
        let mut last = self.processes.pop().ok_or_else(none)?;
        last.signal("TERM").await?;
        last.exited(within).await?.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "the replica does not end"))
    }

    async fn subscribed(&self, world: &mut World, index: usize) -> Result<BridgeProcess, WorldError> {
        world.set("mqtt.client_id", &Self::client_id(index));
        let mut process = world.spawn_bridge()?;
        if process.logged("subscribed", self.patience).await {
            return Ok(process);
        }
        Err(WorldError::NotReady(self.patience, process.log().join("; ")))
    }
}
