//! The settings and counters of a mapping that the status page shows. Changes nothing.

use crate::config::{self, OnFailure};
use crate::metrics::MappingMetrics;
use crate::topic::some_of;

/// What a mapping does, for the status page.
#[derive(Debug)]
pub struct About {
    /// Its topic filters, or the first few of many.
    pub topic_filter: String,
    /// The function that it invokes.
    pub function: String,
    /// The most invocations at once.
    pub concurrency: u64,
    /// Its failure destinations, in their order.
    pub destinations: Vec<String>,
    /// Its counters.
    pub metrics: MappingMetrics,
}

impl About {
    /// As configured.
    #[must_use]
    pub fn of(settings: &config::Mapping, metrics: MappingMetrics) -> Self {
        let destination = |place: &OnFailure| match place {
            OnFailure::File(path) => format!("file {}", path.display()),
            OnFailure::Sqs(url) => format!("sqs {url}"),
            OnFailure::S3(url) => format!("s3 {url}"),
            OnFailure::Topic(topic) => format!("topic {topic}"),
        };
        Self {
            topic_filter: some_of(&settings.topic_filter),
            function: settings.function.as_str().to_owned(),
            concurrency: settings.concurrency as u64,
            destinations: settings.on_failure.iter().map(destination).collect(),
            metrics,
        }
    }
}
