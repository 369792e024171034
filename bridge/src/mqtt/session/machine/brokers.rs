//! State per broker: everything known of a session belongs to the broker that has it. After a change of broker nothing
//! is carried over: messages that are unacknowledged at the old broker are never acknowledged at the new one, and come
//! again from the old one.

use std::collections::HashMap;

use super::Machine;
use super::retire::Retirement;
use crate::mqtt::ledger::Kept;
use crate::mqtt::session::event::Event;
use crate::mqtt::session::settings::Settings;
use crate::shutdown::Phase;

/// The brokers of a session, by their places in the configuration.
#[derive(Debug, Default)]
pub(super) struct Brokers {
    pub(super) current: usize,
    elsewhere: HashMap<usize, Known>,
    /// It leaves the current one for good, as a preferred one is reachable again.
    returning: bool,
}

/// The state of the session at a broker that is not the current one.
#[derive(Debug)]
struct Known {
    subscribed: Vec<bool>,
    former: Vec<String>,
    established: bool,
    denies_sessions: bool,
}

impl Known {
    /// Of a broker at which this session was not yet: an earlier one may have been.
    fn nothing(settings: &Settings) -> Self {
        Self {
            subscribed: vec![false; settings.topic_filters.len()],
            former: settings.former_filters.clone(),
            established: false,
            denies_sessions: false,
        }
    }
}

impl Machine {
    /// The broker of the last connection.
    pub(in crate::mqtt::session) fn broker(&self) -> usize {
        self.brokers.current
    }

    /// The settings are about this broker: an earlier session of the same client id was connected to it last.
    pub(in crate::mqtt::session) fn resuming_at(mut self, broker: usize) -> Self {
        self.brokers.current = broker;
        self
    }

    /// This one of the brokers has accepted a connection.
    pub(in crate::mqtt::session) fn at_broker(&mut self, broker: usize) {
        let left = self.brokers.current;
        if broker == left {
            return;
        }
        // Messages in that broker's queue wait until the session comes back there.
        let unacknowledged = self.ledger.connect(Kept::No);
        let here = self.brokers.elsewhere.remove(&broker).unwrap_or_else(|| Known::nothing(&self.settings));
        let Known { subscribed, former, established, denies_sessions } = here;
        let there = Known {
            subscribed: std::mem::replace(&mut self.subscribed, subscribed),
            former: std::mem::replace(&mut self.former, former),
            established: std::mem::replace(&mut self.established, established),
            denies_sessions: std::mem::replace(&mut self.denies_sessions, denies_sessions),
        };
        self.brokers.elsewhere.insert(left, there);
        self.brokers.current = broker;
        self.unsubscribes_unanswered = 0;
        self.stay();
        self.events.push(Event::BrokerChanged { left, unacknowledged });
    }

    /// CONNECT went out to this one of the brokers and no CONNACK came back.
    pub(in crate::mqtt::session) fn unanswered_by(&mut self, broker: usize) {
        if broker == self.brokers.current {
            self.unanswered();
        } else if let Some(known) = self.brokers.elsewhere.get_mut(&broker) {
            known.subscribed.fill(false);
        }
    }

    /// A preferred broker is reachable again: leaves this one for good, if nothing else is going on.
    pub(in crate::mqtt::session) fn go_back(&mut self) {
        if self.phase == Phase::Running && !self.settings.leaves {
            self.brokers.returning = true;
            self.events.push(Event::GoingBack);
        }
    }

    /// Whether it leaves the current broker for a preferred one.
    pub(super) fn is_returning(&self) -> bool {
        self.brokers.returning && self.phase == Phase::Running
    }

    /// Whether it has left the current broker for a preferred one, which starts over there. True once.
    pub(in crate::mqtt::session) fn has_left(&mut self) -> bool {
        let has = self.is_returning() && self.retirement == Retirement::Forgotten;
        if has {
            self.stay();
            self.subscribed.fill(false);
            self.established = false;
        }
        has
    }

    /// Whether the next connection must be to the current broker, at which it has unsubscribed already.
    pub(in crate::mqtt::session) fn keeps_broker(&self) -> bool {
        self.retirement.has_begun() && !self.is_returning()
    }

    fn stay(&mut self) {
        if std::mem::take(&mut self.brokers.returning) && self.phase == Phase::Running {
            self.retirement = Retirement::Ahead;
        }
    }
}
