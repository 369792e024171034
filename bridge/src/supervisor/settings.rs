//! What the sessions and the publisher need of the configuration. Opens and starts nothing.

use crate::config::{self, OnFailure};
use crate::mapping;
use crate::mqtt::{Identifies, PublisherSettings, Settings};

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
        identifies: identifies(mapping),
    }
}

fn identifies(mapping: &config::Mapping) -> Identifies {
    let Some(message_id) = mapping.message_id.clone() else { return Identifies::default() };
    Identifies::by(move |message| mapping::has_id(message, &message_id))
}
