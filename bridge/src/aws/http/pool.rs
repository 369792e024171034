//! Connections that have nothing to do, by where they lead. Holds none that an exchange has not ended well on, and makes none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::dial::{Connection, Origin};

/// Idle connections that are kept for one origin, more than there are lanes in any sensible configuration.
const MOST: usize = 1_000;

/// Below the time after which servers and load balancers close an idle connection, so that closing seldom meets a request.
const IDLE: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Origin, Vec<(Instant, Connection)>>>,
}

impl Pool {
    /// The one that was used last, if there is one that may be used.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(origin)?;
        discard(connections);
        connections.pop().map(|(_, connection)| connection)
    }

    /// Closes all that lead there. When one connection is dead the others often are, and each would cost an attempt.
    pub(super) fn forget(&self, origin: &Origin) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(origin);
    }

    /// Keeps a connection whose exchange has ended.
    pub(super) fn put(&self, origin: Origin, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.entry(origin).or_default();
        discard(connections);
        if connections.len() < MOST {
            connections.push((Instant::now(), connection));
        }
    }
}

fn discard(connections: &mut Vec<(Instant, Connection)>) {
    connections.retain(|(since, connection)| since.elapsed() < IDLE && !connection.is_closed());
}
