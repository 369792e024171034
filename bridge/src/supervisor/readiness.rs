//! Follows the readiness of the bridge over time: whether it was ready once, and whether it has been unready for so
//! long that an operator must know. Alarms use its log lines, so each has an event name that does not change.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval};
use tracing::{error, info, warn};

use super::notes::{self, Notes};
use crate::admin::{Health, Limits, Matter, Note, Watched, show};
use crate::metrics::Metrics;
use crate::shutdown::{Listener, Phase};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it may be unready before this is logged, and how often it is logged again. A start, a reconnect and a
/// restart of the broker take less.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// The log line to write.
#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    /// It has lasted for so long.
    Lasts(Duration),
    /// It is over after so long, and had been said.
    Over(Duration),
}

/// Something that should not last. Pure: the time is an argument.
#[derive(Debug)]
struct Lasting {
    /// How long it may last before it is logged.
    patience: Duration,
    /// Since when, and when that was said last.
    since: Option<(Instant, Option<Instant>)>,
}

impl Lasting {
    fn new(patience: Duration) -> Self {
        Self { patience, since: None }
    }

    fn see(&mut self, is_so: bool, now: Instant) -> Option<News> {
        if !is_so {
            let (since, said) = self.since.take()?;
            return said.map(|_| News::Over(now - since));
        }
        let (since, said) = self.since.get_or_insert((now, None));
        let due = said.map_or(*since + self.patience, |said| said + SAY_EVERY);
        if now < due {
            return None;
        }
        *said = Some(now);
        Some(News::Lasts(now - *since))
    }
}

/// The receivers of the state.
pub(super) struct Told {
    /// Becomes true when it was ready once.
    pub(super) started: watch::Sender<bool>,
    /// The judgement in a few words.
    pub(super) headline: watch::Sender<String>,
    /// The gauges.
    pub(super) metrics: Metrics,
}

/// Follows it until the bridge begins to end.
pub(super) async fn watch(all: watch::Receiver<Vec<Watched>>, limits: Limits, mut shutdown: Listener, told: Told) {
    let Told { started, headline, metrics } = told;
    let (mut unready, mut degraded) = (Lasting::new(SAY_EVERY), Lasting::new(Duration::ZERO));
    let (mut notes, mut looks) = (Notes::default(), interval(LOOK_EVERY));
    loop {
        tokio::select! {
            biased;
            () = shutdown.reached(Phase::Retiring) => return,
            _ = looks.tick() => {}
        }
        let health = {
            let all = all.borrow();
            show(&all, limits, shutdown.phase(), &metrics);
            Health::of(&all, limits)
        };
        let now = Instant::now();
        let news = unready.see(!health.troubles.is_empty(), now);
        let words = health.headline();
        headline.send_if_modified(|said| {
            let is_new = *said != words;
            *said = words;
            is_new
        });
        let is_first = health.is_ready(limits) && started.send_if_modified(|started| !std::mem::replace(started, true));
        if is_first && news.is_none() {
            info!(event = "bridge.ready", "every mapping is ready");
        }
        log_unready(news, health.troubles.trim_end());
        log_degraded(degraded.see(!health.degraded.is_empty(), now), health.degraded.trim_end());
        notes.see(health.notes, now).into_iter().for_each(|news| log_note(&news));
    }
}

fn log_unready(news: Option<News>, reason: &str) {
    match news {
        Some(News::Lasts(time)) => {
            let for_seconds = time.as_secs();
            error!(event = "bridge.not_ready", for_seconds, reason, "not ready; messages wait at the broker");
        }
        Some(News::Over(after)) => {
            info!(event = "bridge.ready_again", after_seconds = after.as_secs(), "every mapping is ready again");
        }
        None => {}
    }
}

fn log_degraded(news: Option<News>, reason: &str) {
    match news {
        Some(News::Lasts(time)) => {
            error!(event = "bridge.degraded", for_seconds = time.as_secs(), reason, "degraded");
        }
        Some(News::Over(after)) => {
            let after_seconds = after.as_secs();
            info!(event = "bridge.degraded_over", after_seconds, "no mapping is degraded any more");
        }
        None => {}
    }
}

fn log_note(news: &notes::News) {
    match news {
        notes::News::Stands(Note { mapping, matter: Matter::Paused, text }) => {
            warn!(event = "mapping.still_paused", mapping, reason = text, "still paused");
        }
        notes::News::Stands(Note { mapping, matter: Matter::Silent, text }) => {
            warn!(event = "mapping.silent", mapping, reason = text, "no message has ever come");
        }
        notes::News::Stands(Note { mapping, text, .. }) => {
            warn!(event = "mapping.window_full", mapping, reason = text, "window full");
        }
        notes::News::Over(mapping, Matter::Silent) => {
            info!(event = "mapping.heard", mapping, "the first message has come");
        }
        notes::News::Over(mapping, Matter::WindowFull) => {
            info!(event = "mapping.window_free", mapping, "the window has room again");
        }
        // The code that executes the order logs it.
        notes::News::Over(..) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is said in each second, with the thing so or not in each.
    fn said(patience: Duration, is_so: impl Fn(u32) -> bool, seconds: u32) -> Vec<(u32, News)> {
        let (begun, mut lasting) = (Instant::now(), Lasting::new(patience));
        let see = |second| Some((second, lasting.see(is_so(second), begun + SECOND * second)?));
        (0..seconds).filter_map(see).collect()
    }

    #[test]
    fn short_troubles_are_not_said() {
        assert_eq!(said(SAY_EVERY, |second| second < 3 || second % 60 <= 10, 600), []);
    }

    #[test]
    fn what_lasts_a_minute_is_said_each_minute_until_it_is_over() {
        let minute = |minutes| News::Lasts(SECOND * 60 * minutes);
        let heard = said(SAY_EVERY, |second| (5..200).contains(&second), 400);
        assert_eq!(heard, [(65, minute(1)), (125, minute(2)), (185, minute(3)), (200, News::Over(SECOND * 195))]);
    }

    #[test]
    fn without_patience_it_is_said_at_once() {
        let heard = said(Duration::ZERO, |second| (5..70).contains(&second), 100);
        let expected =
            [(5, News::Lasts(Duration::ZERO)), (65, News::Lasts(SECOND * 60)), (70, News::Over(SECOND * 65))];
        assert_eq!(heard, expected);
    }
}
