//! Writes events: the only place that turns deliveries into the JSON of the [`event`] crate. Pure.
//!
//! A payload that is JSON goes in as it came, without a tree being built or a byte being changed; one copy, into the
//! event, is all that happens to it.

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use event::{EVENT_SOURCE, Encoding};
use serde_json::value::RawValue;

use crate::delivery::Delivery;
use crate::message::Properties;

/// The most bytes of a synchronous invocation (Lambda quotas: "Invocation payload (request and response)": 6 MB).
pub const EVENT_LIMIT: usize = 6 * 1024 * 1024;

/// The event for these deliveries, in their order.
pub fn encode<'a>(mapping: &str, deliveries: impl Iterator<Item = &'a Delivery>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"{\"eventSource\":");
    string(&mut out, EVENT_SOURCE);
    out.extend_from_slice(b",\"mapping\":");
    string(&mut out, mapping);
    out.extend_from_slice(b",\"records\":[");
    for (index, delivery) in deliveries.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        record(&mut out, delivery);
    }
    out.extend_from_slice(b"]}");
    out
}

/// How a payload will stand in the event.
#[must_use]
pub(crate) fn encoding_of(payload: &[u8]) -> Encoding {
    if serde_json::from_slice::<&RawValue>(payload).is_ok() {
        Encoding::Json
    } else if std::str::from_utf8(payload).is_ok() {
        Encoding::Text
    } else {
        Encoding::Base64
    }
}

fn record(out: &mut Vec<u8>, delivery: &Delivery) {
    let message = &delivery.message;
    out.reserve(256 + message.topic.len() + message.payload.len());
    // Writing to a vector cannot fail, here and below.
    let _ = write!(out, "{{\"id\":\"{}\",\"topic\":", delivery.id);
    string(out, &message.topic);
    let received_at = humantime::format_rfc3339_millis(delivery.received_at);
    let (qos, retain, dup) = (message.qos as u8, message.retain, message.dup);
    let _ = write!(out, ",\"qos\":{qos},\"retain\":{retain},\"dup\":{dup},\"receivedAt\":\"{received_at}\"");
    if let Some(properties) = &message.properties {
        write_properties(out, properties);
    }
    out.extend_from_slice(b",\"payload\":");
    let name = payload(out, &message.payload);
    let _ = write!(out, ",\"encoding\":\"{name}\"}}");
}

fn write_properties(out: &mut Vec<u8>, properties: &Properties) {
    if !properties.user.is_empty() {
        key(out, "userProperties");
        let _ = serde_json::to_writer(&mut *out, &properties.user);
    }
    for (name, value) in [("contentType", &properties.content_type), ("responseTopic", &properties.response_topic)] {
        if let Some(value) = value {
            key(out, name);
            string(out, value);
        }
    }
    if let Some(data) = &properties.correlation_data {
        key(out, "correlationData");
        string(out, &BASE64_STANDARD.encode(data));
    }
}

fn payload(out: &mut Vec<u8>, payload: &[u8]) -> &'static str {
    match encoding_of(payload) {
        Encoding::Json => {
            out.extend_from_slice(payload);
            "json"
        }
        Encoding::Text => {
            string(out, &String::from_utf8_lossy(payload));
            "text"
        }
        Encoding::Base64 => {
            string(out, &BASE64_STANDARD.encode(payload));
            "base64"
        }
    }
}

fn key(out: &mut Vec<u8>, name: &str) {
    let _ = write!(out, ",\"{name}\":");
}

fn string(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
#[path = "encode/tests.rs"]
mod tests;
