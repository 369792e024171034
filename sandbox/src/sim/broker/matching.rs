//! Which sessions get a message, by which of their subscriptions, and in how many copies.

use std::collections::BTreeMap;

use bridge::config::Protocol;

use super::State;
use super::session::{Session, Stored, Subscription};
use crate::sim::mapping::Mapping;

/// One copy for one session.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) client_id: String,
    /// The subscriptions that it comes by.
    pub(super) by: Vec<Subscription>,
    /// Whether another copy may come to the function, too: the bridge cannot tell them apart.
    pub(super) repeats: bool,
}

impl Copy {
    /// The mapping that it is owed to.
    pub(super) fn mapping(&self) -> Mapping {
        Mapping::of_client(&self.client_id)
    }
}

impl State {
    /// Each session for itself gets one message, or one for each of its subscriptions (MQTT 5, 3.3.4); of each group one
    /// member gets one (4.8.2).
    pub(super) fn copies(&mut self, topic: &str) -> Vec<Copy> {
        let mut copies = Vec::new();
        for session in self.sessions.values() {
            let matching = session.matching(topic).filter(|subscription| !subscription.filter.is_shared());
            let mut matching: Vec<_> = matching.cloned().collect();
            if self.habits.last_first {
                matching.reverse();
            }
            let apart = self.tells_apart(session);
            let copy = |by, repeats| Copy { client_id: session.client_id.clone(), by, repeats };
            if self.habits.sends_each {
                let number = matching.len();
                copies.extend(matching.into_iter().map(|by| copy(vec![by], number > 1 && !apart)));
            } else if !matching.is_empty() {
                copies.push(copy(matching, false));
            }
        }
        copies.extend(self.of_groups(topic));
        copies
    }

    /// Whether the bridge must know which copy is the first filter's: all filters have identifiers, and the session has had
    /// no message before it had all filters.
    fn tells_apart(&self, session: &Session) -> bool {
        let named = session.subscriptions.iter().all(|subscription| subscription.id.is_some());
        let whole = session.subscriptions.len() >= self.filters.len() && session.is_new && session.connection.is_some();
        // A broker that never says Session Present is not believed when it says the truth.
        whole && named && self.habits.says_present && self.protocol == Protocol::V5
    }

    /// Whether the bridge takes the other copies of this message for spare ones: this is that of the first filter, and all
    /// have identifiers.
    pub(super) fn is_for_the_function(&self, client_id: &str, stored: &Stored) -> bool {
        let Some(session) = self.sessions.get(client_id).filter(|_| stored.is_copy) else { return false };
        let named = session.subscriptions.iter().all(|subscription| subscription.id.is_some());
        let matching: Vec<_> = session.matching(&stored.topic).map(|by| by.filter.as_str()).collect();
        let first = self.filters.iter().copied().find(|text| matching.contains(text));
        let by = stored.by.first().map(|by| by.filter.as_str());
        named && self.protocol == Protocol::V5 && first.is_some() && by == first
    }

    fn of_groups(&mut self, topic: &str) -> Vec<Copy> {
        let mut groups: BTreeMap<&str, Vec<(&Session, &Subscription)>> = BTreeMap::new();
        for session in self.sessions.values() {
            for subscription in session.matching(topic).filter(|subscription| subscription.filter.is_shared()) {
                groups.entry(subscription.filter.as_str()).or_default().push((session, subscription));
            }
        }
        // Each mapping has a group, with as many filters.
        let repeats = groups.len() > 1 && self.filters.len() > 1;
        let mut copies = Vec::new();
        for mut members in groups.into_values() {
            // Who is connected comes first, where there is somebody.
            if members.iter().any(|(session, _)| session.connection.is_some()) {
                members.retain(|(session, _)| session.connection.is_some());
            }
            self.turn += 1;
            let (session, subscription) = members[self.turn % members.len()];
            copies.push(Copy { client_id: session.client_id.clone(), by: vec![subscription.clone()], repeats });
        }
        copies
    }
}
