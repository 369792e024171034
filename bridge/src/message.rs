//! A message as it was published. A large payload is a slice of the receive buffer; a small one is a copy, so that it
//! does not keep that buffer alive.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use crate::config::Qos;

/// One application message (MQTT 5, section 3.3).
#[derive(Debug, Clone)]
pub struct Message {
    /// The topic it was published to.
    pub topic: ByteString,
    /// What was published, untouched.
    pub payload: Bytes,
    /// The quality of service of this delivery.
    pub qos: Qos,
    /// Sent because it was retained when the subscription was made.
    pub retain: bool,
    /// The broker says that it may have sent it before.
    pub dup: bool,
    /// MQTT 5 properties; absent when there are none, as always under MQTT 3.1.1. Shared with the session, which
    /// compares them when the broker sends a message again.
    pub properties: Option<Arc<Properties>>,
}

/// The properties of a PUBLISH that travel with the message (MQTT 5, section 3.3.2.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// What is left of the message's life, as the broker counted it when it sent the message.
    pub expiry: Option<Duration>,
    /// What the payload is, in the publisher's words.
    pub content_type: Option<String>,
    /// The Response Topic.
    pub response_topic: Option<String>,
    /// The Correlation Data for the reply.
    pub correlation_data: Option<Bytes>,
    /// Name and value pairs in the publisher's order; names may repeat.
    pub user: Vec<(String, String)>,
    /// What is known of a message whose properties were too large to be decoded. It stands in place of all of them, and
    /// of the payload, which is empty then.
    pub skipped: Option<Box<Skipped>>,
    /// What is wrong with the text of a message that MQTT forbids; then topic and properties have `?` for each invalid byte.
    pub ill_formed: Option<Box<IllFormed>>,
}

/// A message with text that MQTT forbids. It is never invoked; its dead letter has its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IllFormed {
    /// What is wrong, and where.
    pub why: String,
    /// The SHA-256 of all its text as it came.
    pub sha256: [u8; 32],
}

/// A message that went by without being decoded. It is never invoked; its dead letter tells what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which bound it exceeded.
    pub why: String,
    /// How many bytes its properties and its payload had on the wire.
    pub length: u64,
    /// The SHA-256 of these bytes, with a Message Expiry Interval of 0.
    pub sha256: [u8; 32],
}

impl Skipped {
    /// [`Skipped::sha256`] in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        // Writing to a string cannot fail.
        self.sha256.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl Message {
    /// What is known of it when it was too large to be decoded; then it must not be invoked.
    #[must_use]
    pub fn skipped(&self) -> Option<&Skipped> {
        self.properties.as_ref()?.skipped.as_deref()
    }

    /// Why it must not be invoked, by kind and in words, when it could not be decoded as it came.
    #[must_use]
    pub fn unfit(&self) -> Option<(&'static str, &str)> {
        let properties = self.properties.as_ref()?;
        let skipped = properties.skipped.as_ref().map(|skipped| ("TooLarge", skipped.why.as_str()));
        skipped.or_else(|| properties.ill_formed.as_ref().map(|found| ("IllFormed", found.why.as_str())))
    }

    /// Marks it as one with text that MQTT forbids.
    pub fn mark(&mut self, found: IllFormed) {
        let properties = Arc::make_mut(self.properties.get_or_insert_default());
        properties.ill_formed = Some(Box::new(found));
    }

    /// The memory of the message in bytes: its variable parts and a fixed allowance for the bookkeeping around them.
    #[must_use]
    pub fn weight(&self) -> usize {
        const BOOKKEEPING: usize = 256;
        BOOKKEEPING + self.topic.len() + self.payload.len() + self.properties.as_ref().map_or(0, |p| p.weight())
    }
}

impl Properties {
    fn weight(&self) -> usize {
        /// What an allocator adds to a string.
        const ALLOCATION: usize = 16;
        let text = |text: &String| if text.is_empty() { 0 } else { text.len() + ALLOCATION };
        let pair = |(name, value): &(String, String)| size_of_val(name) * 2 + text(name) + text(value);
        let user: usize = self.user.iter().map(pair).sum();
        let skipped = self.skipped.as_ref().map_or(0, |skipped| size_of::<Skipped>() + skipped.why.len());
        let ill_formed = self.ill_formed.as_ref().map_or(0, |found| size_of::<IllFormed>() + found.why.len());
        size_of::<Self>()
            + skipped
            + ill_formed
            + self.content_type.as_ref().map_or(0, String::len)
            + self.response_topic.as_ref().map_or(0, String::len)
            + self.correlation_data.as_ref().map_or(0, Bytes::len)
            + user
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_counts_every_variable_part() {
        let mut message = Message {
            topic: "sensor/data".into(),
            payload: Bytes::from_static(b"12345"),
            qos: Qos::AtLeastOnce,
            retain: false,
            dup: false,
            properties: None,
        };
        let bare = message.weight();
        message.payload = Bytes::from_static(b"1234567890");
        assert_eq!(message.weight(), bare + 5);
        message.properties =
            Some(Arc::new(Properties { user: vec![("k".into(), "v".repeat(1000))], ..Properties::default() }));
        assert!(message.weight() > bare + 1000);
    }
}
