//! The window by itself: order, limits, and who is given up.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;
use crate::outgoing::{PublishHandle, channel};

/// A window with callers that wait for their messages, which are told apart by their topics.
struct Fixture {
    window: Window,
    requests: mpsc::Receiver<Request>,
    handle: PublishHandle,
    callers: JoinSet<(String, Result<(), PublishError>)>,
}

impl Fixture {
    fn new(capacity: usize) -> Self {
        let (handle, requests) = channel(64);
        Self { window: Window::new(capacity), requests, handle, callers: JoinSet::new() }
    }

    async fn publish(&mut self, topic: &str, qos: Qos) {
        let (handle, name) = (self.handle.clone(), topic.to_owned());
        let outgoing = Outgoing { topic: topic.into(), payload: Bytes::new(), qos, retain: false, properties: None };
        self.callers.spawn(async move { (name, handle.publish(outgoing).await) });
        self.window.push(self.requests.recv().await.unwrap());
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
async fn what_was_on_its_way_when_a_connection_broke_goes_first_and_one_by_one() {
    let mut fixture = Fixture::new(10);
    for topic in ["a", "b", "c"] {
        fixture.publish(topic, Qos::AtLeastOnce).await;
    }
    assert_eq!(fixture.send().len(), 3);
    for topic in ["d", "e"] {
        fixture.publish(topic, Qos::AtLeastOnce).await;
    }
    fixture.window.confirmed(2).unwrap().finish(Ok(()));
    fixture.break_and_connect();
    for (id, topic) in [(1, "a"), (2, "c")] {
        assert_eq!(fixture.send(), sent(&[(id, topic)]), "alone until the broker confirms it");
        fixture.window.confirmed(id).unwrap().finish(Ok(()));
    }
    assert_eq!(fixture.send(), sent(&[(3, "d"), (4, "e")]), "these were not on their way");
}

#[tokio::test]
async fn f36_a_message_that_breaks_every_connection_is_given_up_after_two_breaks_alone_and_no_other() {
    let mut fixture = Fixture::new(20);
    let names: Vec<_> = (0..10).map(|n| format!("m{n}")).collect();
    for name in &names {
        fixture.publish(name, Qos::AtLeastOnce).await;
    }
    let (mut breaks, mut given_up, mut confirmed) = (0, Vec::new(), Vec::new());
    while given_up.len() + confirmed.len() < names.len() {
        let batch = fixture.send();
        if batch.iter().any(|(_, topic)| topic == "m5") {
            breaks += 1;
            fixture.break_and_connect();
        } else {
            for (id, _) in &batch {
                fixture.window.confirmed(*id).unwrap().finish(Ok(()));
            }
        }
        while let Some(heard) = fixture.callers.try_join_next() {
            let (topic, result) = heard.unwrap();
            if result.is_ok() { &mut confirmed } else { &mut given_up }.push(topic);
        }
        tokio::task::yield_now().await;
    }
    assert_eq!((given_up, breaks), (vec!["m5".to_owned()], 1 + BREAKS), "the first break was over all of them");
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
async fn a_full_window_notices_that_its_callers_have_left() {
    let mut fixture = Fixture::new(2);
    for topic in ["a", "b"] {
        fixture.publish(topic, Qos::AtLeastOnce).await;
    }
    assert!(fixture.window.is_full());
    fixture.callers.shutdown().await;
    fixture.window.oldest_forsaken().await;
    fixture.window.forget_forsaken();
    assert!(!fixture.window.is_full());
    assert_eq!(fixture.send(), []);
}
