//! What a bridge prepares from its configuration before anything is connected.

use std::net::SocketAddr;

use tracing::warn;

use super::StartError;
use super::running::Given;
use super::settings::needs_publisher;
use crate::admin::{Admin, Gate};
use crate::aws::Aws;
use crate::config::{self, Config, Protocol, Qos};
use crate::dead_letter::Destinations;
use crate::mapping::filter::Filters;
use crate::metrics::Metrics;
use crate::otlp::Traces;
use crate::outgoing::PublishHandle;
use crate::topic::{TopicFilter, some_of};

/// Compiles the patterns of a mapping and opens its failure destinations.
pub(super) fn prepare(
    settings: &config::Mapping,
    aws: &Aws,
    destinations: &mut Destinations,
    publisher: &PublishHandle,
    (metrics, traces): (&Metrics, &Traces),
) -> Result<Given, StartError> {
    let (name, metrics) = (|| settings.name.clone(), metrics.mapping(&settings.name));
    let filters = Filters::parse(&settings.filter).map_err(|cause| StartError::Filter { mapping: name(), cause })?;
    let destination = destinations
        .chain(&settings.name, (&settings.on_failure, settings.on_unread_letter), &metrics)
        .map_err(|cause| StartError::Destination { mapping: name(), cause })?;
    let client = aws.client(&settings.function, settings.timeout);
    let publisher = needs_publisher(settings).then(|| publisher.clone());
    Ok(Given { filters, client, destination, publisher, metrics, tracer: traces.of(&settings.name) })
}

pub(super) async fn bind_admin(listen: Option<SocketAddr>) -> Result<Option<Admin>, StartError> {
    match listen {
        None => Ok(None),
        Some(address) => match Admin::bind(address).await {
            Ok(admin) => Ok(Some(admin)),
            Err(source) => Err(StartError::Admin { address, source }),
        },
    }
}

/// Which requests the admin endpoint accepts.
pub(super) fn gate(config: &Config) -> Gate {
    let config::Admin { allowed_hosts, token_file, .. } = &config.admin;
    Gate { allowed_hosts: allowed_hosts.clone(), token_file: token_file.clone() }
}

/// The broker and the version of MQTT, in words.
pub(super) fn broker(config: &Config) -> (String, String) {
    let urls: Vec<_> = config.mqtt.url.iter().map(ToString::to_string).collect();
    (urls.join(", "), config.mqtt.protocol.to_string())
}

/// Warns of settings of all mappings together that are allowed but usually a mistake.
pub(super) fn warn_of_circles(mappings: &[config::Mapping]) {
    for group in config::circles(mappings) {
        let mappings = group.join(", ");
        warn!(
            event = "mapping.circle",
            mappings,
            "answers or dead letters of these mappings can come back to them through one another: one message may be \
             invoked for without end; narrow `response.allow`, `reply_topics` or a topic filter"
        );
    }
}

/// Warns of settings of one mapping that are allowed but usually a mistake.
pub(super) fn warn_about(mapping: &config::Mapping, protocol: Protocol) {
    let name = &mapping.name;
    if mapping.topic_filter.iter().any(TopicFilter::is_shared) && protocol == Protocol::V311 {
        let topic_filter = some_of(&mapping.topic_filter);
        warn!(
            event = "mapping.shared_literally",
            mapping = name,
            topic_filter,
            "$share with MQTT 3.1.1: a broker that has no shared subscriptions takes it literally, and nothing ever comes; see docs/brokers.md"
        );
    }
    if mapping.qos == Qos::AtMostOnce {
        warn!(
            event = "mapping.qos_0",
            mapping = name,
            "qos 0: messages are lost whenever a connection breaks; use qos 1 to keep them"
        );
    }
    if mapping.on_failure.is_empty() {
        warn!(
            event = "mapping.no_destination",
            mapping = name,
            "no on_failure: a message that always fails is retried for ever and holds its place"
        );
    }
    warn_about_times(mapping);
}

/// Warns of times and numbers that defeat each other.
fn warn_about_times(mapping: &config::Mapping) {
    let (name, retry, batch) = (&mapping.name, &mapping.retry, &mapping.batch);
    let window = mapping.sessions * usize::from(mapping.receive_maximum);
    let drains_in = mapping.rate_limit.map(|rate| rate.interval() * u32::try_from(window).unwrap_or(u32::MAX));
    if drains_in.is_some_and(|drains_in| drains_in > retry.max_age) {
        warn!(
            event = "mapping.slow_rate",
            mapping = name,
            window,
            takes = ?drains_in.unwrap_or_default(),
            max_age = ?retry.max_age,
            "rate_limit: a full window takes longer than retry.max_age, so messages are too old for a second attempt; \
             lower receive_maximum or raise retry.max_age"
        );
    }
    let first_ends_by = batch.max_window.saturating_add(mapping.timeout);
    if first_ends_by >= retry.max_age && retry.max_attempts > 1 {
        warn!(
            event = "mapping.short_age",
            mapping = name,
            takes = ?first_ends_by,
            max_age = ?retry.max_age,
            "batch.max_window and timeout together reach retry.max_age, so a message whose first attempt times out is too \
             old for a second; raise retry.max_age"
        );
    }
    if batch.max_records > window && !batch.max_window.is_zero() {
        warn!(
            event = "mapping.small_window",
            mapping = name,
            window,
            max_records = batch.max_records,
            "no batch is ever full: the broker sends receive_maximum messages for each session, and each batch waits for \
             the whole batch.max_window; raise receive_maximum or lower batch.max_records"
        );
    }
}
