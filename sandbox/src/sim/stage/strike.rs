//! What a fault of the plan does to the world.

use tokio::time::{Instant, sleep};

use super::Stage;
use crate::sim::cloud::Weather;
use crate::sim::link::State;
use crate::sim::plan::Fault;
use crate::sim::process::Order;

impl Stage<'_> {
    pub(super) async fn strike(&mut self, fault: Fault) {
        self.record.fault(format!("{fault:?}"));
        if matches!(fault, Fault::Killed(_) | Fault::Stopped(_) | Fault::Reloaded) {
            self.record.forgotten();
        }
        match fault {
            Fault::Cut => drop(self.links.set(State::Cut)),
            Fault::HalfClose => drop(self.links.set(State::HalfClosed)),
            Fault::Vanished => drop(self.links.set(State::Gone)),
            Fault::BlackHole(how_long) => {
                self.links.set(State::BlackHole);
                let links = self.links.clone();
                // Those that are made meanwhile are not in it, and stay whole.
                tokio::spawn(async move {
                    sleep(how_long).await;
                    links.reopen();
                });
            }
            Fault::BrokerRestarts(away) => self.broker.restart(away),
            Fault::BrokerRefuses(how_long) => {
                self.broker.refuse(how_long);
                self.links.set(State::Cut);
            }
            Fault::TakenOver => self.broker.take_over(),
            Fault::Killed(away) => {
                let replica = self.chance.index(self.plan.replicas);
                if let Some(process) = self.processes[replica].take() {
                    process.kill().await;
                    self.starts[replica] = Some(Instant::now() + away);
                }
            }
            Fault::Stopped(away) => {
                let replica = self.chance.index(self.plan.replicas);
                if let Some(process) = &self.processes[replica] {
                    process.ask(Order::Stop);
                    self.starts[replica] = Some(Instant::now() + away);
                }
            }
            Fault::Paused(how_long) => {
                self.resumes = Some(Instant::now() + how_long);
                self.ask_all(|| Order::Pause(true));
            }
            Fault::Reloaded => {
                self.reloads += 1;
                for replica in 0..self.plan.replicas {
                    let config = self.config(replica);
                    if let Some(process) = &self.processes[replica] {
                        process.ask(Order::Reload(Box::new(config)));
                    }
                }
            }
            Fault::Throttles(how_long) => self.cloud.set(Weather::Throttles, how_long),
            Fault::ServiceErrors(how_long) => self.cloud.set(Weather::ServiceErrors, how_long),
            Fault::SetUpWrong(how_long) => self.cloud.set(Weather::SetUpWrong, how_long),
            Fault::Silence(how_long) => self.cloud.set(Weather::Silence, how_long),
            Fault::DestinationsFail(how_long) => self.cloud.set(Weather::QueueFails, how_long),
        }
    }

    pub(super) fn ask_all(&self, order: impl Fn() -> Order) {
        self.processes.iter().flatten().for_each(|process| process.ask(order()));
    }
}
