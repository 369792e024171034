//! Counts exported, refused and dropped spans. Shows nothing while there are no traces.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The spans of one bridge. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TraceMetrics {
    spans: Family<SpanLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SpanLabels {
    result: &'static str,
}

/// Counters of spans, if there are traces.
#[derive(Debug, Clone)]
pub struct SpanCounts {
    /// A collector has taken them.
    pub exported: Counter,
    /// A collector was away, or has not taken them.
    pub refused: Counter,
    /// The queue was full.
    pub dropped: Counter,
}

impl TraceMetrics {
    /// There are traces from now on.
    #[must_use]
    pub fn counts(&self) -> SpanCounts {
        let count = |result| self.spans.get_or_create_owned(&SpanLabels { result });
        SpanCounts { exported: count("exported"), refused: count("refused"), dropped: count("dropped") }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Spans of deliveries, where there are traces: taken by the collector, not taken, or dropped as the queue was full";
        registry.register("trace_spans", help, self.spans.clone());
    }
}
