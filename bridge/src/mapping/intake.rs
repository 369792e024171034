//! What happens to a delivery before it waits for a lane: the filters, the publisher's own id, the ordering key. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytestring::ByteString;
use serde_json::Value;

use super::filter::Filters;
use crate::config::{MessageId, OrderingKey};
use crate::delivery::{Delivery, Outcome, RecordId};
use crate::message::Message;

/// The longest id that is taken from a publisher, in bytes; a longer one is not an id.
const MAX_ID: usize = 256;

/// What a mapping does with each delivery first.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Which messages are for the function.
    pub(super) filters: Filters,
    /// Where the publisher says which message it is.
    pub(super) message_id: Option<MessageId>,
    /// What keeps its order.
    pub(super) ordering_key: Option<OrderingKey>,
}

impl Intake {
    /// Settles what no filter lets through; names the rest. A message that was not decoded has nothing to be judged by.
    pub(super) fn admit(&self, mut delivery: Delivery) -> Option<Delivery> {
        if delivery.message.skipped().is_some() {
            return Some(delivery);
        }
        if !self.filters.matches(&delivery.message) {
            delivery.settle(Outcome::Filtered);
            return None;
        }
        if let Some(message_id) = &self.message_id {
            identify(&mut delivery, message_id);
        }
        Some(delivery)
    }

    /// The delivery's ordering key.
    pub(super) fn key_of(&self, delivery: &Delivery) -> Option<u64> {
        key_of(&delivery.message, self.ordering_key.as_ref()?)
    }
}

/// A delivery's ordering key, as a number: equal keys give equal numbers. Two keys that share one are ordered together,
/// which is slower and not wrong. `None` when the message has no such key: it is not ordered.
fn key_of(message: &Message, ordering: &OrderingKey) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    match ordering {
        OrderingKey::TopicLevel(level) => message.topic.split('/').nth(*level)?.hash(&mut hasher),
        OrderingKey::Property(name) => property(message, name)?.hash(&mut hasher),
        OrderingKey::Payload(pointer) => at(message, pointer)?.to_string().hash(&mut hasher),
    }
    Some(hasher.finish())
}

/// Whether the message carries an id of its publisher's.
#[must_use]
pub fn has_id(message: &Message, message_id: &MessageId) -> bool {
    id_of(message, message_id).is_some()
}

/// Gives the delivery its publisher's id, when it has one.
fn identify(delivery: &mut Delivery, message_id: &MessageId) {
    if let Some(id) = id_of(&delivery.message, message_id) {
        delivery.id = RecordId::Given(ByteString::from(id));
    }
}

/// A string, or a number.
fn id_of(message: &Message, message_id: &MessageId) -> Option<String> {
    let id = match message_id {
        MessageId::Property(name) => property(message, name).map(str::to_owned),
        MessageId::Payload(pointer) => match at(message, pointer) {
            Some(Value::String(text)) => Some(text),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        },
    };
    id.filter(|id| !id.is_empty() && id.len() <= MAX_ID)
}

fn property<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let properties = message.properties.as_ref()?;
    properties.user.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn at(message: &Message, pointer: &str) -> Option<Value> {
    let mut payload: Value = serde_json::from_slice(&message.payload).ok()?;
    payload.pointer_mut(pointer).map(Value::take)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tokio::sync::mpsc;

    use super::*;
    use crate::config::Qos;
    use crate::delivery::Ticket;
    use crate::message::Properties;

    fn message(topic: &str, payload: &str) -> Message {
        let user = vec![("device".to_owned(), "d-1".to_owned()), ("device".to_owned(), "d-2".to_owned())];
        Message {
            topic: topic.into(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            qos: Qos::AtLeastOnce,
            retain: false,
            dup: false,
            properties: Some(Arc::new(Properties { user, ..Properties::default() })),
        }
    }

    #[test]
    fn keys_come_from_level_payload_or_property() {
        let (a, b) = (message("devices/a/data", r#"{"id":{"n":1}}"#), message("devices/b/data", r#"{"id":{"n":2}}"#));
        let a_again = message("other/a", r#"{"x":0,"id":{"n":1}}"#);
        for ordering in [OrderingKey::TopicLevel(1), OrderingKey::Payload("/id/n".into())] {
            assert_ne!(key_of(&a, &ordering), key_of(&b, &ordering), "{ordering:?}");
            assert_eq!(key_of(&a, &ordering), key_of(&a_again, &ordering), "{ordering:?}");
        }
        let property = OrderingKey::Property("device".into());
        assert!(key_of(&a, &property).is_some());
        assert_eq!(key_of(&a, &property), key_of(&b, &property));
    }

    #[test]
    fn a_message_without_the_key_has_none() {
        let message = message("one", "not json");
        assert_eq!(key_of(&message, &OrderingKey::TopicLevel(1)), None);
        assert_eq!(key_of(&message, &OrderingKey::Payload("/id".into())), None);
        assert_eq!(key_of(&message, &OrderingKey::Property("none".into())), None);
    }

    #[test]
    fn ids_come_from_the_publisher_when_they_are_ids() {
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(300));
        let cases = [
            (r#"{"id":"m-7"}"#, Some("m-7")),
            (r#"{"id":7}"#, Some("7")),
            (r#"{"id":""}"#, None),
            (r#"{"id":null}"#, None),
            ("no json", None),
            (&long, None),
        ];
        for (payload, expected) in cases {
            let (settler, _) = mpsc::channel(1);
            let numbered = RecordId::Numbered { run: 1, sequence: 1 };
            let ticket = Ticket { epoch: 1, slot: 1 };
            let mut delivery = Delivery::new(message("t", payload), numbered.clone(), ticket, settler);
            identify(&mut delivery, &MessageId::Payload("/id".into()));
            let expected = expected.map_or(numbered, |id| RecordId::Given(id.into()));
            assert_eq!(delivery.id, expected, "{payload}");
        }
    }
}
