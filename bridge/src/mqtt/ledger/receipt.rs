//! One receipt of a message, and what makes two messages equal. Plain data.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use crate::config::Qos;
use crate::delivery::{Outcome, Ticket};
use crate::message::{IllFormed, Message, Properties, Skipped};

/// A received message and its state.
#[derive(Debug)]
pub(super) struct Receipt {
    pub(super) ticket: Ticket,
    /// On the connection that the receipt belongs to now; 0 at QoS 0.
    pub(super) packet_id: u16,
    pub(super) content: Content,
    pub(super) verdict: Option<Outcome>,
    pub(super) weight: usize,
    /// Another message has its packet identifier.
    pub(super) overtaken: bool,
}

impl Receipt {
    pub(super) fn is_open_as(&self, packet_id: u16) -> bool {
        self.packet_id == packet_id && !self.overtaken
    }
}

/// A message without what may differ between its copies: DUP, and the Message Expiry Interval, which a broker counts
/// down.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) qos: Qos,
    retain: bool,
    topic: ByteString,
    payload: Bytes,
    properties: Option<Arc<Properties>>,
}

impl Content {
    /// Shares the message's buffers.
    pub(super) fn of(message: &Message) -> Self {
        let Message { qos, retain, .. } = *message;
        let (topic, payload) = (message.topic.clone(), message.payload.clone());
        Self { qos, retain, topic, payload, properties: message.properties.clone() }
    }

    /// Keeps none of it, where the receipt only holds its place.
    pub(super) fn forget(&mut self) {
        (self.topic, self.payload, self.properties) = (ByteString::new(), Bytes::new(), None);
    }

    /// Compared byte by byte: a wrong yes would lose a message.
    pub(super) fn is_equal(&self, message: &Message) -> bool {
        self.qos == message.qos
            && self.retain == message.retain
            && self.topic == message.topic
            && self.payload == message.payload
            && lasting(self.properties.as_deref()) == lasting(message.properties.as_deref())
    }

    /// Tells messages apart where the messages themselves are not kept.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.qos as u8, self.retain, self.topic.as_bytes(), &self.payload).hash(&mut hasher);
        if let Some((content_type, response_topic, correlation_data, user, skipped, ill_formed)) =
            lasting(self.properties.as_deref())
        {
            (content_type, response_topic, correlation_data, user).hash(&mut hasher);
            skipped.map(|skipped| skipped.sha256).hash(&mut hasher);
            ill_formed.map(|found| found.sha256).hash(&mut hasher);
        }
        hasher.finish()
    }
}

type Lasting<'a> = (
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a Bytes>,
    &'a [(String, String)],
    Option<&'a Skipped>,
    Option<&'a IllFormed>,
);

/// All properties but the expiry; `None` when there are none.
fn lasting(properties: Option<&Properties>) -> Option<Lasting<'_>> {
    let Properties { expiry: _, content_type, response_topic, correlation_data, user, skipped, ill_formed } =
        properties?;
    let all: Lasting<'_> = (
        content_type.as_deref(),
        response_topic.as_deref(),
        correlation_data.as_ref(),
        user.as_slice(),
        skipped.as_deref(),
        ill_formed.as_deref(),
    );
    (all != (None, None, None, &[], None, None)).then_some(all)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn message() -> Message {
        let user = vec![("k".to_owned(), "v".to_owned())];
        let properties = Properties { user, content_type: Some("json".into()), ..Properties::default() };
        Message {
            topic: "t".into(),
            payload: Bytes::from_static(b"x"),
            qos: Qos::AtLeastOnce,
            retain: false,
            dup: false,
            properties: Some(Arc::new(properties)),
        }
    }

    fn with(change: impl FnOnce(&mut Message, &mut Properties)) -> Message {
        let mut message = message();
        let mut properties = message.properties.take().map(Arc::unwrap_or_clone).unwrap();
        change(&mut message, &mut properties);
        Message { properties: Some(Arc::new(properties)), ..message }
    }

    #[test]
    fn dup_and_expiry_make_no_difference() {
        let content = Content::of(&message());
        for same in [
            with(|message, _| message.dup = true),
            with(|_, properties| properties.expiry = Some(Duration::from_secs(7))),
        ] {
            assert!(content.is_equal(&same), "{same:?}");
            assert_eq!(content.digest(), Content::of(&same).digest());
        }
        let none = Content::of(&Message { properties: None, ..message() });
        let expiry = Properties { expiry: Some(Duration::from_secs(7)), ..Properties::default() };
        let expires = Message { properties: Some(Arc::new(expiry)), ..message() };
        assert!(none.is_equal(&expires));
        assert_eq!(none.digest(), Content::of(&expires).digest());
    }

    #[test]
    fn everything_else_does() {
        let content = Content::of(&message());
        for other in [
            with(|message, _| message.qos = Qos::ExactlyOnce),
            with(|message, _| message.retain = true),
            with(|message, _| message.topic = "u".into()),
            with(|message, _| message.payload = Bytes::from_static(b"y")),
            with(|_, properties| properties.content_type = None),
            with(|_, properties| properties.response_topic = Some("r".into())),
            with(|_, properties| properties.correlation_data = Some(Bytes::new())),
            with(|_, properties| properties.user.clear()),
            Message { properties: None, ..message() },
        ] {
            assert!(!content.is_equal(&other), "{other:?}");
            assert_ne!(content.digest(), Content::of(&other).digest(), "{other:?}");
        }
    }
}
