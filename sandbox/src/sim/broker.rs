//! A model of a broker: sessions, queues, packet identifiers and shared subscriptions, with the habits of real ones as
//! switches. Devices publish to it directly, the bridge connects to it, and it keeps each message until it is acknowledged.

mod conversation;
mod habits;
mod session;

pub use habits::Habits;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridge::config::Protocol;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::session::{Session, Stored};
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
    /// The session expiry that the bridge is configured with.
    configured_expiry: Duration,
    sessions: BTreeMap<String, Session>,
    connections: BTreeMap<u64, mpsc::UnboundedSender<Word>>,
    last_connection: u64,
    /// Away until then; refusing CONNECT until then.
    away_until: Option<Instant>,
    refusing_until: Option<Instant>,
    /// Whose turn it is in each group.
    turn: usize,
    /// What the bridge has published: dead letters.
    published: Vec<(String, Vec<u8>)>,
}

impl Broker {
    pub(super) fn new(habits: Habits, protocol: Protocol, configured_expiry: Duration, record: Record) -> Self {
        Self(Arc::new(Mutex::new(State {
            habits,
            protocol,
            record,
            configured_expiry,
            sessions: BTreeMap::new(),
            connections: BTreeMap::new(),
            last_connection: 0,
            away_until: None,
            refusing_until: None,
            turn: 0,
            published: Vec::new(),
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

    /// A device publishes, and is told whether the broker has it.
    pub(super) fn publish(&self, topic: &str, number: u64, key: u64, payload: &[u8]) {
        let mut state = self.state();
        state.expire();
        let takers =
            if state.away_until.is_some_and(|until| until > Instant::now()) { Vec::new() } else { state.takers(topic) };
        let record = state.record.clone();
        record.published(number, key, !takers.is_empty());
        record.say("device", format!("publishes {number} on {topic}, for {takers:?}"));
        for taker in takers {
            let stored =
                Stored { number, topic: topic.to_owned(), payload: payload.to_vec(), sent: false, keeps: None };
            if let Some(session) = state.sessions.get_mut(&taker) {
                session.queue.push_back(stored);
                let connection = session.connection;
                state.wake(connection);
            }
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

    /// Refuses every CONNECT for a while.
    pub(super) fn refuse(&self, how_long: Duration) {
        self.state().refusing_until = Some(Instant::now() + how_long);
    }

    /// Ends every conversation because somebody else has its client id.
    pub(super) fn take_over(&self) {
        self.state().end_all(0x8e);
    }

    /// Whether nothing waits in any session.
    pub(super) fn is_empty(&self) -> bool {
        self.state().sessions.values().all(Session::is_empty)
    }

    /// Whether a session holds a subscription.
    pub(super) fn is_subscribed(&self) -> bool {
        self.state().sessions.values().any(|session| session.filter.is_some())
    }

    /// What the bridge has published since the last time.
    pub(super) fn take_published(&self) -> Vec<(String, Vec<u8>)> {
        std::mem::take(&mut self.state().published)
    }
}

impl State {
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

    /// The sessions that get a message on this topic: each for itself, and one of each group.
    fn takers(&mut self, topic: &str) -> Vec<String> {
        let matching = |session: &&Session| session.filter.as_ref().is_some_and(|filter| filter.matches(topic));
        let mut takers: Vec<_> = self
            .sessions
            .values()
            .filter(matching)
            .filter(|session| session.group().is_none())
            .map(|session| session.client_id.clone())
            .collect();
        let mut members: Vec<_> =
            self.sessions.values().filter(matching).filter(|session| session.group().is_some()).collect();
        // Who is connected comes first, where there is somebody.
        if members.iter().any(|session| session.connection.is_some()) {
            members.retain(|session| session.connection.is_some());
        }
        if !members.is_empty() {
            self.turn += 1;
            takers.push(members[self.turn % members.len()].client_id.clone());
        }
        takers
    }

    /// Forgets the sessions whose time is over.
    fn expire(&mut self) {
        let now = Instant::now();
        let over: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.expires_at.is_some_and(|at| at <= now))
            .map(|(client_id, _)| client_id.clone())
            .collect();
        for client_id in over {
            if let Some(session) = self.sessions.remove(&client_id) {
                if session.expires_after < self.configured_expiry && self.habits.grants.is_none() {
                    session.drop_as_asked(&self.record, "the session has expired, sooner than configured");
                } else {
                    session.drop_all(&self.record, "the session has expired");
                }
            }
        }
    }
}
