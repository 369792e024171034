//! Idle connections by target, and the permission to open another, so that a cold start does not begin with as many
//! handshakes as there are requests. Keeps only connections whose last exchange ended well, and opens none.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection::Connection;
use super::origin::Origin;

/// Idle connections that are kept for one origin, more than there are lanes in any sensible configuration.
const MOST: usize = 1_000;

/// Below the time after which servers and load balancers close an idle connection, so that closing seldom meets a
/// request.
const IDLE: Duration = Duration::from_secs(15);

/// After this time a connection is replaced by one to the address that its name has now: a service may have moved while
/// its old address still answers.
const OLDEST: Duration = Duration::from_mins(5);

/// Connections of one origin that may be made at once, at first: 256 handshakes at once kept the last of them waiting
/// for more than a second. One more for each that has succeeded, so that a far service is waited for in a few round
/// trips all the same; and these again once one has failed.
pub(super) const FIRST_DIALS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<HashMap<Origin, Lot>>);

/// The state of one origin.
#[derive(Debug)]
struct Lot {
    /// In the order in which they became idle.
    idle: VecDeque<(Instant, Connection)>,
    /// Connections that are being made, and how many may be.
    dials: usize,
    most_dials: usize,
    /// Told whenever there is one more of either.
    change: Arc<Notify>,
}

/// The result of a wait for a connection.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// One that is idle.
    Idle(Connection),
    /// The right to make one.
    Dial(Dial<'a>),
}

/// The right to make a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Dial<'a> {
    pool: &'a Pool,
    origin: &'a Origin,
    succeeded: bool,
}

impl Pool {
    /// The one that was used last, if there is one that may be used.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        self.lots().get_mut(origin)?.take()
    }

    /// Waits for one that is idle, or for the right to make one, whichever is first.
    pub(super) async fn next<'a>(&'a self, origin: &'a Origin) -> Next<'a> {
        loop {
            let change = Arc::clone(&self.lots().entry(origin.clone()).or_default().change);
            let changed = change.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change in between is missed.
            changed.as_mut().enable();
            if let Some(next) = self.now(origin) {
                return next;
            }
            changed.await;
        }
    }

    fn now<'a>(&'a self, origin: &'a Origin) -> Option<Next<'a>> {
        let mut lots = self.lots();
        let lot = lots.entry(origin.clone()).or_default();
        if let Some(connection) = lot.take() {
            return Some(Next::Idle(connection));
        }
        let may_dial = lot.dials < lot.most_dials;
        may_dial.then(|| {
            lot.dials += 1;
            Next::Dial(Dial { pool: self, origin, succeeded: false })
        })
    }

    /// Closes all that lead there. When one connection is dead the others often are, and each would cost an attempt.
    pub(super) fn forget(&self, origin: &Origin) {
        if let Some(lot) = self.lots().get_mut(origin) {
            lot.idle.clear();
            lot.most_dials = FIRST_DIALS;
        }
    }

    /// Keeps a connection whose exchange has ended.
    pub(super) fn put(&self, origin: &Origin, connection: Connection) {
        let mut lots = self.lots();
        match lots.get_mut(origin) {
            Some(lot) => lot.put(connection),
            None => lots.entry(origin.clone()).or_default().put(connection),
        }
    }

    fn lots(&self) -> MutexGuard<'_, HashMap<Origin, Lot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Lot {
    fn default() -> Self {
        Self { idle: VecDeque::new(), dials: 0, most_dials: FIRST_DIALS, change: Arc::default() }
    }
}

impl Lot {
    fn take(&mut self) -> Option<Connection> {
        let now = Instant::now();
        std::iter::from_fn(|| self.idle.pop_back()).find(|idle| usable(idle, now)).map(|(_, connection)| connection)
    }

    fn put(&mut self, connection: Connection) {
        let now = Instant::now();
        // So that a call costs the same however many there are, only the one that was idle for longest is looked at.
        while self.idle.len() >= MOST || self.idle.front().is_some_and(|oldest| !usable(oldest, now)) {
            self.idle.pop_front();
        }
        self.idle.push_back((now, connection));
        self.change.notify_one();
    }
}

impl Dial<'_> {
    /// It has become a connection.
    pub(super) fn succeeded(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        let mut lots = self.pool.lots();
        let Some(lot) = lots.get_mut(self.origin) else { return };
        lot.dials -= 1;
        lot.most_dials = if self.succeeded { (lot.most_dials + 1).min(MOST) } else { FIRST_DIALS };
        // One waiter for the place that is free again, and one because the limit has grown.
        lot.change.notify_one();
        lot.change.notify_one();
    }
}

fn usable((since, connection): &(Instant, Connection), now: Instant) -> bool {
    now.duration_since(*since) < IDLE && now.duration_since(connection.made) < OLDEST && !connection.is_closed()
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
    async fn what_was_idle_for_too_long_is_closed_when_the_next_exchange_ends_and_the_page_says_so() {
        use tokio::io::AsyncReadExt;
        let (pool, (old, mut theirs), (next, _others)) = (Pool::default(), connection().await, connection().await);
        pool.put(&origin(), old);
        tokio::time::advance(IDLE).await;
        pool.put(&origin(), next);
        let mut rest = Vec::new();
        let end = tokio::time::timeout(IDLE, theirs.read_to_end(&mut rest)).await;
        assert_eq!(end.expect("it is closed").unwrap(), 0);
        let page = include_str!("../../../../docs/guarantees.md");
        assert!(page.contains(&format!("that was idle for {} s is not used again", IDLE.as_secs())));
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
        while pool.lots().values().flat_map(|lot| &lot.idle).any(|(_, connection)| !connection.is_closed()) {
            tokio::task::yield_now().await;
        }
        assert!(pool.take(&origin()).is_none());
    }

    /// The right to make one, if there is any now.
    fn dial(pool: &Pool) -> Option<Dial<'_>> {
        static ORIGIN: std::sync::OnceLock<Origin> = std::sync::OnceLock::new();
        match pool.now(ORIGIN.get_or_init(origin)) {
            Some(Next::Dial(dial)) => Some(dial),
            Some(Next::Idle(_)) => panic!("none was put there"),
            None => None,
        }
    }

    fn dials(pool: &Pool) -> Vec<Dial<'_>> {
        std::iter::from_fn(|| dial(pool)).collect()
    }

    #[test]
    fn connections_are_made_a_few_at_once_and_more_with_each_that_succeeds() {
        let pool = Pool::default();
        for round in 0..4 {
            let dials = dials(&pool);
            assert_eq!(dials.len(), FIRST_DIALS << round);
            dials.into_iter().for_each(Dial::succeeded);
        }
        let mut many = dials(&pool);
        drop(many.pop());
        assert!(dial(&pool).is_none(), "after a failure there are more than a few under way");
        drop(many);
        assert_eq!(dials(&pool).len(), FIRST_DIALS);
    }

    #[test]
    fn what_was_forgotten_begins_with_a_few_again() {
        let pool = Pool::default();
        dials(&pool).into_iter().for_each(Dial::succeeded);
        pool.forget(&origin());
        assert_eq!(dials(&pool).len(), FIRST_DIALS);
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_there_first_and_who_gives_up_takes_no_turn() {
        let (pool, origin) = (Pool::default(), origin());
        let mut under_way = dials(&pool);
        let gives_up = pool.next(&origin);
        assert!(tokio::time::timeout(Duration::ZERO, gives_up).await.is_err());
        let (connection, _theirs) = connection().await;
        let putting = async {
            tokio::task::yield_now().await;
            pool.put(&origin, connection);
        };
        let (next, ()) = tokio::join!(pool.next(&origin), putting);
        assert!(matches!(next, Next::Idle(_)), "{next:?}");
        let failing = async {
            tokio::task::yield_now().await;
            drop(under_way.pop());
        };
        let (next, ()) = tokio::join!(pool.next(&origin), failing);
        assert!(matches!(next, Next::Dial(_)), "{next:?}");
    }
}
