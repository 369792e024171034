//! What the sessions and the publisher need of the configuration. Opens and starts nothing.

use crate::config::{self, OnFailure};
use crate::mapping;
use crate::mqtt::{Identifies, Link, Settings};

/// Whether a mapping publishes: answers, or dead letters to a topic.
pub(super) fn needs_publisher(mapping: &config::Mapping) -> bool {
    let to_topic = mapping.on_failure.iter().any(|on_failure| matches!(on_failure, OnFailure::Topic(_)));
    to_topic || mapping.reply || !mapping.response.allow.is_empty()
}

/// How the publisher connects.
pub(super) fn publisher_link(mqtt: &config::Mqtt) -> Link {
    link(mqtt, mqtt.publisher_client_id())
}

/// How the reader of the broker's own count connects.
pub(super) fn broker_stats_link(mqtt: &config::Mqtt) -> Link {
    link(mqtt, mqtt.broker_stats_client_id())
}

/// How the teller of the status connects.
pub(super) fn status_link(mqtt: &config::Mqtt) -> Link {
    link(mqtt, mqtt.status_client_id())
}

fn link(mqtt: &config::Mqtt, client_id: String) -> Link {
    let config::Mqtt { protocol, keep_alive, connect_timeout, backoff, .. } = *mqtt;
    Link { client_id, protocol, keep_alive, connect_timeout, backoff }
}

/// The settings of one session. One that the mapping has no use for any more leaves.
pub(super) fn session_settings(mqtt: &config::Mqtt, mapping: &config::Mapping, index: usize) -> Settings {
    Settings {
        mapping: mapping.name.clone(),
        link: link(mqtt, mqtt.client_id_for(&mapping.name, index)),
        topic_filters: mapping.topic_filter.clone(),
        former_filters: Vec::new(),
        subscribed: Vec::new(),
        leaves: index >= mapping.sessions,
        qos: mapping.qos,
        receive_maximum: mapping.receive_maximum,
        max_outstanding_bytes: mapping.max_outstanding_bytes,
        session_expiry: mqtt.session_expiry,
        redelivery_timer: mqtt.redelivery_timer,
        identifies: identifies(mapping),
    }
}

fn identifies(mapping: &config::Mapping) -> Identifies {
    let Some(message_id) = mapping.message_id.clone() else { return Identifies::default() };
    Identifies::by(move |message| mapping::has_id(message, &message_id))
}
