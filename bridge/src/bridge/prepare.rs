//! What a bridge prepares from its configuration before anything is connected.

use std::net::SocketAddr;

use tracing::warn;

use super::StartError;
use crate::admin::Admin;
use crate::config::{self, OnFailure, Qos};
use crate::dead_letter::{Destination, Destinations};
use crate::mapping::filter::Filters;
use crate::metrics::Metrics;
use crate::mqtt::{PublisherSettings, Settings};

pub(super) fn filters(mappings: &[config::Mapping]) -> Result<Vec<Filters>, StartError> {
    let compile = |mapping: &config::Mapping| {
        Filters::parse(&mapping.filter).map_err(|cause| StartError::Filter { mapping: mapping.name.clone(), cause })
    };
    mappings.iter().map(compile).collect()
}

/// One chain for each mapping.
pub(super) fn destinations(
    mappings: &[config::Mapping],
    mut destinations: Destinations<'_>,
    metrics: &Metrics,
) -> Result<Vec<Option<Destination>>, StartError> {
    let chain = |mapping: &config::Mapping| {
        destinations
            .chain(&mapping.name, &mapping.on_failure, &metrics.mapping(&mapping.name))
            .map_err(|cause| StartError::Destination { mapping: mapping.name.clone(), cause })
    };
    mappings.iter().map(chain).collect()
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

/// Whether anything is published: answers, or dead letters to a topic.
pub(super) fn needs_publisher(mappings: &[config::Mapping]) -> bool {
    mappings.iter().any(|mapping| {
        let to_topic = mapping.on_failure.iter().any(|on_failure| matches!(on_failure, OnFailure::Topic(_)));
        to_topic || !mapping.response.allow.is_empty()
    })
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

pub(super) fn session_settings(mqtt: &config::Mqtt, mapping: &config::Mapping, index: usize) -> Settings {
    Settings {
        mapping: mapping.name.clone(),
        client_id: mqtt.client_id_for(&mapping.name, index),
        protocol: mqtt.protocol,
        topic_filter: mapping.topic_filter.to_string(),
        former_filters: Vec::new(),
        subscribed: false,
        leaves: false,
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
