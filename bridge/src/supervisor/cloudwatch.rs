//! Writes metrics for CloudWatch to standard output at each interval, and once more at the end, so that no count is
//! missing. Writes the same values as `/metrics`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::admin::Watched;
use crate::config::Config;
use crate::logging;
use crate::metrics::{Embedded, Metrics};
use crate::shutdown::{Listener, Phase};

/// The lines to write, and how often.
pub(super) struct Lines {
    embedded: Embedded,
    interval: Duration,
    mappings: watch::Receiver<Vec<Watched>>,
    metrics: Metrics,
}

impl Lines {
    /// As configured; none without a namespace.
    pub(super) fn of(config: &Config, mappings: watch::Receiver<Vec<Watched>>, metrics: &Metrics) -> Option<Self> {
        let namespace = config.cloudwatch.namespace.clone()?;
        let embedded = Embedded::new(namespace, config.mqtt.client_id.clone());
        Some(Self { embedded, interval: config.cloudwatch.interval, mappings, metrics: metrics.clone() })
    }

    /// Writes them until the end of the bridge.
    pub(super) async fn write(mut self, mut shutdown: Listener) {
        // The first line comes after one interval, since nothing is ready yet.
        let mut due = interval_at(Instant::now() + self.interval, self.interval);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_over = tokio::select! {
                biased;
                () = shutdown.reached(Phase::Stopping) => true,
                _ = due.tick() => false,
            };
            self.write_once(shutdown.phase() == Phase::Running);
            if is_over {
                return;
            }
        }
    }

    fn write_once(&mut self, is_running: bool) {
        let (now, all) = (SystemTime::now(), self.mappings.borrow().clone());
        // The sessions of a mapping count together.
        let abouts = all.iter().filter_map(|watched| Some((watched.mapping.as_str(), watched.about.as_ref()?)));
        let mappings: BTreeMap<_, _> = abouts.collect();
        self.embedded.keep(|name| mappings.contains_key(name));
        for (name, about) in mappings {
            logging::print(&self.embedded.mapping(name, &about.metrics, is_running, now));
        }
        if let Some(line) = self.embedded.bridge(&self.metrics, is_running, now) {
            logging::print(&line);
        }
    }
}
