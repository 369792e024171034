//! Decides whether the mappings are ready or degraded, and collects notes for operators. `/readyz`, the metrics, the
//! status document and the log all use this decision. Changes nothing but the gauges that show it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::watched::{Standing, Watched, troubles};
use crate::config::{self, WhenDegraded};
use crate::foreign::one_line;
use crate::metrics::Metrics;
use crate::shutdown::Phase;

/// The age of the oldest message in flight from which a full window is worth a note; a busy mapping fills its window
/// for moments.
const FULL_FOR: Duration = Duration::from_mins(1);

/// When a mapping that works is judged to be degraded or silent.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// All its invocations must have failed for so long.
    pub degraded_after: Duration,
    /// How long it must be subscribed without any message.
    pub silent_after: Duration,
    /// Whether a degraded mapping counts as ready.
    pub degraded_is_ready: bool,
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// What the broker grants.
    Broker,
    /// Messages that are held for good.
    Held,
    /// An operator holds the mapping.
    Paused,
    /// No more messages come before others have their outcome.
    WindowFull,
    /// No message has ever come.
    Silent,
}

/// Notes about a ready mapping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The mapping.
    pub mapping: String,
    /// What it is about.
    pub matter: Matter,
    /// In words.
    pub text: String,
}

/// How all mappings stand at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Why the bridge is not ready, a line a session; empty when no mapping is in its way.
    pub troubles: String,
    /// What is degraded, a line a mapping.
    pub degraded: String,
    /// Notes about ready mappings.
    pub notes: Vec<Note>,
}

impl From<&config::Admin> for Limits {
    fn from(admin: &config::Admin) -> Self {
        let config::Admin { degraded, degraded_after, silent_after, .. } = *admin;
        Self { degraded_after, silent_after, degraded_is_ready: degraded == WhenDegraded::Ready }
    }
}

impl Health {
    /// The judgement.
    #[must_use]
    pub fn of(all: &[Watched], limits: Limits) -> Self {
        let mut degraded: Vec<_> =
            all.iter().filter_map(|watched| Some((watched, watched.degraded(limits)?))).collect();
        let mut notes: Vec<_> = all.iter().flat_map(|watched| watched.notes(limits)).collect();
        // The sessions of one mapping say the same of it.
        degraded.dedup_by(|(a, _), (b, _)| a.mapping == b.mapping);
        notes.dedup();
        let line = |(watched, why): (&Watched, String)| format!("degraded: mapping `{}`: {why}\n", watched.mapping);
        Self { troubles: troubles(all), degraded: degraded.into_iter().map(line).collect(), notes }
    }

    /// Whether all is ready, as far as it depends on the mappings.
    #[must_use]
    pub fn is_ready(&self, limits: Limits) -> bool {
        self.troubles.is_empty() && (limits.degraded_is_ready || self.degraded.is_empty())
    }

    /// The same in one short line, which changes with the state and not with the time that it lasts.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.troubles.lines().next() {
            Some(trouble) => format!("not ready: {trouble}"),
            None if self.degraded.is_empty() => "ready".to_owned(),
            None => "degraded: ask /readyz or the log for the reason".to_owned(),
        }
    }

    /// The body of `/readyz`.
    pub(super) fn in_words(&self) -> String {
        if !self.troubles.is_empty() {
            return self.troubles.clone();
        }
        let word = if self.degraded.is_empty() { "ready" } else { "degraded" };
        let notes: String = self.notes.iter().map(ToString::to_string).collect();
        format!("{word}\n{}{notes}", self.degraded)
    }
}

/// A line of `/readyz`.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "note: mapping `{}`: {}", self.mapping, self.text)
    }
}

impl Watched {
    /// Why it is degraded; `None` when it is not, or need not be ready.
    pub(super) fn degraded(&self, limits: Limits) -> Option<String> {
        if self.standing != Standing::Stays {
            return None;
        }
        let failing =
            self.about.as_ref().and_then(|about| about.metrics.live.failing().for_at_least(limits.degraded_after));
        let failing = failing.map(|streak| {
            let (count, time) = (streak.count, lasting(streak.last.saturating_duration_since(streak.since)));
            format!("every invocation has failed for {time} ({count} in all); the last one: {}", streak.reason)
        });
        let reasons: Vec<_> = failing.into_iter().chain(self.signs.letters.borrow().clone()).collect();
        (!reasons.is_empty()).then(|| one_line(&reasons.join("; ")))
    }

    /// Notes about it although it is ready.
    pub(super) fn notes(&self, limits: Limits) -> Vec<Note> {
        if self.standing != Standing::Stays {
            return Vec::new();
        }
        let all = [
            (Matter::Broker, self.granted()),
            (Matter::Held, self.held()),
            (Matter::Paused, self.paused_since()),
            (Matter::WindowFull, self.full_window()),
            (Matter::Silent, self.silence(limits.silent_after)),
        ];
        let note = |(matter, text): (Matter, Option<String>)| {
            Some(Note { mapping: self.mapping.clone(), matter, text: one_line(&text?) })
        };
        all.into_iter().filter_map(note).collect()
    }

    fn paused_since(&self) -> Option<String> {
        let since = self.about.as_ref()?.metrics.live.paused_since()?;
        let (at, time) = (humantime::format_rfc3339_seconds(since), lasting(since.elapsed().unwrap_or_default()));
        let name = &self.mapping;
        Some(format!(
            "paused since {at} ({time}); messages wait at the broker until `mqtt-lambda-bridge resume {name}`"
        ))
    }

    fn full_window(&self) -> Option<String> {
        let metrics = &self.about.as_ref()?.metrics;
        let (held, window) = (metrics.outstanding.get(), metrics.window_capacity.get());
        let oldest = metrics.live.oldest_in_flight().filter(|oldest| *oldest >= FULL_FOR)?;
        (window > 0 && held >= window).then(|| {
            let age = lasting(oldest);
            format!("window full: {held} of {window} messages in flight, the oldest for {age}; the broker sends no more until some are done")
        })
    }

    fn silence(&self, silent_after: Duration) -> Option<String> {
        let about = self.about.as_ref()?;
        let time = about.metrics.live.subscribed_for().filter(|time| *time >= silent_after)?;
        (about.metrics.last_received.get() == 0).then(|| {
            let (filter, time) = (&about.topic_filter, lasting(time));
            format!(
                "subscribed to `{filter}` for {time}, and no message has ever come: check the topic filter, and that the broker's \
                 access list lets this client read it; some brokers grant the subscription and send nothing"
            )
        })
    }
}

/// Whether `/readyz` answers with 200.
#[must_use]
pub fn is_ready(all: &[Watched], limits: Limits, phase: Phase) -> bool {
    match phase {
        Phase::Running => Health::of(all, limits).is_ready(limits),
        Phase::Retiring => has_retired(all),
        Phase::Draining | Phase::Stopping => false,
    }
}

/// A bridge that retires has nothing more to do, and waits for its end.
pub(super) fn has_retired(all: &[Watched]) -> bool {
    all.iter().all(|watched| watched.about.is_none())
}

/// Has the gauges say what `/readyz` says: those of each mapping, and the one of the bridge, which also covers its
/// publisher.
pub fn show(all: &[Watched], limits: Limits, phase: Phase, metrics: &Metrics) {
    metrics.show_ready(is_ready(all, limits, phase));
    let mut mappings = BTreeMap::new();
    for watched in all {
        let Some(about) = &watched.about else { continue };
        let is_degraded = watched.degraded(limits).is_some();
        let is_ready =
            phase == Phase::Running && watched.trouble().is_none() && (limits.degraded_is_ready || !is_degraded);
        let is_silent = watched.standing == Standing::Stays && watched.silence(limits.silent_after).is_some();
        let (_, ready, degraded, silent) = mappings.entry(&watched.mapping).or_insert((about, true, false, false));
        (*ready, *degraded, *silent) = (*ready && is_ready, *degraded || is_degraded, *silent || is_silent);
    }
    for (about, ready, degraded, silent) in mappings.into_values() {
        about.metrics.ready.set(i64::from(ready));
        about.metrics.degraded.set(i64::from(degraded));
        about.metrics.silent.set(i64::from(silent));
    }
}

/// In whole seconds.
fn lasting(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs()))
}

#[cfg(test)]
#[path = "health/tests.rs"]
mod tests;
