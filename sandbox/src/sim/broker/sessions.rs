//! The sessions of the broker: by connection, and what becomes of one when its connection ends or its time is over.

use tokio::time::Instant;

use super::session::Session;
use super::{Broker, State};
use crate::sim::mapping::Mapping;
use crate::sim::record::Again;

impl Broker {
    /// Whether a session of this mapping holds one of these subscriptions; of all sessions, or of those that are read.
    pub(in crate::sim) fn holds_any(&self, mapping: Mapping, filters: &[String], read: bool) -> bool {
        let state = self.state();
        let mut own = state.own(mapping, read);
        own.any(|session| filters.iter().any(|filter| session.holds(filter)))
    }

    /// How many sessions of this mapping hold these subscriptions; of all sessions, or of those that are read.
    pub(in crate::sim) fn holders(&self, mapping: Mapping, filters: &[String], read: bool) -> usize {
        let holds_all = |session: &&Session| filters.iter().all(|filter| session.holds(filter));
        let state = self.state();
        state.own(mapping, read).filter(holds_all).count()
    }

    /// Whether somebody reads a subscription.
    pub(in crate::sim) fn is_read(&self) -> bool {
        let state = self.state();
        let reads = |session: &Session| !session.subscriptions.is_empty() && state.is_here(session);
        state.sessions.values().any(reads)
    }

    /// Whether it has messages that nobody reads.
    pub(in crate::sim) fn is_unread(&self) -> bool {
        let state = self.state();
        state.sessions.values().any(|session| !session.is_empty() && !state.is_here(session))
    }
}

impl State {
    /// The sessions of this mapping; all of them, or those that are read.
    fn own(&self, mapping: Mapping, read: bool) -> impl Iterator<Item = &Session> {
        let own = self.sessions.values().filter(move |session| Mapping::of_client(&session.client_id) == mapping);
        own.filter(move |session| !read || self.is_here(session))
    }

    /// Whether its client is connected, and to no other broker: of a connection that is gone nobody may have told this one.
    fn is_here(&self, session: &Session) -> bool {
        session.connection.is_some() && self.record.is_here(&session.client_id)
    }

    /// The session that this connection has.
    pub(super) fn session(&mut self, connection: u64) -> Option<&mut Session> {
        self.sessions.values_mut().find(|session| session.connection == Some(connection))
    }

    /// The client is done with a copy of this message: with the last one it is done with the message.
    pub(super) fn acknowledged(&self, number: u64) {
        if !self.sessions.values().any(|session| session.has(number)) {
            self.record.acknowledged(number);
        }
    }

    /// The connection has ended.
    pub(super) fn leave(&mut self, connection: u64) {
        let now = Instant::now();
        let Some(session) = self.session(connection) else { return };
        session.connection = None;
        if session.expires_after.is_zero() {
            let client_id = session.client_id.clone();
            if let Some(session) = self.sessions.remove(&client_id) {
                session.drop_as_asked(&self.record, "the session ends with its connection");
            }
        } else {
            session.expires_at = Some(now + session.expires_after);
            let client_id = session.client_id.clone();
            self.hand_over(&client_id);
        }
    }

    /// What a member of a group leaves goes to another that is there, where the broker does that.
    fn hand_over(&mut self, client_id: &str) {
        let filters = |session: &Session| -> Vec<_> {
            let shared = session.subscriptions.iter().filter(|subscription| subscription.filter.is_shared());
            shared.map(|subscription| subscription.filter.clone()).collect()
        };
        let shared = self.sessions.get(client_id).map(filters).unwrap_or_default();
        if shared.is_empty() || !self.habits.redistributes {
            return;
        }
        let is_heir = |session: &&Session| session.connection.is_some() && filters(session) == shared;
        let Some(heir) = self.sessions.values().find(is_heir).map(|session| session.client_id.clone()) else { return };
        let Some(session) = self.sessions.get_mut(client_id) else { return };
        let again = session.comes_again();
        let all = session.take_all();
        self.record.sent_again(&again, Again::Unknown);
        self.record.broker(format!("hands {} of {client_id} over to {heir}", all.len()));
        all.into_iter().for_each(|stored| self.keep(&heir, stored));
    }

    /// Forgets the sessions whose time is over.
    pub(super) fn expire(&mut self) {
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
