//! A model of a broker: sessions, queues, packet identifiers and shared subscriptions, with the behaviour of real
//! brokers as switches. Devices publish to it directly, the bridge connects to it, and it keeps each message until it
//! is acknowledged.

mod connecting;
mod conversation;
mod habits;
mod matching;
mod publishing;
mod session;
mod sessions;
mod subscribing;

pub use habits::Habits;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridge::config::Protocol;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::matching::Copy;
use self::session::{Session, Stored};
use super::link::Links;
use super::mapping::Mapping;
use super::record::Record;

/// What a conversation is told beside its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// There is something to send.
    Send,
    /// End, and say why.
    End(u8),
}

/// Shared by all conversations.
#[derive(Debug, Clone)]
pub(super) struct Broker(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    habits: Habits,
    protocol: Protocol,
    record: Record,
    /// The network to it.
    links: Links,
    /// The session expiry that the bridge is configured with.
    configured_expiry: Duration,
    sessions: BTreeMap<String, Session>,
    connections: BTreeMap<u64, mpsc::UnboundedSender<Word>>,
    /// When each connection began that there ever was.
    begun: Vec<Instant>,
    /// Away until then.
    away_until: Option<Instant>,
    /// Until when it refuses what.
    refusing: Vec<(Refuses, Instant)>,
    /// By topic: what whoever subscribes gets.
    retained: BTreeMap<String, Stored>,
    /// Every so many answers one that it never takes; 0 for none.
    refused_every: u64,
    /// Filters that it refuses, and until when.
    refused_filters: Vec<(String, Instant)>,
    mappings: &'static [Mapping],
    /// Those of each mapping.
    filters: &'static [&'static str],
    /// Whose turn it is in each group.
    turn: usize,
}

/// What a plan says of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) habits: Habits,
    pub(super) protocol: Protocol,
    /// Every so many answers of the bridge there is one that it never takes; 0 for none.
    pub(super) refused_every: u64,
    pub(super) mappings: &'static [Mapping],
    /// Those of each mapping.
    pub(super) filters: &'static [&'static str],
}

/// What a broker may not do for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refuses {
    /// CONNECT, with Server unavailable.
    Connections,
    /// SUBSCRIBE.
    Subscriptions,
    /// PUBLISH, for reasons that pass.
    Publishes,
    /// PUBACK.
    Confirmations,
}

/// What a device publishes.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) number: u64,
    pub(super) key: u64,
    pub(super) payload: Vec<u8>,
    pub(super) topic: String,
    pub(super) retain: bool,
    pub(super) expires_after: Option<Duration>,
    pub(super) response_topic: Option<String>,
    /// Its topic has a byte that is not UTF-8, and the broker looks at none.
    pub(super) ill_formed: bool,
}

impl Broker {
    pub(super) fn new(setup: Setup, configured_expiry: Duration, record: Record, links: Links) -> Self {
        let Setup { habits, protocol, refused_every, mappings, filters } = setup;
        Self(Arc::new(Mutex::new(State {
            habits,
            protocol,
            refused_every,
            refused_filters: Vec::new(),
            mappings,
            filters,
            record,
            links,
            configured_expiry,
            sessions: BTreeMap::new(),
            connections: BTreeMap::new(),
            begun: Vec::new(),
            away_until: None,
            refusing: Vec::new(),
            retained: BTreeMap::new(),
            turn: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it takes connections now.
    pub(super) fn is_there(&self) -> bool {
        self.state().away_until.is_none_or(|until| until <= Instant::now())
    }

    /// A connection has come.
    pub(super) fn accept(&self, stream: DuplexStream) {
        tokio::spawn(conversation::hold(self.clone(), stream));
    }

    /// A device publishes; whether anybody gets it. Nobody hears it while the broker is away.
    pub(super) fn publish(&self, message: Published) {
        let mut state = self.state();
        state.expire();
        let is_there = state.away_until.is_none_or(|until| until <= Instant::now());
        let copies = if is_there { state.copies(&message.topic) } else { Vec::new() };
        let record = state.record.clone();
        let Published { number, key, topic, payload, retain, expires_after, response_topic, ill_formed } = message;
        let takers: Vec<_> = copies.iter().map(|copy| &copy.client_id).collect();
        record.say("device", format!("publishes {number} on {topic}, for {takers:?}"));
        let expires = expires_after.map(|after| Instant::now() + after);
        let (sent, keeps, by, is_copy) = (false, None, Vec::new(), false);
        let stored = Stored {
            number,
            topic,
            payload,
            retain: false,
            expires,
            response_topic,
            ill_formed,
            sent,
            keeps,
            by,
            is_copy,
        };
        if retain && is_there {
            state.retained.insert(stored.topic.clone(), Stored { retain: true, ..stored.clone() });
        }
        for mapping in state.mappings {
            let own: Vec<_> = copies.iter().filter(|copy| copy.mapping() == *mapping).collect();
            record.published(mapping.own(number), mapping.own(key), !own.is_empty(), expires_after);
            if ill_formed {
                record.unfit(mapping.own(number));
            }
            state.hand_out(mapping.own(number), &own, &stored);
        }
    }

    /// Goes away for a while, and comes back with what it keeps.
    pub(super) fn restart(&self, away: Duration) {
        let mut state = self.state();
        state.away_until = Some(Instant::now() + away);
        state.end_all(0x8b);
        if state.habits.keeps_over_restart {
            state.sessions.values_mut().for_each(|session| session.connection = None);
        } else {
            let sessions = std::mem::take(&mut state.sessions);
            sessions.into_values().for_each(|session| session.drop_all(&state.record, "restart without persistence"));
        }
    }

    /// Refuses this for a while.
    pub(super) fn refuse(&self, what: Refuses, how_long: Duration) {
        self.state().refusing.push((what, Instant::now() + how_long));
    }

    /// Keeps its sessions, and forgets what they are subscribed to.
    pub(super) fn forget_subscriptions(&self) {
        self.state().sessions.values_mut().for_each(|session| session.subscriptions.clear());
    }

    /// The same for one of its filters.
    pub(super) fn forget_subscription(&self, filter: &str) {
        self.state().sessions.values_mut().for_each(|session| session.unsubscribe(filter));
    }

    /// Refuses this filter for a while.
    pub(super) fn refuse_filter(&self, filter: String, how_long: Duration) {
        self.state().refused_filters.push((filter, Instant::now() + how_long));
    }

    /// Ends every conversation because somebody else has its client id.
    pub(super) fn take_over(&self) {
        self.state().end_all(0x8e);
    }

    /// Whether nothing waits in any session.
    pub(super) fn is_empty(&self) -> bool {
        self.state().sessions.values().all(Session::is_empty)
    }

    /// When the oldest connection began that a session has, and that its client has, too.
    pub(super) fn oldest_connection(&self) -> Option<Instant> {
        let state = self.state();
        let held = state.sessions.values().filter(|session| state.record.is_here(&session.client_id));
        let connections = held.filter_map(|session| session.connection);
        connections.filter_map(|number| state.begun.get(usize::try_from(number).ok()?)).min().copied()
    }
}

impl State {
    fn refuses(&self, what: Refuses) -> bool {
        let now = Instant::now();
        self.refusing.iter().any(|(kind, until)| *kind == what && *until > now)
    }

    fn refuses_filter(&self, filter: &str) -> bool {
        let now = Instant::now();
        self.refused_filters.iter().any(|(refused, until)| refused == filter && *until > now)
    }

    /// One message for one mapping, in one copy or several.
    fn hand_out(&mut self, number: u64, copies: &[&Copy], stored: &Stored) {
        if copies.iter().any(|copy| copy.repeats) {
            self.record.repeats(&vec![number; copies.len() - 1]);
        }
        for Copy { client_id, by, .. } in copies {
            self.keep(client_id, Stored { number, by: by.clone(), is_copy: copies.len() > 1, ..stored.clone() });
        }
    }

    /// Puts a message behind what waits for this session.
    fn keep(&mut self, client_id: &str, stored: Stored) {
        let most = self.habits.queue;
        let Some(session) = self.sessions.get_mut(client_id) else { return };
        if session.queue.len() >= most {
            self.record.excuse(stored.number, "the queue is full");
            if self.is_for_the_function(client_id, &stored) {
                self.record.halved(stored.number);
            }
            return;
        }
        session.queue.push_back(stored);
        let connection = session.connection;
        self.wake(connection);
    }

    fn wake(&self, connection: Option<u64>) {
        if let Some(sender) = connection.and_then(|connection| self.connections.get(&connection)) {
            let _ = sender.send(Word::Send);
        }
    }

    fn end_all(&mut self, reason: u8) {
        for sender in std::mem::take(&mut self.connections).into_values() {
            let _ = sender.send(Word::End(reason));
        }
    }
}
