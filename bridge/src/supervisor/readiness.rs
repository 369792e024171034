//! Whether the bridge is ready, followed through time: that it was ready once, and that it has not been for so long that
//! somebody must know. What it says is for alarms, so each of its events has a name that does not change.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval};
use tracing::{error, info};

use crate::admin::{Watched, troubles};
use crate::shutdown::{Listener, Phase};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So long it may be unready before it is said, and so often it is said again. A start, a reconnect and a restart of the broker take
/// less.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    /// For the first time.
    Started,
    /// Not ready, since so long.
    NotReady(Duration),
    /// Ready after all, after it was said that it is not.
    ReadyAgain(Duration),
}

/// Pure: the time is an argument.
#[derive(Debug)]
struct Readiness {
    started: bool,
    /// Since when it is not ready, and when that was said last.
    since: Option<(Instant, Option<Instant>)>,
}

impl Readiness {
    fn new(now: Instant) -> Self {
        Self { started: false, since: Some((now, None)) }
    }

    fn see(&mut self, ready: bool, now: Instant) -> Option<News> {
        if ready {
            let before = self.since.take();
            let first = !std::mem::replace(&mut self.started, true);
            return match before {
                Some((since, Some(_))) => Some(News::ReadyAgain(now - since)),
                _ => first.then_some(News::Started),
            };
        }
        let (since, said) = self.since.get_or_insert((now, None));
        if now - said.unwrap_or(*since) < SAY_EVERY {
            return None;
        }
        *said = Some(now);
        Some(News::NotReady(now - *since))
    }
}

/// Follows it until the bridge begins to end; `started` becomes true when it was ready once.
pub(super) async fn watch(all: watch::Receiver<Vec<Watched>>, mut shutdown: Listener, started: watch::Sender<bool>) {
    let mut readiness = Readiness::new(Instant::now());
    let mut looks = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            biased;
            () = shutdown.reached(Phase::Retiring) => return,
            _ = looks.tick() => {}
        }
        let troubles = troubles(&all.borrow());
        let news = readiness.see(troubles.is_empty(), Instant::now());
        started.send_if_modified(|started| std::mem::replace(started, readiness.started) != readiness.started);
        match news {
            Some(News::Started) => info!(event = "bridge.ready", "every mapping is ready"),
            Some(News::NotReady(since)) => {
                let (for_seconds, reason) = (since.as_secs(), troubles.trim_end());
                error!(event = "bridge.not_ready", for_seconds, reason, "not ready; messages wait at the broker");
            }
            Some(News::ReadyAgain(after)) => {
                info!(event = "bridge.ready_again", after_seconds = after.as_secs(), "every mapping is ready again");
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is said in each second, with the bridge ready or not in each.
    fn said(ready: impl Fn(u32) -> bool, seconds: u32) -> Vec<(u32, News)> {
        let begun = Instant::now();
        let mut readiness = Readiness::new(begun);
        let see = |second| Some((second, readiness.see(ready(second), begun + SECOND * second)?));
        (0..seconds).filter_map(see).collect()
    }

    #[test]
    fn a_start_is_said_once_and_short_troubles_are_not() {
        assert_eq!(said(|second| second >= 3 && second % 60 > 10, 600), [(11, News::Started)]);
    }

    #[test]
    fn what_lasts_a_minute_is_said_each_minute_until_it_is_over() {
        let minute = |minutes| News::NotReady(SECOND * 60 * minutes);
        let heard = said(|second| !(5..200).contains(&second), 400);
        let after = News::ReadyAgain(SECOND * 195);
        assert_eq!(heard, [(0, News::Started), (65, minute(1)), (125, minute(2)), (185, minute(3)), (200, after)]);
    }

    #[test]
    fn a_bridge_that_never_gets_ready_is_said_too_and_then_as_loudly_that_it_is() {
        let heard = said(|second| second >= 70, 100);
        assert_eq!(heard, [(60, News::NotReady(SECOND * 60)), (70, News::ReadyAgain(SECOND * 70))]);
    }
}
