//! Messages that the bridge itself publishes, and the queue to the publisher, which connects lanes and dead letters
//! with the connection that sends. Touches no connection.

use bytes::Bytes;
use bytestring::ByteString;
use tokio::sync::{mpsc, oneshot};

use crate::config::Qos;
use crate::foreign::Foreign;
use crate::message::Properties;

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to; a topic name.
    pub topic: ByteString,
    /// What.
    pub payload: Bytes,
    /// 0 or 1; at 2 it is refused.
    pub qos: Qos,
    /// Whether the broker should keep it for later subscribers.
    pub retain: bool,
    /// Sent along under MQTT 5, and left out under MQTT 3.1.1, which has none. The expiry counts from the moment of
    /// sending.
    pub properties: Option<Box<Properties>>,
    /// Whether it counts as not published where the broker says at QoS 1 that nobody is subscribed (MQTT 5, 3.4.2.1,
    /// reason code 0x10). A broker need not say so, and under MQTT 3.1.1 none can.
    pub needs_reader: bool,
}

impl Outgoing {
    /// An ordinary message: at QoS 1, not retained.
    #[must_use]
    pub fn new(topic: impl Into<ByteString>, payload: impl Into<Bytes>) -> Self {
        let (topic, payload, qos) = (topic.into(), payload.into(), Qos::AtLeastOnce);
        Self { topic, payload, qos, retain: false, properties: None, needs_reader: false }
    }
}

/// Why a message was not published, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The broker will not have it: its PUBACK has a reason code of 0x80 or above (MQTT 5, 3.4.2.1).
    #[error("publish to `{}`: refused by the broker: {reason}", Foreign::of(.topic))]
    Refused {
        /// Where to.
        topic: ByteString,
        /// The reason code.
        code: u8,
        /// Its name, and the broker's own words where it gave some.
        reason: Foreign,
    },
    /// The broker has dropped it, as nobody is subscribed to its topic.
    #[error("publish to `{}`: nobody is subscribed to it, so the broker has dropped the message", Foreign::of(.topic))]
    Unread {
        /// Where to.
        topic: ByteString,
    },
    /// Larger than the broker's Maximum Packet Size (MQTT 5, 3.2.2.3.6).
    #[error("publish to `{}`: the packet has {bytes} bytes; the broker takes {limit} at most", Foreign::of(.topic))]
    TooLarge {
        /// Where to.
        topic: ByteString,
        /// The size of the packet.
        bytes: usize,
        /// The broker's limit.
        limit: u32,
    },
    /// The protocol, or this broker, has no way to carry it.
    #[error("publish to `{}`: {cause}", Foreign::of(.topic))]
    Impossible {
        /// Where to.
        topic: ByteString,
        /// The reason, and how to fix it.
        cause: Foreign,
    },
    /// The connection broke each time that this message alone was on its way. MQTT 3.1.1 has no other way to refuse one
    /// (3.3.5).
    #[error(
        "publish to `{}`: the connection broke {times} times over it; check whether this client may publish there",
        Foreign::of(.topic)
    )]
    Broken {
        /// Where to.
        topic: ByteString,
        /// How often.
        times: u8,
    },
    /// The publisher has ended: the bridge stops.
    #[error("publish: the connection for it has ended, as the bridge stops")]
    Ended,
}

impl PublishError {
    /// Whether the broker would refuse the same message again, so that publishing it once more is no use: not
    /// authorized (0x87), Topic Name Invalid (0x90), Packet too large (0x95), Payload Format Invalid (0x99), too large
    /// or impossible by what CONNACK says, or the connection broke over it.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::TooLarge { .. } | Self::Impossible { .. } | Self::Broken { .. } => true,
            Self::Refused { code, .. } => matches!(code, 0x87 | 0x90 | 0x95 | 0x99),
            Self::Unread { .. } | Self::Ended => false,
        }
    }
}

/// The way to the publisher. The publisher ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct PublishHandle(mpsc::Sender<Request>);

/// A message on its way, and the one who waits for it.
#[derive(Debug)]
pub struct Request {
    outgoing: Outgoing,
    verdict: oneshot::Sender<Result<(), PublishError>>,
}

/// One who waits for the verdict on a message.
#[derive(Debug)]
pub struct Waiting(oneshot::Sender<Result<(), PublishError>>);

/// A way to a publisher on which `room` messages may queue.
#[must_use]
pub fn channel(room: usize) -> (PublishHandle, mpsc::Receiver<Request>) {
    let (sender, requests) = mpsc::channel(room);
    (PublishHandle(sender), requests)
}

/// Publishes all, in their order, and returns when each is confirmed or has failed: a verdict for each, in that order.
/// So what failed can be published again without the rest.
pub async fn publish_each(
    publisher: &PublishHandle,
    outgoing: impl IntoIterator<Item = Outgoing>,
) -> Vec<Result<(), PublishError>> {
    let mut heard = Vec::new();
    for message in outgoing {
        heard.push(publisher.submit(message).await);
    }
    let mut verdicts = Vec::with_capacity(heard.len());
    for verdict in heard {
        verdicts.push(match verdict {
            Ok(verdict) => verdict.await.unwrap_or(Err(PublishError::Ended)),
            Err(error) => Err(error),
        });
    }
    verdicts
}

impl PublishHandle {
    /// Publishes at least once and waits, over as many connections as it takes: at QoS 1 for the PUBACK, at QoS 0 until
    /// the bytes are written. Dropping the future ends the tries.
    ///
    /// # Errors
    /// When the broker refuses the message or cannot take it, or when the publisher ends.
    pub async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.submit(outgoing).await?.await.unwrap_or(Err(PublishError::Ended))
    }

    async fn submit(&self, outgoing: Outgoing) -> Result<oneshot::Receiver<Result<(), PublishError>>, PublishError> {
        let (verdict, heard) = oneshot::channel();
        self.0.send(Request { outgoing, verdict }).await.map_err(|_| PublishError::Ended)?;
        Ok(heard)
    }
}

impl Request {
    /// The message, and the one who waits for it.
    #[must_use]
    pub fn into_parts(self) -> (Outgoing, Waiting) {
        (self.outgoing, Waiting(self.verdict))
    }
}

impl Waiting {
    /// Whether somebody still waits.
    #[must_use]
    pub fn is_there(&self) -> bool {
        !self.0.is_closed()
    }

    /// Returns when nobody waits any more. Cancel safe.
    pub async fn left(&mut self) {
        self.0.closed().await;
    }

    /// Tells how it went.
    pub fn tell(self, verdict: Result<(), PublishError>) {
        // A sender that is gone needs no result.
        let _ = self.0.send(verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(topic: &'static str) -> Outgoing {
        Outgoing::new(topic, "")
    }

    #[tokio::test]
    async fn each_message_has_a_verdict_of_its_own() {
        let (handle, mut requests) = channel(1);
        let answered = tokio::spawn(async move { publish_each(&handle, ["a", "b", "c"].map(to)).await });
        let broken = |topic: &ByteString| PublishError::Broken { topic: topic.clone(), times: 3 };
        let mut seen = Vec::new();
        while let Some(request) = requests.recv().await {
            let (Outgoing { topic, .. }, waiting) = request.into_parts();
            assert!(!answered.is_finished(), "all three are waited for");
            waiting.tell(if topic == "b" { Err(broken(&topic)) } else { Ok(()) });
            seen.push(topic);
        }
        assert_eq!(seen, ["a", "b", "c"]);
        assert_eq!(answered.await.unwrap(), [Ok(()), Err(broken(&"b".into())), Ok(())]);
    }

    #[tokio::test]
    async fn a_publisher_that_ends_is_told_apart() {
        let (handle, mut requests) = channel(1);
        let publishing = handle.publish(to("a"));
        let (ended, ()) = tokio::join!(publishing, async { drop(requests.recv().await) });
        assert_eq!(ended, Err(PublishError::Ended));
        drop(requests);
        assert_eq!(handle.publish(to("a")).await, Err(PublishError::Ended));
    }

    #[tokio::test]
    async fn a_caller_that_leaves_is_noticed() {
        let (handle, mut requests) = channel(1);
        let publishing = tokio::spawn(async move { handle.publish(to("a")).await });
        let (_, mut waiting) = requests.recv().await.unwrap().into_parts();
        assert!(waiting.is_there());
        publishing.abort();
        waiting.left().await;
        assert!(!waiting.is_there());
    }

    #[test]
    fn what_a_broker_would_refuse_again_is_lasting() {
        let refused = |code| PublishError::Refused { topic: "a".into(), code, reason: "".into() };
        for code in 0x80..=0xff {
            assert_eq!(refused(code).is_lasting(), [0x87, 0x90, 0x95, 0x99].contains(&code), "{code:#x}");
        }
        assert!(PublishError::TooLarge { topic: "a".into(), bytes: 2, limit: 1 }.is_lasting());
        assert!(PublishError::Broken { topic: "a".into(), times: 2 }.is_lasting());
        assert!(!PublishError::Ended.is_lasting());
    }
}
