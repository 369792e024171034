//! State that is not a count: for each mapping the last error of each kind as text, since when it is paused, and the
//! state of its sessions. For the status page; bounded, and never a payload.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::failing::Failing;
use crate::clock::now;
use crate::foreign::one_line;

/// The most bytes of an error's text that are kept.
const LONGEST_TEXT: usize = 600;

/// Says that nothing is in flight.
const NOTHING: u64 = u64::MAX;

/// What a trouble is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// The connection to the broker, and the subscription.
    Broker,
    /// Getting an answer from Lambda.
    Lambda,
    /// What the function answers.
    Function,
    /// Writing dead letters.
    Destination,
    /// Publishing the function's answers.
    Answers,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broker => "broker",
            Self::Lambda => "lambda",
            Self::Function => "function",
            Self::Destination => "failure destination",
            Self::Answers => "answers",
        })
    }
}

/// The last trouble of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is about.
    pub about: About,
    /// In words that have passed the same gates as a log line.
    pub text: String,
    /// How often there was any of the kind since the process started.
    pub count: u64,
    /// The first since this last went well.
    pub since: SystemTime,
    /// The last.
    pub last: SystemTime,
    /// Whether it has gone well again since.
    pub is_over: bool,
}

/// How a session is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// When CONNACK came.
    pub since: SystemTime,
    /// What CONNACK said of the session.
    pub session_present: bool,
    /// How long the broker keeps the session without a connection; MQTT 3.1.1 has no words for it.
    pub session_expiry: Option<Duration>,
    /// What the TLS handshake agreed on: version, cipher suite, key exchange group.
    pub tls: [String; 3],
}

/// Of one mapping. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What moments are counted from.
    begun: Instant,
    known: Mutex<Known>,
    failing: Failing,
}

#[derive(Debug, Default)]
struct Known {
    troubles: BTreeMap<About, Trouble>,
    paused_since: Option<SystemTime>,
    subscribed_since: Option<Instant>,
    sessions: BTreeMap<String, Arc<OneSession>>,
}

#[derive(Debug)]
struct OneSession {
    connection: Mutex<Option<Connection>>,
    /// When the oldest message in flight was received, in milliseconds since `begun`.
    oldest: AtomicU64,
}

/// Of one session, which alone writes it. Dropping it ends the entry.
#[derive(Debug)]
pub struct LiveSession {
    client_id: String,
    session: Arc<OneSession>,
    live: Live,
}

impl Default for Live {
    fn default() -> Self {
        Self(Arc::new(Inner { begun: now(), known: Mutex::default(), failing: Failing::default() }))
    }
}

impl Live {
    /// Something has gone wrong; the text has passed the gate for foreign words.
    pub fn failed(&self, about: About, text: &str) {
        let at = SystemTime::now();
        let text = shortened(one_line(text));
        let mut known = self.known();
        let new = || Trouble { about, text: String::new(), count: 0, since: at, last: at, is_over: false };
        let trouble = known.troubles.entry(about).or_insert_with(new);
        if trouble.is_over {
            (trouble.since, trouble.is_over) = (at, false);
        }
        (trouble.text, trouble.last) = (text, at);
        trouble.count += 1;
    }

    /// It goes well.
    pub fn went_well(&self, about: About) {
        if let Some(trouble) = self.known().troubles.get_mut(&about) {
            trouble.is_over = true;
        }
    }

    /// An operator holds the mapping, or lets it go; each of its sessions may say so.
    pub fn pause(&self, paused: bool) {
        let mut known = self.known();
        known.paused_since = if paused { Some(known.paused_since.unwrap_or_else(SystemTime::now)) } else { None };
    }

    /// Whether all its invocations fail.
    #[must_use]
    pub fn failing(&self) -> &Failing {
        &self.0.failing
    }

    /// A session is subscribed.
    pub fn subscribed(&self) {
        self.known().subscribed_since.get_or_insert_with(now);
    }

    /// For how long it has been subscribed, whatever became of the connection since; none before it was.
    #[must_use]
    pub fn subscribed_for(&self) -> Option<Duration> {
        self.known().subscribed_since.map(|since| now().saturating_duration_since(since))
    }

    /// A session of that client id, not connected yet.
    #[must_use]
    pub fn session(&self, client_id: &str) -> LiveSession {
        let session = Arc::new(OneSession { connection: Mutex::default(), oldest: AtomicU64::new(NOTHING) });
        self.known().sessions.insert(client_id.to_owned(), session.clone());
        LiveSession { client_id: client_id.to_owned(), session, live: self.clone() }
    }

    /// The last trouble of each kind, the newest first.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        let mut all: Vec<_> = self.known().troubles.values().cloned().collect();
        all.sort_by_key(|trouble| std::cmp::Reverse(trouble.last));
        all
    }

    /// Since when the mapping is paused.
    #[must_use]
    pub fn paused_since(&self) -> Option<SystemTime> {
        self.known().paused_since
    }

    /// The sessions by client id, and how each is connected.
    #[must_use]
    pub fn sessions(&self) -> Vec<(String, Option<Connection>)> {
        let known = self.known();
        known.sessions.iter().map(|(id, session)| (id.clone(), locked(&session.connection).clone())).collect()
    }

    /// How long the oldest message without an outcome has been here.
    #[must_use]
    pub fn oldest_in_flight(&self) -> Option<Duration> {
        let oldest = self.known().sessions.values().map(|session| session.oldest.load(Ordering::Relaxed)).min();
        let received = oldest.filter(|oldest| *oldest != NOTHING).map(Duration::from_millis);
        received.map(|received| now().saturating_duration_since(self.0.begun).saturating_sub(received))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        locked(&self.0.known)
    }
}

impl LiveSession {
    /// CONNACK has arrived, or the connection is closed.
    pub fn connection(&self, connection: Option<Connection>) {
        *locked(&self.session.connection) = connection;
    }

    /// The oldest message in flight was received then.
    pub fn oldest(&self, received: Option<Instant>) {
        let since = received.map(|received| received.saturating_duration_since(self.live.0.begun).as_millis());
        let since = since.map_or(NOTHING, |since| u64::try_from(since).unwrap_or(NOTHING));
        self.session.oldest.store(since, Ordering::Relaxed);
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        let mut known = self.live.known();
        // A session that came after it may have the same client id.
        if known.sessions.get(&self.client_id).is_some_and(|session| Arc::ptr_eq(session, &self.session)) {
            known.sessions.remove(&self.client_id);
        }
    }
}

/// The content is complete even after a panic, because no panic can happen during a write.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_counts_on_and_starts_over_after_it_went_well() {
        let live = Live::default();
        live.failed(About::Lambda, "throttled\nby someone");
        live.failed(About::Lambda, "timeout");
        let first = live.troubles().remove(0);
        assert_eq!((first.text.as_str(), first.count, first.is_over), ("timeout", 2, false));
        live.went_well(About::Lambda);
        live.went_well(About::Broker);
        assert!(live.troubles()[0].is_over);
        live.failed(About::Lambda, "timeout");
        let again = live.troubles().remove(0);
        assert_eq!((again.count, again.is_over), (3, false));
        assert!(again.since > first.since, "since it last went well");
    }

    #[test]
    fn text_stays_on_its_line_and_within_its_length() {
        let live = Live::default();
        live.failed(About::Broker, "refused\r\nby ü");
        assert_eq!(live.troubles()[0].text, r"refused\r\nby ü");
        live.failed(About::Broker, &"ü".repeat(5_000));
        assert!(live.troubles()[0].text.len() <= LONGEST_TEXT + '…'.len_utf8());
    }

    #[test]
    fn paused_since_is_when_it_was_first_said() {
        let live = Live::default();
        live.pause(true);
        let since = live.paused_since().unwrap();
        live.pause(true);
        assert_eq!(live.paused_since(), Some(since));
        live.pause(false);
        assert_eq!(live.paused_since(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_all_sessions_counts_and_an_ended_one_leaves() {
        let live = Live::default();
        assert_eq!(live.oldest_in_flight(), None);
        let (a, b) = (live.session("a"), live.session("b"));
        a.oldest(Some(now()));
        tokio::time::advance(Duration::from_secs(5)).await;
        b.oldest(Some(now()));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(live.oldest_in_flight(), Some(Duration::from_secs(7)));
        let successor = live.session("a");
        drop(a);
        assert_eq!(live.sessions().len(), 2, "the successor stays");
        assert_eq!(live.oldest_in_flight(), Some(Duration::from_secs(2)));
        drop((successor, b));
        assert_eq!(live.sessions(), []);
    }
}
