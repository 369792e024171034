//! Writes events: the only place that turns deliveries into the JSON of the [`event`] crate. Pure.
//!
//! A payload that is JSON which every function can read goes in as it came, without a tree being built or a byte being
//! changed; one copy, into the event, is all that happens to it.

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use event::{EVENT_SOURCE, Encoding};

use crate::config::Invocation;
use crate::delivery::{Delivery, RecordId};
use crate::message::Properties;
use crate::payload::Look;

/// The most bytes that an invocation of this kind may carry (Lambda quotas, "Invocation payload": 6 MB synchronous, 1
/// MB asynchronous).
#[must_use]
pub fn event_limit(invocation: Invocation) -> usize {
    match invocation {
        Invocation::RequestResponse => 6 * 1024 * 1024,
        Invocation::Event => 1024 * 1024,
    }
}

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

/// Chooses the encoding of the payload in the event, and computes the greatest length of its record, comma included.
pub fn measure(delivery: &mut Delivery) -> usize {
    const FIXED: usize = 256;
    /// The field of that name.
    const TRACEPARENT: usize = 80;
    let encoding = encoding_of(delivery);
    delivery.encoding = Some(encoding);
    let message = &delivery.message;
    let payload = match encoding {
        Encoding::Json => delivery.payload().len(),
        Encoding::Text => escaped(delivery.payload()),
        Encoding::Base64 => delivery.payload().len().div_ceil(3) * 4,
    };
    let properties = message.properties.as_ref().map_or(0, |p| {
        let user: usize = p.user.iter().map(|(k, v)| escaped(k.as_bytes()) + escaped(v.as_bytes()) + 8).sum();
        let text = |value: &Option<String>| value.as_ref().map_or(0, |value| escaped(value.as_bytes()));
        user + text(&p.content_type) + text(&p.response_topic) + p.correlation_data.as_ref().map_or(0, |d| d.len() * 2)
    });
    let id = if let RecordId::Given(id) = &delivery.id { escaped(id.as_bytes()) } else { 40 };
    let subscription = delivery.subscription.as_ref().map_or(0, |filter| 20 + escaped(filter.as_bytes()));
    let trace = if delivery.trace.traceparent().is_some() { TRACEPARENT } else { 0 };
    FIXED + trace + subscription + id + escaped(message.topic.as_bytes()) + payload + properties
}

/// How long UTF-8 text becomes as a JSON string, without its quotes: at most this.
fn escaped(text: &[u8]) -> usize {
    text.iter().map(|byte| if *byte < 0x20 { 6 } else { 1 + usize::from(matches!(byte, b'"' | b'\\')) }).sum()
}

/// The encoding of the payload in the event.
pub(super) fn encoding_of(delivery: &Delivery) -> Encoding {
    delivery.encoding.unwrap_or_else(|| Look::at(delivery.payload()).encoding())
}

fn record(out: &mut Vec<u8>, delivery: &Delivery) {
    let message = &delivery.message;
    out.reserve(256 + message.topic.len() + delivery.payload().len());
    // Writing to a vector cannot fail, here and below.
    match &delivery.id {
        RecordId::Numbered { .. } => drop(write!(out, "{{\"id\":\"{}\",\"topic\":", delivery.id)),
        RecordId::Given(id) => {
            out.extend_from_slice(b"{\"id\":");
            string(out, id);
            out.extend_from_slice(b",\"topic\":");
        }
    }
    string(out, &message.topic);
    let received_at = humantime::format_rfc3339_millis(delivery.received_at);
    let (qos, retain, dup) = (message.qos as u8, message.retain, message.dup);
    let _ = write!(out, ",\"qos\":{qos},\"retain\":{retain},\"dup\":{dup},\"receivedAt\":\"{received_at}\"");
    if let Some(properties) = &message.properties {
        write_properties(out, properties);
    }
    if let Some(filter) = &delivery.subscription {
        key(out, "subscription");
        string(out, filter);
    }
    if let Some(compression) = delivery.compression() {
        key(out, "decompressed");
        string(out, compression.name());
    }
    if let Some(parent) = delivery.trace.traceparent() {
        let _ = write!(out, ",\"traceparent\":\"{parent}\"");
    }
    out.extend_from_slice(b",\"payload\":");
    let encoding = encoding_of(delivery);
    payload(out, delivery.payload(), encoding);
    let _ = write!(out, ",\"encoding\":\"{}\"}}", name(encoding));
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

/// The payload as JSON.
pub(super) fn payload(out: &mut Vec<u8>, payload: &[u8], encoding: Encoding) {
    match encoding {
        Encoding::Json => out.extend_from_slice(payload),
        Encoding::Text => string(out, &String::from_utf8_lossy(payload)),
        Encoding::Base64 => string(out, &BASE64_STANDARD.encode(payload)),
    }
}

/// What the event crate calls it.
pub(super) fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "json",
        Encoding::Text => "text",
        Encoding::Base64 => "base64",
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
