//! Messages that can neither be invoked nor given up, such as one that is too large for every failure destination. They
//! stay unacknowledged until the mapping ends, and block the acknowledgements of later messages. Counts them, and
//! reports when they fill the window. Retries nothing.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tracing::error;

use crate::config;
use crate::delivery::Delivery;
use crate::metrics::MappingMetrics;

/// The messages that a mapping holds for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// How many messages.
    pub messages: usize,
    /// How many may be un-acknowledged.
    pub window: u64,
    /// Whether the broker sends no more, as too much waits behind what is held.
    pub is_full: bool,
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, window, is_full } = self;
        let waits = if *is_full { "nothing more is received" } else { "nothing behind it is acknowledged" };
        write!(
            f,
            "{messages} of {window} messages held as no failure destination can take them, so {waits}: \
             add a `file` or `s3` destination to `on_failure`"
        )
    }
}

/// The messages themselves. Dropping it abandons them.
#[derive(Debug)]
pub(super) struct Held {
    deliveries: Mutex<Vec<(Delivery, Counted)>>,
    metrics: MappingMetrics,
    shown: watch::Sender<Option<Holding>>,
}

/// Counts one message as held, for as long as it lives.
#[derive(Debug)]
pub(super) struct Counted(Gauge);

impl Counted {
    pub(super) fn new(metrics: &MappingMetrics) -> Self {
        metrics.dead_letters_held.inc();
        Self(metrics.dead_letters_held.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Held {
    pub(super) fn new(metrics: &MappingMetrics, shown: watch::Sender<Option<Holding>>) -> Self {
        Self { deliveries: Mutex::default(), metrics: metrics.clone(), shown }
    }

    /// Takes a message, and frees its ordering key: those behind it go on, as they would behind its dead letter.
    pub(super) fn hold(&self, mut delivery: Delivery) {
        delivery.hold = None;
        self.deliveries().push((delivery, Counted::new(&self.metrics)));
    }

    /// Says when they leave no room. The broker sends no more than `receive_maximum` un-acknowledged messages, and the
    /// session reads none above `max_outstanding_bytes`.
    pub(super) fn look(&self, settings: &config::Mapping) {
        let messages = self.deliveries().len();
        if messages == 0 {
            return;
        }
        let sessions = settings.sessions as u64;
        let window = u64::from(settings.receive_maximum) * sessions;
        let reaches = |gauge: &Gauge, limit: u64| u64::try_from(gauge.get()).unwrap_or_default() >= limit;
        let is_full = reaches(&self.metrics.outstanding, window)
            || reaches(&self.metrics.outstanding_bytes, settings.max_outstanding_bytes.saturating_mul(sessions));
        let holding = Holding { messages, window, is_full };
        let was_full = self.shown.borrow().as_ref().is_some_and(|shown| shown.is_full);
        if is_full && !was_full {
            let event = "dead_letter.window_full";
            let mapping = &settings.name;
            error!(event, mapping, held = messages, reason = %holding, "messages that are held leave no room for others");
        }
        self.shown.send_if_modified(|shown| shown.replace(holding.clone()).as_ref() != Some(&holding));
    }

    fn deliveries(&self) -> MutexGuard<'_, Vec<(Delivery, Counted)>> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
