//! A running mapping: `concurrency` lanes that take deliveries from one queue and bring each to its outcome. Knows
//! nothing of connections and acknowledges nothing.

mod batch;
pub mod filter;
mod held;
mod intake;
mod keyed;
mod lane;
mod limits;
mod ordered;
mod pace;
mod said;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use crate::config;
use crate::dead_letter::Destination;
use crate::delivery::Delivery;
use crate::lambda::{Client, Limiter, event_limit};
use crate::metrics::MappingMetrics;
use crate::outgoing::PublishHandle;
use crate::shutdown::Listener;
pub use held::Holding;
pub use intake::has_id;

use batch::{Batches, Unordered};
use filter::Filters;
use held::Held;
use intake::{Content, Intake};
use lane::Lane;
use limits::Limits;
use ordered::Ordered;
use pace::Pace;
use said::Said;

/// The settings and parts of a mapping.
#[derive(Debug)]
pub struct Parts {
    /// As configured.
    pub settings: config::Mapping,
    /// Its patterns, compiled.
    pub filters: Filters,
    /// Invokes its function.
    pub client: Client,
    /// Where messages go that the function rejects; without one they are retried for ever.
    pub destination: Option<Destination>,
    /// Publishes what the function answers; none when the mapping allows no topic.
    pub publisher: Option<PublishHandle>,
    /// Its counters.
    pub metrics: MappingMetrics,
    /// Set while Lambda refuses every invocation until somebody repairs the configuration.
    pub fault: watch::Sender<Option<String>>,
    /// Set while it holds messages that can never be given up.
    pub holding: watch::Sender<Option<Holding>>,
}

/// What the lanes of one mapping share.
#[derive(Debug)]
struct Mapping {
    settings: config::Mapping,
    client: Client,
    destination: Option<Destination>,
    publisher: Option<PublishHandle>,
    metrics: MappingMetrics,
    fault: watch::Sender<Option<String>>,
    held: Held,
    said: Said,
    limiter: Limiter,
    /// Events that the function has answered, in whichever way.
    passed: Arc<AtomicU64>,
    /// The function has said something in `publish` or `reply`, which nobody asks it for, and that was logged.
    ignores_answers: AtomicBool,
    pace: Option<Pace>,
}

impl Mapping {
    /// Once: the function says it with every event.
    fn log_ignored(&self) {
        if !self.ignores_answers.swap(true, Ordering::Relaxed) {
            let mapping = &self.settings.name;
            warn!(
                event = "function.answers_ignored",
                mapping,
                "`publish` or `reply` in the function's response is ignored, as this mapping asks for neither; if it should \
                 be published, set `response.allow` or `reply`; logged once"
            );
        }
    }
}

/// Starts the lanes of a mapping. They end when the queue is closed and empty.
pub fn start(parts: Parts, queue: mpsc::Receiver<Delivery>, shutdown: &Listener, tasks: &mut JoinSet<()>) {
    let Parts { settings, filters, client, destination, publisher, metrics, fault, holding } = parts;
    let limits = Limits {
        records: settings.batch.max_records,
        window: settings.batch.max_window,
        bytes: event_limit(settings.invocation),
    };
    let (message_id, ordering_key) = (settings.message_id.clone(), settings.ordering_key.clone());
    let is_ordered = ordering_key.is_some();
    let content = Content { encoding: settings.content_encoding, limit: limits.bytes };
    let passed = Arc::default();
    let intake = Intake { filters, message_id, ordering_key, content, passed: Arc::clone(&passed) };
    let batches = Arc::new(if is_ordered {
        Batches::Ordered(Ordered::start(queue, intake, limits, shutdown.clone(), tasks))
    } else {
        Batches::Unordered(Unordered::new(queue, intake, limits))
    });
    let (limiter, pace) = (Limiter::new(settings.concurrency), settings.rate_limit.map(Pace::new));
    let (concurrency, held) = (settings.concurrency, Held::new(&metrics, holding));
    let mapping = Arc::new(Mapping {
        settings,
        client,
        destination,
        publisher,
        metrics,
        fault,
        held,
        said: Said::default(),
        limiter,
        passed,
        ignores_answers: AtomicBool::new(false),
        pace,
    });
    for number in 0..concurrency {
        tasks.spawn(Lane::new(mapping.clone(), shutdown.clone()).run(batches.clone(), number == 0));
    }
}
