//! The window by itself: order, limits, and who is given up.

use bytes::Bytes;
use tokio::task::JoinSet;

use super::*;
use crate::outgoing::{PublishHandle, channel};

/// A window with callers that wait for their messages, which are told apart by their topics.
struct Fixture {
    window: Window,
    handle: PublishHandle,
    callers: JoinSet<(String, Result<(), PublishError>)>,
}

impl Fixture {
    fn new(capacity: usize) -> Self {
        let (handle, requests) = channel(64);
        Self { window: Window::new(requests, capacity), handle, callers: JoinSet::new() }
    }

    async fn publish(&mut self, topic: &str, qos: Qos) {
        let (handle, name) = (self.handle.clone(), topic.to_owned());
        let outgoing = Outgoing { topic: topic.into(), payload: Bytes::new(), qos, retain: false, properties: None };
        self.callers.spawn(async move { (name, handle.publish(outgoing).await) });
        assert!(self.window.fill().await);
    }

    /// Sends all that may be sent; what that is, with packet identifiers.
    fn send(&mut self) -> Vec<(u16, String)> {
        let mut sent = Vec::new();
        while let Some(entry) = self.window.next() {
            sent.push((entry.packet_id, entry.outgoing().topic.to_string()));
            self.window.sent(entry);
        }
        sent
    }

    fn break_and_connect(&mut self) {
        self.window.disconnect();
        self.window.connect(u16::MAX);
    }

    async fn heard(&mut self) -> (String, Result<(), PublishError>) {
        self.callers.join_next().await.unwrap().unwrap()
    }
}

fn sent(expected: &[(u16, &str)]) -> Vec<(u16, String)> {
    expected.iter().map(|(id, topic)| (*id, (*topic).to_owned())).collect()
}

#[tokio::test]
async fn the_brokers_receive_maximum_bounds_what_is_unconfirmed() {
    let mut fixture = Fixture::new(10);
    fixture.window.connect(2);
    for topic in ["a", "b", "c"] {
        fixture.publish(topic, Qos::AtLeastOnce).await;
    }
    assert_eq!(fixture.send(), sent(&[(1, "a"), (2, "b")]));
    fixture.window.confirmed(1).unwrap().finish(Ok(()));
    assert_eq!(fixture.heard().await, ("a".into(), Ok(())));
    assert_eq!(fixture.send(), sent(&[(3, "c")]));
    assert!(fixture.window.confirmed(1).is_none(), "confirmed before");
}

#[tokio::test]
async fn what_is_unconfirmed_goes_first_and_one_by_one_after_a_break() {
    let mut fixture = Fixture::new(10);
    for topic in ["a", "b", "c"] {
        fixture.publish(topic, Qos::AtLeastOnce).await;
    }
    assert_eq!(fixture.send().len(), 3);
    fixture.publish("d", Qos::AtLeastOnce).await;
    fixture.window.confirmed(2).unwrap().finish(Ok(()));
    fixture.break_and_connect();
    assert_eq!(fixture.send(), sent(&[(1, "a")]), "alone until the broker confirms it");
    fixture.window.confirmed(1).unwrap().finish(Ok(()));
    assert_eq!(fixture.send(), sent(&[(2, "c"), (3, "d")]));
}

#[tokio::test]
async fn the_message_that_breaks_every_connection_is_given_up_and_no_other() {
    let mut fixture = Fixture::new(10);
    for topic in ["poison", "good"] {
        fixture.publish(topic, Qos::AtLeastOnce).await;
    }
    assert_eq!(fixture.send().len(), 2);
    for _ in 0..BREAKS {
        fixture.break_and_connect();
        assert_eq!(fixture.send(), sent(&[(1, "poison")]));
    }
    fixture.break_and_connect();
    assert_eq!(
        fixture.heard().await,
        ("poison".into(), Err(PublishError::Broken { topic: "poison".into(), times: BREAKS }))
    );
    assert_eq!(fixture.send(), sent(&[(1, "good")]));
}

#[tokio::test]
async fn qos_0_is_done_when_it_is_written() {
    let mut fixture = Fixture::new(10);
    fixture.publish("a", Qos::AtMostOnce).await;
    fixture.publish("b", Qos::AtLeastOnce).await;
    assert_eq!(fixture.send(), sent(&[(0, "a"), (1, "b")]));
    fixture.window.written();
    assert_eq!(fixture.heard().await, ("a".into(), Ok(())));
    assert!(fixture.window.confirmed(1).is_some());
}

#[tokio::test]
async fn an_identifier_in_use_is_not_given_again() {
    let mut fixture = Fixture::new(10);
    fixture.publish("first", Qos::AtLeastOnce).await;
    assert_eq!(fixture.send(), sent(&[(1, "first")]));
    fixture.window.last_id = u16::MAX;
    fixture.publish("second", Qos::AtLeastOnce).await;
    assert_eq!(fixture.send(), sent(&[(2, "second")]));
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_sent() {
    let mut fixture = Fixture::new(10);
    fixture.publish("a", Qos::AtLeastOnce).await;
    fixture.callers.shutdown().await;
    fixture.publish("b", Qos::AtLeastOnce).await;
    assert_eq!(fixture.send(), sent(&[(1, "b")]));
}

#[tokio::test]
async fn a_full_window_without_a_connection_ends_with_its_callers() {
    let mut fixture = Fixture::new(2);
    for topic in ["a", "b"] {
        fixture.publish(topic, Qos::AtLeastOnce).await;
    }
    assert!(fixture.window.is_full());
    let Fixture { mut window, handle, mut callers } = fixture;
    let deserted = tokio::spawn(async move { window.deserted().await });
    tokio::task::yield_now().await;
    assert!(!deserted.is_finished());
    drop(handle);
    callers.shutdown().await;
    deserted.await.unwrap();
}
