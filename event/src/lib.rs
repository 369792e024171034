//! The JSON contract between the bridge and the function: [`Event`] in, [`Response`] out.
//!
//! Knows nothing of MQTT's wire format and nothing of the Lambda runtime, so that the function needs no MQTT code and
//! the bridge no Lambda runtime. The files in `fixtures` are the contract by example, and `schema.json` is it as JSON
//! Schema; the bridge's encoder, the function and the documentation are all tested against them.
//!
//! A function takes each record, and names those that failed:
//!
//! ```
//! use mqtt_lambda_event::{Event, ItemFailure, Payload, Response};
//!
//! fn handle(event: &Event) -> Response {
//!     let failed = |record: &mqtt_lambda_event::Record| match record.payload() {
//!         Ok(Payload::Json(_)) => None,
//!         // No further attempt would make JSON of it.
//!         _ => Some(ItemFailure::give_up(&record.id, "payload: not JSON")),
//!     };
//!     Response { batch_item_failures: event.records.iter().filter_map(failed).collect(), ..Response::default() }
//! }
//!
//! let event = serde_json::from_str(include_str!("../fixtures/event.json"))?;
//! let failures = handle(&event).batch_item_failures;
//! assert_eq!(failures.len(), 2);
//! assert_eq!(failures[0].item_identifier.as_deref(), Some("5b1f0c7e9a3d2468-2"));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod payload;
mod response;

/// The page of the crate, so that its example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use payload::{Encoding, Payload, PayloadError};
pub use response::{ItemFailure, Publish, Reply, Response};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The value of [`Event::event_source`].
pub const EVENT_SOURCE: &str = "mqtt";

/// What one invocation carries: the records of one batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Always [`EVENT_SOURCE`].
    pub event_source: String,
    /// The name of the mapping that sent the event.
    pub mapping: String,
    /// The messages, in receive order.
    pub records: Vec<Record>,
}

/// A message inside an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The same over every retry of a delivery; what [`ItemFailure::item_identifier`] names.
    pub id: String,
    /// The topic the message was published to.
    pub topic: String,
    /// The quality of service it was delivered with: 0, 1 or 2.
    pub qos: u8,
    /// Whether the broker sent it as a retained message.
    pub retain: bool,
    /// Whether the broker marked it as sent before.
    pub dup: bool,
    /// When the bridge received it: RFC 3339 in UTC, to the millisecond.
    pub received_at: String,
    /// MQTT 5 user properties, in the publisher's order; a name may appear more than once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_properties: Vec<(String, String)>,
    /// MQTT 5 Content Type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// MQTT 5 Response Topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_topic: Option<String>,
    /// MQTT 5 Correlation Data, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_data: Option<String>,
    /// The mapping's topic filter that the message came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// How the payload was compressed when it was published, where the bridge has decompressed it: `gzip` or `zstd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decompressed: Option<String>,
    /// The span of the bridge that this message is in, as a `traceparent` of W3C Trace Context: the parent of what the
    /// function does with it. Only where the bridge has traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The payload as [`Record::encoding`] says. [`Record::payload`] reads it.
    pub payload: Box<RawValue>,
    /// How `payload` stands for the bytes that were published.
    pub encoding: Encoding,
}

impl Record {
    /// The payload, read as its encoding says.
    ///
    /// # Errors
    /// When `payload` is not what `encoding` promises, which the bridge never sends.
    pub fn payload(&self) -> Result<Payload<'_>, PayloadError> {
        Payload::read(&self.payload, self.encoding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = include_str!("../fixtures/event.json");
    const RESPONSE: &str = include_str!("../fixtures/response.json");

    #[test]
    fn event_fixture_survives_a_round_trip() {
        let event: Event = serde_json::from_str(EVENT).unwrap();
        let expected: serde_json::Value = serde_json::from_str(EVENT).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap(), expected);
    }

    #[test]
    fn response_fixture_survives_a_round_trip() {
        let response: Response = serde_json::from_str(RESPONSE).unwrap();
        let expected: serde_json::Value = serde_json::from_str(RESPONSE).unwrap();
        assert_eq!(serde_json::to_value(&response).unwrap(), expected);
    }

    #[test]
    fn every_encoding_gives_back_the_published_bytes() {
        let event: Event = serde_json::from_str(EVENT).unwrap();
        let bytes: Vec<_> = event.records.iter().map(|r| r.payload().unwrap().into_bytes().into_owned()).collect();
        assert_eq!(bytes[0], br#"{"device_id": "C-Client-01", "temperature": 24.5, "status": "OK"}"#);
        assert_eq!(bytes[1], "21,5 °C\n".as_bytes());
        assert_eq!(bytes[2], [0x00, 0xff, 0x10, 0x80]);
    }

    #[test]
    fn json_payload_keeps_its_own_spelling() {
        let raw = r#"{"eventSource":"mqtt","mapping":"m","records":[{"id":"1","topic":"t","qos":1,"retain":false,
            "dup":false,"receivedAt":"2026-11-20T12:00:00.123Z","payload":{"a":1e999,"a":1.0},"encoding":"json"}]}"#;
        let event: Event = serde_json::from_str(raw).unwrap();
        assert_eq!(event.records[0].payload.get(), r#"{"a":1e999,"a":1.0}"#);
    }
}
