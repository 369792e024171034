//! A dead letter: the message, byte for byte, and why it could not be delivered. Does not write itself.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use event::Encoding;
use serde::{Deserialize, Serialize};

use crate::delivery::Delivery;
use crate::outgoing::Outgoing;

/// What stands between the record's id and the number of an answer.
const ANSWER: &str = "-answer-";

/// A message, and why it became a dead letter. The JSON is the same for every destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The mapping it came through.
    pub mapping: String,
    /// The function that did not take it.
    pub function: String,
    /// The record's id in every event it was part of.
    pub id: String,
    /// The topic it was published to.
    pub topic: String,
    /// The QoS it was delivered with.
    pub qos: u8,
    /// Whether it was sent as a retained message.
    pub retain: bool,
    /// MQTT 5 user properties.
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
    /// The mapping's topic filter that it came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// How the bridge took the payload to be compressed; it is here as it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// The payload: a string also when it is JSON, so that not a space of it changes.
    pub payload: String,
    /// `text`, or `base64` when the payload is not UTF-8.
    pub encoding: Encoding,
    /// What is known of the message when it was too large to be decoded: then it has neither payload nor properties
    /// here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Skipped>,
    /// When the bridge received it: RFC 3339 in UTC.
    pub received_at: String,
    /// When it was first handed to the function.
    pub first_attempt_at: String,
    /// When it was last handed to the function.
    pub last_attempt_at: String,
    /// How often it was handed to the function.
    pub attempts: u32,
    /// The kind of failure: the function's error type, or the invocation error's.
    pub error_type: String,
    /// The reason.
    pub error_message: String,
    /// Redrives of it that failed. Its own reason stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrive: Option<FailedRedrives>,
}

/// The results of earlier redrives of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedRedrives {
    /// How many there were.
    pub times: u32,
    /// The kind of the last one's failure.
    pub error_type: String,
    /// Its reason.
    pub error_message: String,
}

/// What is known of a message that went by without being decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// How many bytes its properties and its payload had on the wire.
    pub length: u64,
    /// The SHA-256 of these bytes, in hexadecimal.
    pub sha256: String,
}

/// Why a delivery is given up.
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    /// The mapping.
    pub mapping: &'a str,
    /// The function.
    pub function: &'a str,
    /// Attempts made.
    pub attempts: u32,
    /// When the first began.
    pub first_attempt_at: SystemTime,
    /// When the last began.
    pub last_attempt_at: SystemTime,
    /// The kind of failure.
    pub error_type: &'a str,
    /// Its text.
    pub error_message: &'a str,
}

impl DeadLetter {
    /// The dead letter of this delivery.
    #[must_use]
    pub fn new(delivery: &Delivery, reason: &Circumstances<'_>) -> Self {
        let message = &delivery.message;
        let properties = message.properties.as_deref().cloned().unwrap_or_default();
        let (payload, encoding) = text_of(&message.payload);
        Self {
            mapping: reason.mapping.to_owned(),
            function: reason.function.to_owned(),
            id: delivery.id.to_string(),
            topic: message.topic.to_string(),
            qos: message.qos as u8,
            retain: message.retain,
            user_properties: properties.user,
            content_type: properties.content_type,
            response_topic: properties.response_topic,
            correlation_data: properties.correlation_data.map(|data| BASE64_STANDARD.encode(data)),
            subscription: delivery.subscription.as_ref().map(ToString::to_string),
            content_encoding: delivery.compression().map(|compression| compression.name().to_owned()),
            payload,
            encoding,
            skipped: message.skipped().map(|skipped| Skipped { length: skipped.length, sha256: skipped.digest() }),
            received_at: time(delivery.received_at),
            first_attempt_at: time(reason.first_attempt_at),
            last_attempt_at: time(reason.last_attempt_at),
            attempts: reason.attempts,
            error_type: reason.error_type.to_owned(),
            error_message: reason.error_message.to_owned(),
            redrive: None,
        }
    }

    /// A letter that holds the answer with this number, in place of the record it came with. A redrive leaves it alone:
    /// it is no message for the function.
    #[must_use]
    pub fn with_answer(self, answer: &Outgoing, number: usize) -> Self {
        let (payload, encoding) = text_of(&answer.payload);
        Self {
            id: format!("{}{ANSWER}{number}", self.id),
            topic: answer.topic.to_string(),
            qos: answer.qos as u8,
            retain: answer.retain,
            user_properties: Vec::new(),
            content_type: None,
            response_topic: None,
            correlation_data: None,
            content_encoding: None,
            payload,
            encoding,
            ..self
        }
    }

    /// Why there is no message in it that a function could be given; `None` when there is one.
    #[must_use]
    pub fn lacks(&self) -> Option<&'static str> {
        if self.skipped.is_some() {
            return Some("it has length and digest of its message, and not the payload");
        }
        self.is_answer().then_some("it has an answer of the function, and not a message")
    }

    /// With one more redrive that failed so, after so many attempts.
    #[must_use]
    pub fn failed_again(mut self, error_type: &str, error_message: &str, attempts: u32) -> Self {
        let times = self.redrive.map_or(0, |earlier| earlier.times).saturating_add(1);
        let (error_type, error_message) = (error_type.to_owned(), error_message.to_owned());
        self.redrive = Some(FailedRedrives { times, error_type, error_message });
        self.tried_again(attempts)
    }

    /// Adds this number of attempts, the last one just now.
    #[must_use]
    pub fn tried_again(mut self, attempts: u32) -> Self {
        self.attempts = self.attempts.saturating_add(attempts);
        if attempts > 0 {
            self.last_attempt_at = time(SystemTime::now());
        }
        self
    }

    /// Whether it holds an answer of the function and no message of a device.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.error_type == "Function.RefusedResponse" && self.id.contains(ANSWER)
    }

    /// The published bytes; `None` when base64 is broken.
    #[must_use]
    pub fn payload_bytes(&self) -> Option<Vec<u8>> {
        match self.encoding {
            Encoding::Base64 => BASE64_STANDARD.decode(&self.payload).ok(),
            Encoding::Text | Encoding::Json => Some(self.payload.clone().into_bytes()),
        }
    }
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

fn text_of(payload: &[u8]) -> (String, Encoding) {
    match std::str::from_utf8(payload) {
        Ok(text) => (text.to_owned(), Encoding::Text),
        Err(_) => (BASE64_STANDARD.encode(payload), Encoding::Base64),
    }
}
