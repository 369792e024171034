//! Applies a fault of the plan to the world.

use std::time::Duration;

use bridge::config::Protocol;
use tokio::time::{Instant, sleep};

use super::Stage;
use crate::sim::broker::{Broker, Refuses};
use crate::sim::cloud::Weather;
use crate::sim::link::{Links, State};
use crate::sim::mapping::Mapping;
use crate::sim::plan::Fault;
use crate::sim::process::{Order, Process};
use crate::sim::settings;

impl Stage<'_> {
    pub(super) async fn strike(&mut self, fault: Fault) {
        self.record.fault(format!("{fault:?}"));
        match fault {
            Fault::Killed(away) => self.kill(away).await,
            Fault::Stopped(_)
            | Fault::Retired
            | Fault::Paused(_)
            | Fault::Reloaded
            | Fault::FilterReloaded(_)
            | Fault::Rotated => {
                self.operate(fault);
            }
            Fault::Throttles(how_long) => self.cloud.set(Weather::Throttles, how_long),
            Fault::ServiceErrors(how_long) => self.cloud.set(Weather::ServiceErrors, how_long),
            Fault::SetUpWrong(how_long) => self.cloud.set(Weather::SetUpWrong, how_long),
            Fault::SomebodyElse(how_long) => self.cloud.set(Weather::SomebodyElse, how_long),
            Fault::Silence(how_long) => self.cloud.set(Weather::Silence, how_long),
            Fault::QueueFails(how_long) => self.cloud.set(Weather::QueueFails, how_long),
            Fault::BucketFails(how_long) => self.cloud.set(Weather::BucketFails, how_long),
            Fault::PublishesRefused(how_long) => self.refuse(Refuses::Publishes, how_long),
            Fault::PublishesSwallowed(how_long) => self.refuse(Refuses::Confirmations, how_long),
            other => self.disconnect(other),
        }
    }

    /// What ends connections.
    fn disconnect(&mut self, fault: Fault) {
        if matches!(fault, Fault::Vanished | Fault::BlackHole(_) | Fault::HalfClose | Fault::Unreachable(..)) {
            self.record.broke_silently();
        } else {
            self.record.broke();
        }
        match fault {
            Fault::CutOne => self.sites.cut_one(&mut self.chance),
            Fault::HalfClose => self.set(State::HalfClosed),
            Fault::Vanished => self.set(State::Gone),
            Fault::BlackHole(how_long) => {
                self.set(State::BlackHole);
                let sites = self.sites.clone();
                // Connections made later are not in this list, and stay intact.
                tokio::spawn(async move {
                    sleep(how_long).await;
                    sites.links().for_each(Links::reopen);
                });
            }
            Fault::BrokerRestarts(away) => self.sites.at(0).broker.restart(away),
            Fault::OneRestarts(place, away) => self.sites.at(place).broker.restart(away),
            Fault::Unreachable(place, how_long) => self.sites.close(place, State::Gone, how_long),
            Fault::OneRefuses(place, how_long) => self.cut_and_refuse(place, how_long),
            Fault::BrokerRefuses(how_long) => self.cut_and_refuse(0, how_long),
            Fault::TakenOver => self.sites.brokers().for_each(Broker::take_over),
            Fault::SubscriptionsRefused(how_long) => {
                self.refuse(Refuses::Subscriptions, how_long);
                self.set(State::Cut);
            }
            Fault::FilterRefused(filter, how_long) => {
                if let Some(filter) = self.filter(filter) {
                    self.sites.brokers().for_each(|broker| broker.refuse_filter(filter.clone(), how_long));
                }
                self.set(State::Cut);
            }
            Fault::FilterForgotten(filter) => {
                if let Some(filter) = self.filter(filter).filter(|_| self.plan.protocol == Protocol::V5) {
                    self.sites.brokers().for_each(|broker| broker.forget_subscription(&filter));
                }
                self.set(State::Cut);
            }
            other => {
                // MQTT 3.1.1 cannot report it, so the model does it under MQTT 5 only.
                if other == Fault::SubscriptionsForgotten && self.plan.protocol == Protocol::V5 {
                    self.sites.brokers().for_each(Broker::forget_subscriptions);
                }
                self.set(State::Cut);
            }
        }
    }

    fn set(&self, state: State) {
        self.sites.links().for_each(|links| {
            links.set(state);
        });
    }

    fn refuse(&self, what: Refuses, how_long: Duration) {
        self.sites.brokers().for_each(|broker| broker.refuse(what, how_long));
    }

    /// This one of the brokers refuses CONNECT.
    fn cut_and_refuse(&self, place: usize, how_long: Duration) {
        let site = self.sites.at(place);
        site.broker.refuse(Refuses::Connections, how_long);
        site.links.set(State::Cut);
    }

    async fn kill(&mut self, away: Duration) {
        self.record.forgotten();
        let replica = self.chance.index(self.plan.replicas);
        if let Some(process) = self.processes[replica].take() {
            process.kill().await;
            self.starts[replica] = Some(Instant::now() + away);
        }
    }

    /// What somebody asks of the bridge.
    fn operate(&mut self, fault: Fault) {
        let replica = self.chance.index(self.plan.replicas);
        match fault {
            Fault::Stopped(away) => {
                self.record.forgotten();
                if let Some(process) = &self.processes[replica] {
                    process.ask(Order::Stop);
                    self.starts[replica] = Some(Instant::now() + away);
                }
            }
            Fault::Retired => {
                self.record.forgotten();
                if let Some(process) = &self.processes[replica] {
                    process.ask(Order::Retire);
                }
            }
            Fault::Paused(how_long) => {
                self.resumes = Some(Instant::now() + how_long);
                self.ask_all(|| Order::Pause(true));
            }
            Fault::Rotated => {
                self.record.broke();
                self.rotated = Some(Instant::now());
                self.processes.iter().flatten().for_each(Process::renew);
            }
            Fault::FilterReloaded(filter) if self.plan.filters.count() > 1 => {
                // Back with the one that it is without, or away with this one.
                self.without = self.without.is_none().then_some(filter);
                self.reload();
            }
            _ => self.reload(),
        }
    }

    /// One of the first mapping's filters, as the broker knows it.
    fn filter(&self, index: usize) -> Option<String> {
        settings::filters(self.plan, Mapping::First, None).0.into_iter().nth(index)
    }

    fn reload(&mut self) {
        self.record.forgotten();
        self.reloads += 1;
        for replica in 0..self.plan.replicas {
            let config = self.config(replica);
            if let Some(process) = &self.processes[replica] {
                process.ask(Order::Reload(Box::new(config)));
            }
        }
    }

    pub(super) fn ask_all(&self, order: impl Fn() -> Order) {
        self.processes.iter().flatten().for_each(|process| process.ask(order()));
    }
}
