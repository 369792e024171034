//! Connections that have nothing to do, by where they lead. Holds none that an exchange has not ended well on, and makes none.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::origin::Origin;

/// Idle connections that are kept for one origin, more than there are lanes in any sensible configuration.
const MOST: usize = 1_000;

/// Below the time after which servers and load balancers close an idle connection, so that closing seldom meets a request.
const IDLE: Duration = Duration::from_secs(15);

/// After this time a connection is replaced by one to the address that its name has now: a service may have moved while its
/// old address still answers.
const OLDEST: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Those of an origin in the order in which they became idle.
    idle: Mutex<HashMap<Origin, VecDeque<(Instant, Connection)>>>,
}

impl Pool {
    /// The one that was used last, if there is one that may be used.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(origin)?;
        std::iter::from_fn(|| connections.pop_back()).find(usable).map(|(_, connection)| connection)
    }

    /// Closes all that lead there. When one connection is dead the others often are, and each would cost an attempt.
    pub(super) fn forget(&self, origin: &Origin) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(origin);
    }

    /// Keeps a connection whose exchange has ended.
    pub(super) fn put(&self, origin: &Origin, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !idle.contains_key(origin) {
            idle.insert(origin.clone(), VecDeque::new());
        }
        let Some(connections) = idle.get_mut(origin) else { return };
        // So that a call costs the same however many there are, only the one that was idle for longest is looked at.
        while connections.len() >= MOST || connections.front().is_some_and(|oldest| !usable(oldest)) {
            connections.pop_front();
        }
        connections.push_back((Instant::now(), connection));
    }
}

fn usable((since, connection): &(Instant, Connection)) -> bool {
    since.elapsed() < IDLE && connection.made.elapsed() < OLDEST && !connection.is_closed()
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    async fn connection() -> (Connection, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        (Connection::over(ours, None).await.unwrap(), theirs)
    }

    fn origin() -> Origin {
        Origin::of(&"http://aws.test".parse().unwrap()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_idle_for_too_long_is_closed() {
        let (pool, (connection, _theirs)) = (Pool::default(), connection().await);
        pool.put(&origin(), connection);
        tokio::time::advance(IDLE.saturating_sub(Duration::from_millis(1))).await;
        pool.put(&origin(), pool.take(&origin()).expect("it is kept until then"));
        tokio::time::advance(IDLE).await;
        assert!(pool.take(&origin()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_always_busy_is_replaced_too() {
        let (pool, (mut connection, _theirs)) = (Pool::default(), connection().await);
        let mut uses = 0;
        while uses < 1_000 {
            pool.put(&origin(), connection);
            tokio::time::advance(IDLE / 2).await;
            let Some(taken) = pool.take(&origin()) else { break };
            (connection, uses) = (taken, uses + 1);
        }
        assert_eq!(uses, OLDEST.as_secs() * 2 / IDLE.as_secs() - 1);
    }

    #[tokio::test]
    async fn there_is_a_limit_to_what_is_kept() {
        let pool = Pool::default();
        let mut theirs = Vec::new();
        for _ in 0..MOST + 3 {
            let (connection, other) = connection().await;
            theirs.push(other);
            pool.put(&origin(), connection);
        }
        let kept = std::iter::from_fn(|| pool.take(&origin())).count();
        assert_eq!(kept, MOST);
    }

    #[tokio::test]
    async fn what_the_server_has_closed_is_not_used() {
        let (pool, (connection, theirs)) = (Pool::default(), connection().await);
        pool.put(&origin(), connection);
        drop(theirs);
        while pool.idle.lock().unwrap().values().flatten().any(|(_, connection)| !connection.is_closed()) {
            tokio::task::yield_now().await;
        }
        assert!(pool.take(&origin()).is_none());
    }
}
