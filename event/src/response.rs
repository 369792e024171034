//! The function's response: which records failed, which messages to publish, and replies to records that asked for one.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Encoding, Payload, PayloadError};

/// The function's answer to an event. `{}` and `null` both mean that every record succeeded.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Response {
    /// The records that failed; all others succeeded. The shape of AWS's own partial batch responses.
    #[serde(deserialize_with = "null_is_empty")]
    pub batch_item_failures: Vec<ItemFailure>,
    /// Messages to publish before the records are acknowledged.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publish>,
    /// Answers to the publishers of records, sent before the records are acknowledged.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub reply: Vec<Reply>,
}

/// One record that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// The [`Record::id`](crate::Record::id) it is about. AWS reads a missing, null or empty one as a failure of the
    /// whole batch, and so does the bridge.
    #[serde(default)]
    pub item_identifier: Option<String>,
    /// `false` sends the record to the failure destination without another attempt.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub retry: bool,
    /// Why, for the dead letter and the log. Must not hold secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ItemFailure {
    /// A record that should be tried again.
    #[must_use]
    pub fn retry(id: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { item_identifier: Some(id.into()), retry: true, reason: Some(reason.into()) }
    }

    /// A record that no further attempt can help.
    #[must_use]
    pub fn give_up(id: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { item_identifier: Some(id.into()), retry: false, reason: Some(reason.into()) }
    }
}

/// A message that the function wants published, honoured only for topics that the mapping allows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Publish {
    /// The [`Record::id`](crate::Record::id) it is about, if it is about one: then `{topic[1]}` is of that record's
    /// topic, nothing is published while the record is listed as failed, and should the broker refuse the message, it
    /// is that record that goes to the failure destination.
    #[serde(default, rename = "itemIdentifier", skip_serializing_if = "Option::is_none")]
    pub item_identifier: Option<String>,
    /// Where to: a topic name without wildcards. `{topic[1]}` stands for that level of the record's own topic, counted
    /// from 0; in an event of several records all of them must have the same one there.
    pub topic: String,
    /// What: as in a record, read by `encoding`.
    pub payload: Box<RawValue>,
    /// How `payload` stands for bytes; JSON unless said otherwise.
    #[serde(default = "json", skip_serializing_if = "is_json")]
    pub encoding: Encoding,
    /// 0 or 1; the mapping's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<u8>,
    /// Whether the broker should keep it for later subscribers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retain: bool,
}

impl Publish {
    /// The bytes to publish.
    ///
    /// # Errors
    /// When `payload` is not what `encoding` promises.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>, PayloadError> {
        Payload::read(&self.payload, self.encoding).map(Payload::into_bytes)
    }
}

/// An answer to one record, published to its [`Record::response_topic`](crate::Record::response_topic) with its
/// [`Record::correlation_data`](crate::Record::correlation_data) (MQTT 5, 4.10), where the mapping says `reply = true`
/// and allows that topic. Without effect for a record that asks for no answer, or that is listed as failed: its own
/// reply comes with the attempt that succeeds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    /// The [`Record::id`](crate::Record::id) it answers.
    pub item_identifier: String,
    /// What: as in a record, read by `encoding`.
    pub payload: Box<RawValue>,
    /// How `payload` stands for bytes; JSON unless said otherwise.
    #[serde(default = "json", skip_serializing_if = "is_json")]
    pub encoding: Encoding,
}

impl Reply {
    /// The bytes to publish.
    ///
    /// # Errors
    /// When `payload` is not what `encoding` promises.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>, PayloadError> {
        Payload::read(&self.payload, self.encoding).map(Payload::into_bytes)
    }
}

fn yes() -> bool {
    true
}

fn json() -> Encoding {
    Encoding::Json
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's `skip_serializing_if` passes a reference")]
fn is_json(encoding: &Encoding) -> bool {
    *encoding == Encoding::Json
}

/// AWS reads a null list as an empty one.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_shape_of_aws_works() {
        let response: Response = serde_json::from_str(r#"{"batchItemFailures":[{"itemIdentifier":"id-2"}]}"#).unwrap();
        let failure = &response.batch_item_failures[0];
        assert_eq!(failure.item_identifier.as_deref(), Some("id-2"));
        assert!(failure.retry);
        assert_eq!(failure.reason, None);
    }

    #[test]
    fn empty_and_null_lists_mean_success() {
        for text in ["{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#] {
            let response: Response = serde_json::from_str(text).unwrap();
            assert!(response.batch_item_failures.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_is_published_is_read_by_its_encoding() {
        let response: Response = serde_json::from_str(include_str!("../fixtures/response.json")).unwrap();
        assert_eq!(*response.publish[0].bytes().unwrap(), *br#"{ "set": "idle" }"#);
        assert_eq!(*response.publish[1].bytes().unwrap(), [0x00, 0xff]);
        assert_eq!(*response.reply[0].bytes().unwrap(), *b"stored");
        let wrong = r#"{"topic":"a","payload":"%","encoding":"base64"}"#;
        assert!(serde_json::from_str::<Publish>(wrong).unwrap().bytes().is_err());
    }

    #[test]
    fn a_null_identifier_is_kept_for_the_bridge_to_judge() {
        let text = r#"{"batchItemFailures":[{"itemIdentifier":null},{"id":"bad key"}]}"#;
        let response: Response = serde_json::from_str(text).unwrap();
        assert_eq!(response.batch_item_failures.iter().filter(|f| f.item_identifier.is_none()).count(), 2);
    }
}
