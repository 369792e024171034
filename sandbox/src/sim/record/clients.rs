//! What is known of the bridge's clients: at which broker each was last, what it has noticed and what it has said.

use super::{FIRST, Record};

impl Record {
    /// This client of the bridge connects again, so that whatever was silent is over for it.
    pub(in crate::sim) fn reconnected(&self, client_id: &str) {
        let mut inner = self.inner();
        let silent = inner.silent;
        let noticed = inner.noticed.insert(client_id.to_owned(), silent).unwrap_or_default();
        if noticed < silent {
            inner.broke();
        }
    }

    /// This client connects to this broker. The number grows when the bridge knows nothing any more of what came on its
    /// last connection: as a process has started since, or as the client was at another broker.
    pub(in crate::sim) fn forgotten_by(&self, client_id: &str) -> u64 {
        let mut inner = self.inner();
        let restarts = inner.restarts;
        let (place, changes) = inner.places.entry(client_id.to_owned()).or_insert((self.broker, 0));
        *changes += u64::from(std::mem::replace(place, self.broker) != self.broker);
        restarts + *changes
    }

    /// Whether this client has connected to no other broker since it was at this one.
    pub(in crate::sim) fn is_here(&self, client_id: &str) -> bool {
        self.inner().places.get(client_id).is_some_and(|(place, _)| *place == self.broker)
    }

    /// Whether it is for the broker that the bridge prefers. Who leaves another one to go back says nothing more than its log
    /// does.
    pub(in crate::sim) fn is_of_the_first(&self) -> bool {
        self.broker == FIRST
    }

    /// The bridge says that it gives up a filter though the broker may have messages for it.
    pub(in crate::sim) fn said_unproven(&self, client_id: &str) {
        self.inner().said_unproven.insert(client_id.to_owned());
    }

    /// Whether it has just said so.
    pub(in crate::sim) fn has_said_unproven(&self, client_id: &str) -> bool {
        self.inner().said_unproven.remove(client_id)
    }
}
