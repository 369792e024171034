//! What happens to a delivery before it waits for a lane: decompression, the filters, the publisher's own id, the
//! ordering key. Pure.

use std::cell::OnceCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytestring::ByteString;

use super::filter::Filters;
use crate::config::{ContentEncoding, MessageId, OrderingKey};
use crate::content::Compression;
use crate::delivery::{Delivery, Outcome, RecordId};
use crate::message::Message;
use crate::payload::{Json, Look, Value};

/// The longest id that is taken from a publisher, in bytes; a longer one is not an id.
const MAX_ID: usize = 256;

/// The first steps of a mapping with each delivery.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Which messages are for the function.
    pub(super) filters: Filters,
    /// Where the publisher says which message it is.
    pub(super) message_id: Option<MessageId>,
    /// The ordering key.
    pub(super) ordering_key: Option<OrderingKey>,
    /// How payloads are compressed, and how long one may become.
    pub(super) content: Content,
    /// Events that the function has answered.
    pub(super) passed: Arc<AtomicU64>,
}

/// See [`ContentEncoding`].
#[derive(Debug)]
pub(super) struct Content {
    pub(super) encoding: ContentEncoding,
    pub(super) limit: usize,
}

impl Default for Content {
    fn default() -> Self {
        Self { encoding: ContentEncoding::None, limit: 0 }
    }
}

impl Content {
    fn compression_of(&self, message: &Message) -> Option<Compression> {
        match self.encoding {
            ContentEncoding::None => None,
            ContentEncoding::Gzip => Some(Compression::Gzip),
            ContentEncoding::Zstd => Some(Compression::Zstd),
            ContentEncoding::Property => Compression::said_by(message),
        }
    }
}

impl Intake {
    /// Decompresses; settles what no filter lets through; names the rest, and finds out what its payload is. A message
    /// that cannot be read has nothing to be judged by.
    pub(super) fn admit(&self, mut delivery: Delivery) -> Option<Delivery> {
        // No delivery behind it can be taken up before, so what passes behind it counts as later.
        delivery.passed_before = self.passed.load(Ordering::Relaxed);
        if let Some(compression) = self.content.compression_of(&delivery.message) {
            delivery.decompress(compression, self.content.limit);
        }
        if delivery.unreadable().is_some() {
            return Some(delivery);
        }
        let (message, payload) = (&delivery.message, OnceCell::new());
        let look = || *payload.get_or_init(|| Look::at(delivery.payload()));
        if !self.filters.matches_as(message, look) {
            delivery.settle(Outcome::Filtered);
            return None;
        }
        let id = self.message_id.as_ref().and_then(|message_id| id_of(message, look, message_id));
        let encoding = look().encoding();
        delivery.encoding = Some(encoding);
        if let Some(id) = id {
            delivery.id = RecordId::Given(ByteString::from(id));
        }
        Some(delivery)
    }

    /// The delivery's ordering key.
    pub(super) fn key_of(&self, delivery: &Delivery) -> Option<u64> {
        let payload = delivery.payload();
        let look = || delivery.encoding.map_or_else(|| Look::at(payload), |encoding| Look::known(payload, encoding));
        key_of(&delivery.message, look, self.ordering_key.as_ref()?)
    }
}

/// A delivery's ordering key, as a number: equal keys give equal numbers. Two keys that share one are ordered together,
/// which is slower and not wrong. `None` when the message has no such key: it is not ordered.
fn key_of<'a>(message: &'a Message, payload: impl Fn() -> Look<'a>, ordering: &OrderingKey) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    match ordering {
        OrderingKey::TopicLevel(level) => message.topic.split('/').nth(*level)?.hash(&mut hasher),
        OrderingKey::Property(name) => property(message, name)?.hash(&mut hasher),
        OrderingKey::Payload(pointer) => hash_value(payload().json()?.at(pointer)?, &mut hasher),
    }
    Some(hasher.finish())
}

/// A string by what it says, everything else by how it is written, white space aside.
fn hash_value(json: Json<'_>, hasher: &mut DefaultHasher) {
    if let Value::Text(text) = json.value() {
        text.hash(hasher);
        return;
    }
    let (mut in_string, mut escaped) = (false, false);
    let mut is_space_between = |byte: &u8| {
        in_string ^= *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        !in_string && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
    };
    for run in json.as_written().as_bytes().split(|byte| is_space_between(byte)) {
        hasher.write(run);
    }
}

/// Whether the message carries an id of its publisher's.
#[must_use]
pub fn has_id(message: &Message, message_id: &MessageId) -> bool {
    id_of(message, || Look::at(&message.payload), message_id).is_some()
}

/// A string, or a number as it is written.
fn id_of<'a>(message: &'a Message, payload: impl Fn() -> Look<'a>, message_id: &MessageId) -> Option<String> {
    let id = match message_id {
        MessageId::Property(name) => property(message, name).map(str::to_owned),
        MessageId::Payload(pointer) => match payload().json()?.at(pointer)?.value() {
            Value::Text(text) => Some(text.into_owned()),
            Value::Number(text) => Some(text.to_owned()),
            _ => None,
        },
    };
    id.filter(|id| !id.is_empty() && id.len() <= MAX_ID)
}

fn property<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let properties = message.properties.as_ref()?;
    properties.user.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use event::Encoding;
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

    fn key_of(message: &Message, ordering: &OrderingKey) -> Option<u64> {
        super::key_of(message, || Look::at(&message.payload), ordering)
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
    fn a_key_is_the_same_however_it_is_written() {
        let key = |payload: &str| key_of(&message("t", payload), &OrderingKey::Payload("/k".into())).unwrap();
        assert_eq!(key(r#"{"k":"d\u002d1"}"#), key(r#"{"x":1, "k" : "d-1" }"#));
        assert_eq!(key(r#"{"k":{"a":[1,"b c\""]}}"#), key(r#"{"k": { "a" : [ 1, "b c\"" ] } }"#));
        assert_ne!(key(r#"{"k":["b c"]}"#), key(r#"{"k":["bc"]}"#));
        assert_ne!(key(r#"{"k":"1"}"#), key(r#"{"k":1}"#));
    }

    fn admitted(payload: &str, intake: &Intake) -> Delivery {
        let (settler, _) = mpsc::channel(1);
        let numbered = RecordId::Numbered { run: 1, sequence: 1 };
        let delivery = Delivery::new(message("t", payload), numbered, Ticket { epoch: 1, slot: 1 }, settler);
        intake.admit(delivery).unwrap()
    }

    /// On a busy machine the first attempt for it may begin when all behind it are through.
    #[test]
    fn what_passes_from_now_on_passes_later() {
        let intake = Intake::default();
        intake.passed.store(7, Ordering::Relaxed);
        assert_eq!(admitted("x", &intake).passed_before, 7);
    }

    #[test]
    fn ids_come_from_the_publisher_when_they_are_ids() {
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(300));
        let cases = [
            (r#"{"id":"m-7"}"#, Some("m-7")),
            (r#"{"id":"m\u002d7"}"#, Some("m-7")),
            (r#"{"id":7}"#, Some("7")),
            (r#"{"id":12345678901234567890123}"#, Some("12345678901234567890123")),
            (r#"{"id":""}"#, None),
            (r#"{"id":null}"#, None),
            (r#"{"id":7,"other":1e999}"#, None),
            ("no json", None),
            (&long, None),
        ];
        let intake = Intake { message_id: Some(MessageId::Payload("/id".into())), ..Intake::default() };
        for (payload, expected) in cases {
            let expected = expected.map_or(RecordId::Numbered { run: 1, sequence: 1 }, |id| RecordId::Given(id.into()));
            assert_eq!(admitted(payload, &intake).id, expected, "{payload}");
        }
    }

    #[test]
    fn a_payload_that_cannot_be_decompressed_passes_every_filter_and_is_named_by_nothing_in_it() {
        let filters = Filters::parse(&[serde_json::json!({ "payload": { "id": ["m-7"] } })]).unwrap();
        let content = Content { encoding: ContentEncoding::Gzip, limit: 100 };
        let intake =
            Intake { message_id: Some(MessageId::Payload("/id".into())), filters, content, ..Intake::default() };
        let delivery = admitted(r#"{"id":"m-7"}"#, &intake);
        assert_eq!(delivery.unreadable().map(|(kind, _)| kind), Some("ContentUnreadable"));
        assert_eq!(delivery.id, RecordId::Numbered { run: 1, sequence: 1 });
        assert_eq!(delivery.payload(), r#"{"id":"m-7"}"#, "as it was published");
    }

    #[test]
    fn the_first_look_is_kept() {
        for (payload, encoding) in [("{}", Encoding::Json), ("{\"x\":1e999}", Encoding::Text), ("x", Encoding::Text)] {
            assert_eq!(admitted(payload, &Intake::default()).encoding, Some(encoding), "{payload}");
        }
    }
}
