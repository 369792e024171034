//! A connection in memory with a network's faults: it delays, splits and joins bytes, breaks, lets nothing through, or
//! breaks in one direction. Knows no packets.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::chance::Chance;

/// What a socket's buffers hold.
const BUFFER: usize = 16 * 1024;

/// What a link does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It carries them.
    Whole,
    /// Nothing gets through, and nobody is told; what is sent meanwhile comes when it is over.
    BlackHole,
    /// The same, for ever.
    Gone,
    /// It carries those to the bridge alone; the broker sees an end.
    HalfClosed,
    /// Both ends see an end.
    Cut,
}

/// How fast and in what pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The longest delay of a piece, in milliseconds.
    pub(super) delay: u64,
    /// The largest piece.
    pub(super) piece: u64,
}

/// All connections to a broker, whole or not.
#[derive(Debug, Clone, Default)]
pub(super) struct Links(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    links: Vec<watch::Sender<State>>,
    /// When the last black hole began, and ended.
    hole: Option<(Instant, Option<Instant>)>,
    /// There are no new ones until then.
    closed_until: Option<Instant>,
}

impl Links {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the state of all that are there. How many there were.
    pub(super) fn set(&self, state: State) -> usize {
        let mut inner = self.inner();
        if state == State::BlackHole && !matches!(inner.hole, Some((_, None))) {
            inner.hole = Some((Instant::now(), None));
        }
        let links = &mut inner.links;
        links.retain(|link| link.receiver_count() > 0);
        for link in links.iter() {
            link.send_if_modified(|now| {
                *now != State::Gone && {
                    *now = state;
                    true
                }
            });
        }
        links.len()
    }

    /// Whether there are any.
    pub(super) fn are_there(&self) -> bool {
        self.inner().links.iter().any(|link| link.receiver_count() > 0)
    }

    /// Cuts one of those that are there.
    pub(super) fn cut_one(&self, chance: &mut Chance) {
        let links = &mut self.inner().links;
        links.retain(|link| link.receiver_count() > 0);
        if !links.is_empty() {
            let _ = links[chance.index(links.len())].send(State::Cut);
        }
    }

    /// There are no new ones until then.
    pub(super) fn close_until(&self, until: Instant) {
        self.inner().closed_until = Some(until);
    }

    pub(super) fn are_closed(&self) -> bool {
        self.inner().closed_until.is_some_and(|until| until > Instant::now())
    }

    /// Ends all black holes.
    pub(super) fn reopen(&self) {
        let mut inner = self.inner();
        if let Some((_, ended)) = &mut inner.hole {
            ended.get_or_insert_with(Instant::now);
        }
        for link in &inner.links {
            link.send_if_modified(|state| {
                *state == State::BlackHole && {
                    *state = State::Whole;
                    true
                }
            });
        }
    }

    /// Since when what arrives now may have been on its way: for so long at most, and longer behind a black hole.
    pub(super) fn on_its_way_since(&self, at_most: Duration) -> Option<Instant> {
        let now = Instant::now();
        let sent = match self.inner().hole {
            Some((began, Some(ended))) if now.saturating_duration_since(ended) <= at_most => began,
            _ => now,
        };
        sent.checked_sub(at_most)
    }

    /// A new connection: the bridge's end, and the broker's.
    pub(super) fn connect(&self, pace: Pace, mut chance: Chance) -> (DuplexStream, DuplexStream) {
        let ((near, left), (right, far)) = (duplex(BUFFER), duplex(BUFFER));
        let (state, heard) = watch::channel(State::Whole);
        self.inner().links.push(state);
        let other = Chance::of(chance.number(0..u64::MAX), 1);
        tokio::spawn(async move {
            let ((from_bridge, to_bridge), (from_broker, to_broker)) = (split(left), split(right));
            let up = Direction { from: from_bridge, to: to_broker, state: heard.clone(), upwards: true, pace, chance };
            let down =
                Direction { from: from_broker, to: to_bridge, state: heard, upwards: false, pace, chance: other };
            // Both, until both have ended: an end in one direction says nothing of the other.
            tokio::join!(up.carry(), down.carry());
        });
        (near, far)
    }
}

struct Direction {
    from: ReadHalf<DuplexStream>,
    to: WriteHalf<DuplexStream>,
    state: watch::Receiver<State>,
    upwards: bool,
    pace: Pace,
    chance: Chance,
}

impl Direction {
    async fn carry(mut self) {
        let mut piece = vec![0; BUFFER];
        while let Some(bytes) = self.next(&mut piece).await {
            sleep(self.chance.millis(0..self.pace.delay + 1)).await;
            if !self.is_open().await {
                break;
            }
            let written = tokio::select! {
                biased;
                _ = self.state.wait_for(|state| *state == State::Cut) => break,
                written = self.to.write_all(&piece[..bytes]) => written,
            };
            if written.is_err() {
                break;
            }
        }
        // An error means that the other end is gone already.
        let _ = self.to.shutdown().await;
    }

    /// The next piece; `None` when there is none any more.
    async fn next(&mut self, piece: &mut [u8]) -> Option<usize> {
        loop {
            if !self.is_open().await {
                return None;
            }
            let most = usize::try_from(self.chance.number(1..self.pace.piece + 1)).unwrap_or(1).min(piece.len());
            tokio::select! {
                biased;
                changed = self.state.changed() => changed.ok()?,
                read = self.from.read(&mut piece[..most]) => return read.ok().filter(|bytes| *bytes > 0),
            }
        }
    }

    /// Whether it still carries bytes. Those in a black hole wait, as TCP sends them again when it is over.
    async fn is_open(&mut self) -> bool {
        let holds = |state: &State| !matches!(state, State::BlackHole | State::Gone);
        let Ok(state) = self.state.wait_for(holds).await.map(|state| *state) else { return false };
        match state {
            State::Cut => false,
            State::HalfClosed => !self.upwards,
            State::Whole | State::BlackHole | State::Gone => true,
        }
    }
}
