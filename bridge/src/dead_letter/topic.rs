//! A topic of the same broker as a failure destination: the message is published there again, with the reason in user
//! properties. The publisher sends it; this file touches no connection.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use bytestring::ByteString;

use super::{DeadLetter, DestinationError};
use crate::config::{OnUnreadLetter, Protocol};
use crate::foreign::Foreign;
use crate::message::Properties;
use crate::outgoing::{Outgoing, PublishError, PublishHandle};

/// The most characters of a value: a broker may refuse a packet for its properties, and the reason can have any length.
const LONGEST_VALUE: usize = 1024;

/// A topic for dead letters. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct TopicDestination {
    topic: ByteString,
    unread: OnUnreadLetter,
    publisher: PublishHandle,
    protocol: Protocol,
}

impl TopicDestination {
    pub(super) fn new(topic: &str, unread: OnUnreadLetter, publisher: PublishHandle, protocol: Protocol) -> Self {
        Self { topic: topic.into(), unread, publisher, protocol }
    }

    /// Returns once the broker has confirmed it. At QoS 1 a subscriber may get it twice.
    pub(super) async fn put(&self, letter: &DeadLetter) -> Result<(), DestinationError> {
        let error = |cause: String| DestinationError::new(self, cause);
        let (payload, properties): (Bytes, _) = match self.protocol {
            Protocol::V5 => message(letter).map_err(error)?,
            Protocol::V311 => (serde_json::to_vec(letter).map_err(|cause| error(cause.to_string()))?.into(), None),
        };
        let needs_reader = self.unread == OnUnreadLetter::Refuse;
        let outgoing = Outgoing { properties, needs_reader, ..Outgoing::new(self.topic.clone(), payload) };
        self.publisher.publish(outgoing).await.map_err(|cause| match cause {
            // Packet too large and Payload Format Invalid are about this letter; other refusals can be repaired.
            PublishError::TooLarge { .. } | PublishError::Refused { code: 0x95 | 0x99, .. } => {
                DestinationError::lasting(self, cause)
            }
            cause => error(cause.to_string()),
        })
    }
}

impl fmt::Display for TopicDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic `{}`", Foreign::of(&self.topic))
    }
}

/// The message as it was published, with ours behind the publisher's own user properties.
fn message(letter: &DeadLetter) -> Result<(Bytes, Option<Box<Properties>>), String> {
    let payload = letter.payload_bytes().ok_or("its payload is not base64")?;
    let correlation_data = letter.correlation_data.as_ref().map(|data| BASE64_STANDARD.decode(data)).transpose();
    let mut user = letter.user_properties.clone();
    user.extend(about(letter));
    if let Some(skipped) = &letter.skipped {
        user.push(("dead-letter-skipped-length".to_owned(), skipped.length.to_string()));
        user.push(("dead-letter-skipped-sha256".to_owned(), printable(&skipped.sha256)));
    }
    let properties = Properties {
        expiry: None,
        content_type: letter.content_type.clone(),
        response_topic: letter.response_topic.clone(),
        correlation_data: correlation_data.map_err(|_| "its correlation data is not base64")?.map(Bytes::from),
        user,
        ..Properties::default()
    };
    Ok((payload.into(), Some(Box::new(properties))))
}

fn about(letter: &DeadLetter) -> impl Iterator<Item = (String, String)> {
    let attempts = letter.attempts.to_string();
    [
        ("dead-letter-mapping", letter.mapping.as_str()),
        ("dead-letter-function", &letter.function),
        ("dead-letter-topic", &letter.topic),
        ("dead-letter-record-id", &letter.id),
        ("dead-letter-error-type", &letter.error_type),
        ("dead-letter-error-message", &letter.error_message),
        ("dead-letter-attempts", &attempts),
        ("dead-letter-received-at", &letter.received_at),
        ("dead-letter-first-attempt-at", &letter.first_attempt_at),
        ("dead-letter-last-attempt-at", &letter.last_attempt_at),
    ]
    .map(|(name, value)| (name.to_owned(), printable(value)))
    .into_iter()
}

/// Without what a broker may close the connection for (MQTT 5, 1.5.4), and not too long.
fn printable(value: &str) -> String {
    value.chars().take(LONGEST_VALUE).map(|character| if is_allowed(character) { character } else { ' ' }).collect()
}

fn is_allowed(character: char) -> bool {
    let code = u32::from(character);
    !character.is_control() && !(0xfdd0..=0xfdef).contains(&code) && code & 0xfffe != 0xfffe
}

#[cfg(test)]
mod tests {
    use event::Encoding;

    use super::*;
    use crate::outgoing::channel;

    fn letter() -> DeadLetter {
        DeadLetter {
            mapping: "m".into(),
            function: "f".into(),
            id: "1".into(),
            topic: "t".into(),
            qos: 1,
            retain: true,
            user_properties: vec![("k".into(), "v".into())],
            content_type: None,
            response_topic: None,
            correlation_data: None,
            payload: "AP8=".into(),
            encoding: Encoding::Base64,
            subscription: None,
            content_encoding: None,
            skipped: None,
            redrive: None,
            received_at: String::new(),
            first_attempt_at: String::new(),
            last_attempt_at: String::new(),
            attempts: 3,
            error_type: "E".into(),
            error_message: format!("a\n\u{0}{}", "x".repeat(2000)),
        }
    }

    /// What the publisher is asked for, when it answers so.
    async fn put(protocol: Protocol, answer: Result<(), PublishError>) -> (Outgoing, Result<(), DestinationError>) {
        let (publisher, mut requests) = channel(1);
        let topic = TopicDestination::new("dead/letters", OnUnreadLetter::Refuse, publisher, protocol);
        let letter = letter();
        let (result, outgoing) = tokio::join!(topic.put(&letter), async {
            let (outgoing, waiting) = requests.recv().await.unwrap().into_parts();
            waiting.tell(answer);
            outgoing
        });
        (outgoing, result)
    }

    #[tokio::test]
    async fn the_message_goes_out_with_the_reason_beside_it() {
        let (outgoing, result) = put(Protocol::V5, Ok(())).await;
        result.unwrap();
        assert_eq!((outgoing.payload.as_ref(), outgoing.retain), (&[0, 255][..], false));
        let user = outgoing.properties.unwrap().user;
        assert_eq!(user[0], ("k".into(), "v".into()));
        let reason = user.iter().find(|(name, _)| name == "dead-letter-error-message").unwrap();
        assert!(reason.1.starts_with("a  x") && reason.1.len() == LONGEST_VALUE);
    }

    #[tokio::test]
    async fn without_user_properties_the_letter_goes_out() {
        let (outgoing, result) = put(Protocol::V311, Ok(())).await;
        result.unwrap();
        assert_eq!(serde_json::from_slice::<DeadLetter>(&outgoing.payload).unwrap(), letter());
    }

    #[tokio::test]
    async fn a_refusal_is_an_error() {
        let (_, result) = put(Protocol::V5, Err(PublishError::Ended)).await;
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("failure destination topic `dead/letters`: "), "{error}");
    }

    #[tokio::test]
    async fn only_a_refusal_of_this_very_letter_is_final() {
        for (code, is_final) in [(0x80, false), (0x87, false), (0x90, false), (0x95, true), (0x97, false), (0x99, true)]
        {
            let refused = PublishError::Refused { topic: "dead/letters".into(), code, reason: "".into() };
            let (_, result) = put(Protocol::V5, Err(refused)).await;
            assert_eq!(result.unwrap_err().is_final, is_final, "{code:#x}");
        }
    }
}
