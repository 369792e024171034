//! The TLS configuration in use, and its renewal while the bridge runs: a new set of files is checked as a whole, new
//! connections use it, and the existing ones reconnect one after the other. An invalid set leaves the old one in use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::certificate::day;
use super::error::TlsError;
use super::files::Files;
use super::generations::{Freshness, Generations};
use super::set::{Part, Set};
use crate::config::Tls;
use crate::crypto;
use crate::metrics::TlsMetrics;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often a certificate that ends soon is spoken of.
const REMIND_EVERY: Duration = Duration::from_hours(24);

/// The TLS configuration of all connections of a bridge. Cheap to clone; all clones are renewed at once.
#[derive(Clone)]
pub struct LiveTls(Arc<Inner>);

struct Inner {
    settings: Tls,
    metrics: TlsMetrics,
    state: Mutex<State>,
    generations: Generations,
}

struct State {
    /// What `set` was built from.
    files: Files,
    set: Set,
    /// The set that was refused last, so that it is logged once.
    refused: Option<Reading>,
}

/// Something of the files that has ended, or ends soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminder {
    /// Which, and when.
    pub said: String,
    /// Nothing but new files helps.
    pub has_ended: bool,
}

type Reading = Result<Files, TlsError>;

impl LiveTls {
    /// Reads the files and builds the first set. What has expired is warned of and not refused, as long as something is
    /// left to trust, because the bridge must be running when the files are renewed.
    ///
    /// # Errors
    /// When a file is missing, empty, unreadable or open to other users, when certificate and key do not match, or when
    /// no authority is valid.
    pub fn load(settings: Tls, metrics: TlsMetrics) -> Result<Self, TlsError> {
        let files = Files::read(&settings)?;
        let set = Set::build(&files, &settings, SystemTime::now())?;
        let state = Mutex::new(State { files, set, refused: None });
        let live = Self(Arc::new(Inner { settings, metrics, state, generations: Generations::default() }));
        live.show();
        info!(event = "tls.loaded", provider = crypto::PROVIDER, "TLS set up");
        live.remind();
        Ok(live)
    }

    /// The files that have expired, and then those that expire soon.
    #[must_use]
    pub fn reminders(&self) -> Vec<Reminder> {
        let (now, state) = (SystemTime::now(), self.state());
        let ended = state.set.troubles(now).map(|(part, said)| {
            // Of several authorities those that have not ended are used.
            Reminder { said: format!("{}: {said}", part.in_words()), has_ended: part != Part::Authority }
        });
        let soon = state.set.dates.iter().filter(|(_, dates)| dates.trouble(now).is_none() && dates.ends_soon(now));
        let soon = soon.filter_map(|(part, dates)| {
            let said = format!("{}: `{}` is valid until {}", part.in_words(), dates.name, day(dates.until?));
            Some(Reminder { said, has_ended: false })
        });
        ended.chain(soon).collect()
    }

    /// Reads the files again, at once, and takes them into use if they are new and good. True when they were new. What
    /// comes of it is logged and counted.
    ///
    /// # Errors
    /// When the files cannot be used; then the old set stays in use.
    pub async fn renew(&self) -> Result<bool, TlsError> {
        let reading = self.read().await;
        self.take(reading)
    }

    /// Checks the files every two seconds. Never returns. What has changed is taken into use when it has stayed the
    /// same for two looks, so that nobody's half-written set is.
    pub async fn watch(self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut reminded) = (None, Instant::now());
        loop {
            looks.tick().await;
            let reading = self.read().await;
            if last.as_ref() == Some(&reading) && self.is_news(&reading) {
                // `take` has logged the error.
                let _ = self.take(reading.clone());
            }
            last = Some(reading);
            if reminded.elapsed() >= REMIND_EVERY {
                reminded = Instant::now();
                self.remind();
            }
        }
    }

    /// The configuration for a new connection, and its generation.
    ///
    /// # Errors
    /// When every authority of the set has expired since it was built.
    pub(in crate::mqtt) fn current(&self) -> Result<(Arc<ClientConfig>, u64), TlsError> {
        let mut state = self.state();
        let now = SystemTime::now();
        if state.set.rebuild_at.is_some_and(|at| at <= now) {
            state.set = Set::build(&state.files, &self.0.settings, now)?;
        }
        Ok((state.set.client.clone(), self.generation()))
    }

    /// The name that is verified in place of the brokers' hosts, if it is configured.
    pub(in crate::mqtt) fn server_name(&self) -> Option<&str> {
        self.0.settings.server_name.as_deref()
    }

    /// The number of the set in use.
    pub(in crate::mqtt) fn generation(&self) -> u64 {
        self.0.generations.newest()
    }

    /// For a connection that was made with the set of that number.
    pub(in crate::mqtt) fn freshness(&self, generation: u64) -> Freshness {
        self.0.generations.freshness(generation)
    }

    /// The parameters that a broker has agreed to.
    pub(in crate::mqtt) fn connected(&self, version: String, suite: String, group: String) {
        self.0.metrics.connected(version, suite, group);
    }

    /// On another thread: a file system that hangs must not hang the sessions.
    async fn read(&self) -> Reading {
        let settings = self.0.settings.clone();
        match tokio::task::spawn_blocking(move || Files::read(&settings)).await {
            Ok(reading) => reading,
            Err(error) => Err(TlsError::Setup(format!("the files were not read: {error}"))),
        }
    }

    /// Whether it is neither in use nor just refused. What is in use again after a bad set needs no taking.
    fn is_news(&self, reading: &Reading) -> bool {
        let mut state = self.state();
        if reading.as_ref() == Ok(&state.files) && state.refused.take().is_some() {
            self.0.metrics.files_good(true);
            info!(event = "tls.restored", "the TLS files are those in use again");
        }
        reading.as_ref() != Ok(&state.files) && state.refused.as_ref() != Some(reading)
    }

    fn take(&self, reading: Reading) -> Result<bool, TlsError> {
        let now = SystemTime::now();
        let built = reading.clone().and_then(|files| {
            if files == self.state().files {
                return Ok(None);
            }
            let set = Set::build(&files, &self.0.settings, now)?;
            refuse_expired(&set, now)?;
            Ok(Some((files, set)))
        });
        match built {
            Ok(None) => Ok(false),
            Ok(Some((files, set))) => {
                *self.state() = State { files, set, refused: None };
                self.0.generations.advance();
                self.0.metrics.renewed(true);
                self.0.metrics.files_good(true);
                self.show();
                info!(event = "tls.renewed", generation = self.generation(), "new TLS files in use");
                self.remind();
                Ok(true)
            }
            Err(cause) => {
                self.state().refused = Some(reading);
                self.0.metrics.renewed(false);
                self.0.metrics.files_good(false);
                error!(event = "tls.refused", %cause, "new TLS files refused: the old ones stay in use");
                Err(cause)
            }
        }
    }

    /// Warns of what ends soon, or has ended.
    fn remind(&self) {
        let (now, state) = (SystemTime::now(), self.state());
        for (part, trouble) in state.set.troubles(now) {
            warn!(
                event = "tls.expired",
                of = part.name(),
                reason = trouble,
                "certificate or revocation list has expired; replace the file"
            );
        }
        for (part, dates) in state.set.dates.iter().filter(|(_, dates)| dates.trouble(now).is_none()) {
            if dates.ends_soon(now) {
                let until = dates.until.map(day).map(tracing::field::display);
                warn!(event = "tls.expiring", of = part.name(), name = dates.name, until, "renew it in time");
            }
        }
    }

    /// Sets the gauges.
    fn show(&self) {
        let state = self.state();
        for part in [Part::Certificate, Part::Authority, Part::RevocationList] {
            let of_part = state.set.dates.iter().filter(|(of, _)| *of == part);
            if let Some(first) = of_part.filter_map(|(_, dates)| dates.until).min() {
                self.0.metrics.expires(part.name(), first);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has no date to wait for is no renewal. An authority that has ended is left out of the set in any case.
fn refuse_expired(set: &Set, now: SystemTime) -> Result<(), TlsError> {
    match set.troubles(now).find(|(part, _)| *part != Part::Authority) {
        Some((part, trouble)) => Err(TlsError::Setup(format!("{}: {trouble}", part.in_words()))),
        None => Ok(()),
    }
}
