//! The last hour of each mapping, and what flows through it now, made from its counters by looking at them every few
//! seconds. In memory and bounded: [`POINTS`] points of 20 bytes a mapping, 2,400 bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::Watched;
use crate::clock::now;
use crate::metrics::{Counts, MappingMetrics};

/// How often the counters are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Of so many looks one makes a point.
const LOOKS_A_POINT: u64 = 6;
/// How many points are kept.
pub(super) const POINTS: usize = 120;

/// What flows through a mapping, by the second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Flow {
    /// Messages received.
    received: f64,
    /// Messages with an outcome.
    settled: f64,
    /// Invocations that failed, or whose answer failed records.
    failed: f64,
    /// Half of the messages had their outcome within so many seconds; `None` when there were none.
    median_seconds: Option<f64>,
    /// So had 99 of 100.
    p99_seconds: Option<f64>,
}

/// Half a minute of a mapping.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    received: u32,
    settled: u32,
    failed: u32,
    held: u32,
    p99_milliseconds: u32,
}

/// Counters at one moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    received: u64,
    settled: u64,
    failed: u64,
    took: Counts,
}

#[derive(Debug)]
struct Track {
    last: Look,
    last_point: Look,
    flow: Flow,
    points: VecDeque<Point>,
}

/// The history of all mappings. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct History(Arc<Mutex<BTreeMap<String, Track>>>);

/// The history of one mapping as the page reads it: the points one behind the other, the newest last.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Series {
    received: Vec<u32>,
    settled: Vec<u32>,
    failed: Vec<u32>,
    held: Vec<u32>,
    p99_milliseconds: Vec<u32>,
}

/// The document `/history.json`.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    now: String,
    every_seconds: u64,
    mappings: BTreeMap<String, Series>,
}

impl History {
    /// Reads the counters of all mappings at intervals. Never returns.
    pub(super) async fn keep(self, mappings: watch::Receiver<Vec<Watched>>) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0_u64.. {
            looks.tick().await;
            let all: BTreeMap<_, _> = mappings.borrow().iter().filter_map(named).collect();
            self.look(&all, now(), number % LOOKS_A_POINT == 0);
        }
    }

    /// What flows through a mapping now.
    pub(super) fn flow(&self, mapping: &str) -> Flow {
        self.tracks().get(mapping).map(|track| track.flow).unwrap_or_default()
    }

    /// The last hour.
    pub(super) fn document(&self) -> Document {
        let tracks = self.tracks();
        let series = tracks.iter().map(|(name, track)| (name.clone(), Series::of(&track.points)));
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Document { now, every_seconds: LOOK_EVERY.as_secs() * LOOKS_A_POINT, mappings: series.collect() }
    }

    fn look(&self, all: &BTreeMap<String, MappingMetrics>, now: Instant, is_point: bool) {
        let mut tracks = self.tracks();
        tracks.retain(|name, _| all.contains_key(name));
        for (name, metrics) in all {
            let look = Look::at(metrics, now);
            match tracks.get_mut(name) {
                Some(track) => track.take(look, metrics, is_point),
                None => drop(tracks.insert(name.clone(), Track::new(look))),
            }
        }
    }

    fn tracks(&self) -> MutexGuard<'_, BTreeMap<String, Track>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named(watched: &Watched) -> Option<(String, MappingMetrics)> {
    Some((watched.mapping.clone(), watched.about.as_ref()?.metrics.clone()))
}

impl Look {
    fn at(metrics: &MappingMetrics, at: Instant) -> Self {
        let outcomes =
            [&metrics.delivered, &metrics.filtered, &metrics.dead_lettered, &metrics.expired, &metrics.abandoned];
        let (received, settled) = (metrics.received.get(), outcomes.map(Counter::get).iter().sum());
        Self { at, received, settled, failed: metrics.failures.total(), took: metrics.receive_to_settle.counts() }
    }

    fn flow_since(&self, earlier: &Self) -> Flow {
        let seconds = (self.at - earlier.at).as_secs_f64().max(0.001);
        let rate = |now: u64, then: u64| rounded(f64::from(small(now.saturating_sub(then))) / seconds);
        let took = self.took.since(&earlier.took);
        Flow {
            received: rate(self.received, earlier.received),
            settled: rate(self.settled, earlier.settled),
            failed: rate(self.failed, earlier.failed),
            median_seconds: took.quantile(0.5).map(rounded),
            p99_seconds: took.quantile(0.99).map(rounded),
        }
    }

    fn point_since(&self, earlier: &Self, held: i64) -> Point {
        let p99 = self.took.since(&earlier.took).quantile(0.99).unwrap_or(0.0);
        Point {
            received: small(self.received.saturating_sub(earlier.received)),
            settled: small(self.settled.saturating_sub(earlier.settled)),
            failed: small(self.failed.saturating_sub(earlier.failed)),
            held: u32::try_from(held.max(0)).unwrap_or(u32::MAX),
            p99_milliseconds: small(Duration::from_secs_f64(p99).as_millis().try_into().unwrap_or(u64::MAX)),
        }
    }
}

impl Track {
    fn new(look: Look) -> Self {
        Self { last: look, last_point: look, flow: Flow::default(), points: VecDeque::new() }
    }

    fn take(&mut self, look: Look, metrics: &MappingMetrics, is_point: bool) {
        self.flow = look.flow_since(&self.last);
        self.last = look;
        if is_point {
            if self.points.len() == POINTS {
                self.points.pop_front();
            }
            self.points.push_back(look.point_since(&self.last_point, metrics.outstanding.get()));
            self.last_point = look;
        }
    }
}

impl Series {
    fn of(points: &VecDeque<Point>) -> Self {
        let all = |value: fn(&Point) -> u32| points.iter().map(value).collect();
        Self {
            received: all(|point| point.received),
            settled: all(|point| point.settled),
            failed: all(|point| point.failed),
            held: all(|point| point.held),
            p99_milliseconds: all(|point| point.p99_milliseconds),
        }
    }
}

/// To three places: nobody reads more.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_point_has_the_size_that_the_page_of_this_file_says() {
        assert_eq!((size_of::<Point>(), size_of::<Point>() * POINTS), (20, 2_400));
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let (history, metrics, begun) = (History::default(), Metrics::new().mapping("m"), Instant::now());
        let all = BTreeMap::from([("m".to_owned(), metrics.clone())]);
        metrics.received.inc_by(1_000);
        history.look(&all, begun, true);
        assert_eq!(history.flow("m"), Flow::default(), "what was counted before is nobody's rate");
        metrics.received.inc_by(50);
        metrics.delivered.inc_by(40);
        metrics.receive_to_settle.observe(Duration::from_millis(7));
        history.look(&all, begun + LOOK_EVERY, false);
        let flow = history.flow("m");
        assert_eq!((flow.received, flow.settled, flow.failed), (10.0, 8.0, 0.0));
        assert!(flow.p99_seconds.is_some_and(|p99| p99 > 0.005 && p99 <= 0.01), "{flow:?}");
        history.look(&all, begun + 2 * LOOK_EVERY, false);
        assert_eq!(history.flow("m"), Flow::default(), "nothing came");
        assert_eq!(history.flow("unknown"), Flow::default());
    }

    #[test]
    fn a_point_sums_up_its_looks_and_only_the_last_hour_is_kept() {
        let (history, metrics, begun) = (History::default(), Metrics::new().mapping("m"), Instant::now());
        let all = BTreeMap::from([("m".to_owned(), metrics.clone())]);
        for number in 0..=(POINTS as u64 + 30) * LOOKS_A_POINT {
            metrics.received.inc();
            history.look(&all, begun + Duration::from_secs(5 * number), number % LOOKS_A_POINT == 0);
        }
        let document = history.document();
        assert_eq!(document.mappings["m"].received, vec![6; POINTS]);
        history.look(&BTreeMap::new(), begun, true);
        assert!(history.document().mappings.is_empty(), "a mapping that is gone takes its history along");
    }
}
