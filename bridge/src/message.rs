//! A message as it was published. Holds the receive buffer's own bytes: nothing is copied to get here.

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
    /// MQTT 5 properties; absent when there are none, as always under MQTT 3.1.1. Shared with the session, which compares
    /// them when the broker sends a message again.
    pub properties: Option<Arc<Properties>>,
}

/// The properties of a PUBLISH that travel with the message (MQTT 5, section 3.3.2.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// What is left of the message's life, as the broker counted it when it sent the message.
    pub expiry: Option<Duration>,
    /// What the payload is, in the publisher's words.
    pub content_type: Option<String>,
    /// Where an answer is expected.
    pub response_topic: Option<String>,
    /// What the answer must carry back.
    pub correlation_data: Option<Bytes>,
    /// Name and value pairs in the publisher's order; names may repeat.
    pub user: Vec<(String, String)>,
}

impl Message {
    /// What it costs to keep it, in bytes: its variable parts and a fixed allowance for the bookkeeping around them.
    #[must_use]
    pub fn weight(&self) -> usize {
        const BOOKKEEPING: usize = 256;
        BOOKKEEPING + self.topic.len() + self.payload.len() + self.properties.as_ref().map_or(0, |p| p.weight())
    }
}

impl Properties {
    fn weight(&self) -> usize {
        let user: usize = self.user.iter().map(|(name, value)| name.len() + value.len() + size_of_val(name) * 2).sum();
        size_of::<Self>()
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
