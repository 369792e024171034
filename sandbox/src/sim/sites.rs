//! The brokers of a world, each with sessions of its own and a network to it. Devices publish to one of them.

use std::io;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::time::Instant;

use super::broker::{Broker, Published, Setup};
use super::chance::Chance;
use super::link::{Links, Pace, State};
use super::mapping::Mapping;
use super::plan::Plan;
use super::record::{FIRST, Record};
use super::settings;

/// In the trace.
const NAMES: [&str; 2] = [FIRST, "broker 2"];

/// A broker, and the network to it.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) broker: Broker,
    pub(super) links: Links,
}

/// All of them, in the order of the configuration; one at least.
#[derive(Debug, Clone)]
pub(super) struct Sites {
    all: Vec<Site>,
    /// Of devices, in percent, that publish to any of the brokers.
    astray: u32,
    chance: Chance,
}

impl Sites {
    pub(super) fn new(plan: &Plan, record: &Record) -> Self {
        let setup = Setup {
            habits: plan.habits,
            protocol: plan.protocol,
            refused_every: plan.answers.refused_every,
            mappings: Mapping::all(plan.two_mappings),
            filters: plan.filters.all(),
        };
        let number = if plan.brokers.is_some() { NAMES.len() } else { 1 };
        let site = |name: &&'static str| {
            let links = Links::default();
            let broker = Broker::new(setup, settings::SESSION_EXPIRY, record.of_broker(name), links.clone());
            Site { broker, links }
        };
        Self {
            all: NAMES[..number].iter().map(site).collect(),
            astray: plan.brokers.map_or(0, |brokers| brokers.astray),
            chance: Chance::of(plan.seed, 17),
        }
    }

    /// The broker whose place that is.
    pub(super) fn at(&self, place: usize) -> &Site {
        &self.all[place.min(self.all.len() - 1)]
    }

    pub(super) fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.all.iter().map(|site| &site.broker)
    }

    /// Breaks one connection to one of those that have any.
    pub(super) fn cut_one(&self, chance: &mut Chance) {
        let there: Vec<_> = self.links().filter(|links| links.are_there()).collect();
        match there[..] {
            [] => {}
            [links] => links.cut_one(chance),
            _ => there[chance.index(there.len())].cut_one(chance),
        }
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Links> {
        self.all.iter().map(|site| &site.links)
    }

    /// A connection to this broker.
    pub(super) fn connect(
        &self,
        broker: usize,
        pace: Pace,
        chance: impl FnOnce() -> Chance,
    ) -> io::Result<DuplexStream> {
        let Site { broker, links } = self.at(broker);
        if !broker.is_there() || links.are_closed() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = links.connect(pace, chance());
        broker.accept(far);
        Ok(near)
    }

    /// A device publishes: where somebody reads, or else at the first that is there; or anywhere.
    pub(super) fn publish(&mut self, message: Published) {
        let any = self.astray > 0 && self.chance.percent(self.astray);
        let place = if any { Some(self.chance.index(self.all.len())) } else { None };
        let read = || self.all.iter().position(|site| site.broker.is_read());
        let there = || self.all.iter().position(|site| site.broker.is_there());
        let place = place.or_else(read).or_else(there).unwrap_or_default();
        self.at(place).broker.publish(message);
    }

    /// Nothing gets to this one for a while; the connections that are there end so.
    pub(super) fn close(&self, place: usize, state: State, how_long: Duration) {
        let links = &self.at(place).links;
        links.set(state);
        links.close_until(Instant::now() + how_long);
    }

    /// Takes the others away for a while from the one that has messages for sessions that are elsewhere. There is none
    /// that would bring the bridge back to it before it loses another.
    pub(super) fn bring_back(&self, how_long: Duration) {
        let Some(unread) = self.brokers().position(Broker::is_unread) else { return };
        (0..self.all.len()).filter(|place| *place != unread).for_each(|place| self.close(place, State::Cut, how_long));
    }

    /// How many sessions of this mapping hold these filters.
    pub(super) fn subscribed(&self, mapping: Mapping, filters: &[String]) -> usize {
        self.brokers().map(|broker| broker.holders(mapping, filters, self.are_several())).sum()
    }

    /// Whether a session of this mapping holds one of these filters.
    pub(super) fn holds_any(&self, mapping: Mapping, filters: &[String]) -> bool {
        self.brokers().any(|broker| broker.holds_any(mapping, filters, self.are_several()))
    }

    /// Then sessions count that are read: each is elsewhere as it was when it was left.
    fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    pub(super) fn are_empty(&self) -> bool {
        self.brokers().all(Broker::is_empty)
    }

    /// When the oldest connection began that a session has.
    pub(super) fn oldest_connection(&self) -> Option<Instant> {
        self.brokers().filter_map(Broker::oldest_connection).min()
    }
}
