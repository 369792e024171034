//! The processes of a world: started, watched, and started again.

use std::time::Duration;

use bridge::aws::Aws;
use bridge::config::Config;
use bridge::mqtt::InMemory;
use tokio::time::Instant;

use super::Stage;
use crate::sim::chance::Chance;
use crate::sim::link::Pace;
use crate::sim::process::{End, Order, Process};
use crate::sim::settings;

impl Stage<'_> {
    /// Starts who is due, and notes who has ended.
    pub(super) async fn tend(&mut self) {
        let now = Instant::now();
        for replica in 0..self.plan.replicas {
            if let Some(process) = &mut self.processes[replica]
                && process.has_ended()
            {
                let end = process.ended().await;
                self.record.say("process", format!("replica {replica} has ended: {end:?}"));
                if end == End::Broken {
                    self.record.violated("panic", format!("replica {replica} has ended by itself"));
                }
                self.has_retired(end == End::Retired { unproven: true });
                self.processes[replica] = None;
                self.starts[replica].get_or_insert(now + Duration::from_secs(1));
            }
            if self.processes[replica].is_none() && self.starts[replica].is_some_and(|at| at <= now) {
                self.starts[replica] = None;
                self.start(replica);
            }
            // A replica that drains is started again once it has ended.
            if self.processes[replica].is_some() && self.starts[replica].is_some_and(|at| at <= now) {
                self.starts[replica] = Some(now + Duration::from_secs(1));
            }
        }
        if self.resumes.is_some_and(|at| at <= now) {
            self.resumes = None;
            self.ask_all(|| Order::Pause(false));
        }
    }

    pub(super) fn start(&mut self, replica: usize) {
        self.record.say("process", format!("replica {replica} starts"));
        let caller = self.cloud.caller(self.plan.concurrency);
        let aws = Aws::in_memory(caller.clone());
        let sites = self.sites.clone();
        let pace = Pace { delay: self.plan.delay, piece: self.plan.piece };
        let seeds = std::sync::atomic::AtomicU64::new(self.chance.number(0..u64::MAX / 2));
        let connect = move |place| {
            let seed = || seeds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            sites.connect(place, pace, || Chance::of(seed(), 5))
        };
        let config = self.config(replica);
        let memory = InMemory::new(connect);
        let process = Process::start(config, (aws, caller), memory, self.record.clone());
        self.processes[replica] = Some(process);
    }

    pub(super) fn config(&self, replica: usize) -> Config {
        // Each reload has other batches.
        settings::of(self.plan, replica, 10 * (1 + self.reloads), self.without)
    }
}
