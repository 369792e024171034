//! The traces of a whole bridge: one queue and one exporter for all mappings, begun and ended with the bridge.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use super::export::Exporter;
use super::queue::Queue;
use super::trace::Tracer;
use crate::aws::Http;
use crate::config::{self, Sampling};
use crate::metrics::TraceMetrics;

/// How long the last spans may hold the end of a bridge.
const FLUSH: Duration = Duration::from_secs(1);

/// The parts that traces of a bridge need; empty if none are configured.
#[derive(Debug, Default)]
pub struct Traces {
    to: Option<(Queue, Sampling)>,
    closing: Option<oneshot::Sender<()>>,
    /// Held so that it ends with the bridge.
    exporter: JoinSet<()>,
}

impl Traces {
    /// As configured; `instance` says which bridge it is.
    pub(crate) fn start(trace: &config::Trace, instance: &str, http: &Http, metrics: &TraceMetrics) -> Self {
        let Some(endpoint) = trace.endpoint.clone() else { return Self::default() };
        let counts = metrics.counts();
        let (queue, spans) = Queue::new(counts.clone());
        let (closing, closed) = oneshot::channel();
        let mut exporter = JoinSet::new();
        exporter.spawn(Exporter::new(http, endpoint, instance, counts).run(spans, closed));
        Self { to: Some((queue, trace.sampling)), closing: Some(closing), exporter }
    }

    /// Those of one mapping.
    pub(crate) fn of(&self, mapping: &str) -> Tracer {
        let tracer = |(queue, sampling): &(Queue, _)| Tracer::new(mapping, *sampling, queue.clone());
        self.to.as_ref().map(tracer).unwrap_or_default()
    }

    /// No more spans come: what waits is sent, as far as that takes no longer than a second.
    pub(crate) async fn flush(&mut self) {
        drop(self.closing.take());
        if timeout(FLUSH, self.exporter.join_next()).await.is_err() {
            warn!(event = "trace.not_flushed", after = ?FLUSH, "the last spans are not exported: the collector has not answered in time");
        }
    }
}
