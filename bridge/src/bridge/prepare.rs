//! What a bridge prepares from its configuration before anything is connected.

use std::net::SocketAddr;

use tracing::warn;

use super::StartError;
use super::running::Given;
use crate::admin::Admin;
use crate::aws::Aws;
use crate::config::{self, OnFailure, Qos};
use crate::dead_letter::Destinations;
use crate::mapping::filter::Filters;
use crate::metrics::Metrics;
use crate::mqtt::{PublisherSettings, Settings};
use crate::outgoing::PublishHandle;

/// Compiles the patterns of a mapping and opens its failure destinations.
pub(super) fn prepare(
    settings: &config::Mapping,
    aws: &Aws,
    destinations: &mut Destinations,
    publisher: &PublishHandle,
    metrics: &Metrics,
) -> Result<Given, StartError> {
    let (name, metrics) = (|| settings.name.clone(), metrics.mapping(&settings.name));
    let filters = Filters::parse(&settings.filter).map_err(|cause| StartError::Filter { mapping: name(), cause })?;
    let destination = destinations
        .chain(&settings.name, &settings.on_failure, &metrics)
        .map_err(|cause| StartError::Destination { mapping: name(), cause })?;
    let client = aws.client(&settings.function, settings.timeout);
    let publisher = needs_publisher(settings).then(|| publisher.clone());
    Ok(Given { filters, client, destination, publisher, metrics })
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

/// Whether a mapping publishes: answers, or dead letters to a topic.
pub(super) fn needs_publisher(mapping: &config::Mapping) -> bool {
    let to_topic = mapping.on_failure.iter().any(|on_failure| matches!(on_failure, OnFailure::Topic(_)));
    to_topic || !mapping.response.allow.is_empty()
}

pub(super) fn publisher_settings(mqtt: &config::Mqtt) -> PublisherSettings {
    PublisherSettings {
        // A mapping's name has no dot in it, so no session can have this client id.
        client_id: format!("{}.publisher", mqtt.client_id),
        protocol: mqtt.protocol,
        keep_alive: mqtt.keep_alive,
        connect_timeout: mqtt.connect_timeout,
        backoff: mqtt.backoff,
    }
}

/// The settings of one session. One that the mapping has no use for any more leaves.
pub(super) fn session_settings(mqtt: &config::Mqtt, mapping: &config::Mapping, index: usize) -> Settings {
    Settings {
        mapping: mapping.name.clone(),
        client_id: mqtt.client_id_for(&mapping.name, index),
        protocol: mqtt.protocol,
        topic_filter: mapping.topic_filter.to_string(),
        former_filters: Vec::new(),
        subscribed: false,
        leaves: index >= mapping.sessions,
        qos: mapping.qos,
        receive_maximum: mapping.receive_maximum,
        max_outstanding_bytes: mapping.max_outstanding_bytes,
        session_expiry: mqtt.session_expiry,
        keep_alive: mqtt.keep_alive,
        connect_timeout: mqtt.connect_timeout,
        backoff: mqtt.backoff,
    }
}

pub(super) fn warn_about(mapping: &config::Mapping) {
    let name = &mapping.name;
    if mapping.qos == Qos::AtMostOnce {
        warn!(mapping = name, "qos 0: messages are lost whenever a connection breaks; use qos 1 to keep them");
    }
    if mapping.on_failure.is_empty() {
        warn!(mapping = name, "no on_failure: a message that always fails is tried for ever and holds its place");
    }
}
