//! The window by itself: order, limits, and which messages are given up.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// A window whose messages are told apart by their topics.
struct Fixture {
    window: Window,
    topics: BTreeMap<Number, String>,
    /// The topics whose callers have left.
    left: BTreeSet<String>,
}

impl Fixture {
    fn new(capacity: usize) -> Self {
        Self { window: Window::new(capacity), topics: BTreeMap::new(), left: BTreeSet::new() }
    }

    fn publish(&mut self, topic: &str, qos: Qos) {
        let number = self.topics.len() as Number;
        self.topics.insert(number, topic.to_owned());
        let outgoing = Outgoing { qos, ..Outgoing::new(topic, "") };
        self.window.push(number, outgoing);
    }

    fn publish_all<'a>(&mut self, topics: impl IntoIterator<Item = &'a str>) {
        topics.into_iter().for_each(|topic| self.publish(topic, Qos::AtLeastOnce));
    }

    /// Sends all that may be sent, and returns it with packet identifiers.
    fn send(&mut self) -> Vec<(u16, String)> {
        let mut sent = Vec::new();
        let (topics, left) = (&self.topics, &self.left);
        while let Some(entry) = self.window.next(|number| !left.contains(&topics[&number])) {
            sent.push((entry.packet_id, entry.outgoing.topic.to_string()));
            self.window.sent(entry);
        }
        sent
    }

    fn confirm(&mut self, packet_id: u16) {
        let entry = self.window.confirmed(packet_id).unwrap();
        self.window.finish(entry, Ok(()));
    }

    fn break_and_connect(&mut self) {
        self.window.disconnect(true);
        self.window.connect(u16::MAX);
    }

    /// The topics of what was decided since, and whether it went well.
    fn heard(&mut self) -> Vec<(String, bool)> {
        let verdicts = self.window.take_verdicts().into_iter();
        verdicts.map(|(number, verdict)| (self.topics[&number].clone(), verdict.is_ok())).collect()
    }
}

fn sent(expected: &[(u16, &str)]) -> Vec<(u16, String)> {
    expected.iter().map(|(id, topic)| (*id, (*topic).to_owned())).collect()
}

#[test]
fn the_brokers_receive_maximum_bounds_what_is_unconfirmed() {
    let mut fixture = Fixture::new(10);
    fixture.window.connect(2);
    fixture.publish_all(["a", "b", "c"]);
    assert_eq!(fixture.send(), sent(&[(1, "a"), (2, "b")]));
    fixture.confirm(1);
    assert_eq!(fixture.heard(), [("a".into(), true)]);
    assert_eq!(fixture.send(), sent(&[(3, "c")]));
    assert!(fixture.window.confirmed(1).is_none(), "confirmed before");
}

#[test]
fn what_was_on_its_way_when_a_connection_broke_goes_first_and_one_by_one() {
    let mut fixture = Fixture::new(10);
    fixture.publish_all(["a", "b", "c"]);
    assert_eq!(fixture.send().len(), 3);
    fixture.publish_all(["d", "e"]);
    fixture.confirm(2);
    fixture.break_and_connect();
    for (id, topic) in [(1, "a"), (2, "c")] {
        assert_eq!(fixture.send(), sent(&[(id, topic)]), "alone until the broker confirms it");
        fixture.confirm(id);
    }
    assert_eq!(fixture.send(), sent(&[(3, "d"), (4, "e")]), "these were not on their way");
}

#[test]
fn f36_a_message_that_breaks_every_connection_is_given_up_after_two_breaks_alone_and_no_other() {
    let mut fixture = Fixture::new(20);
    let names: Vec<_> = (0..10).map(|n| format!("m{n}")).collect();
    fixture.publish_all(names.iter().map(String::as_str));
    let (mut breaks, mut heard) = (0, Vec::new());
    while heard.len() < names.len() {
        let batch = fixture.send();
        if batch.iter().any(|(_, topic)| topic == "m5") {
            breaks += 1;
            fixture.break_and_connect();
        } else {
            batch.iter().for_each(|(id, _)| fixture.confirm(*id));
        }
        heard.extend(fixture.heard());
    }
    let given_up: Vec<_> = heard.iter().filter(|(_, fine)| !fine).map(|(topic, _)| topic.as_str()).collect();
    assert_eq!((given_up, breaks), (vec!["m5"], 1 + BREAKS), "the first break was over all of them");
}

/// As when TLS files are exchanged, or a broker is frozen.
#[test]
fn a_connection_that_ends_for_another_reason_blames_no_message() {
    let mut fixture = Fixture::new(10);
    fixture.publish_all(["a"]);
    for _ in 0..10 * BREAKS {
        assert_eq!(fixture.send(), sent(&[(1, "a")]));
        assert!(fixture.window.disconnect(false), "it was not confirmed");
        fixture.window.connect(u16::MAX);
    }
    assert_eq!(fixture.heard(), []);
    fixture.send();
    fixture.confirm(1);
    assert_eq!(fixture.heard(), [("a".into(), true)]);
}

#[test]
fn qos_0_is_done_when_it_is_written() {
    let mut fixture = Fixture::new(10);
    fixture.publish("a", Qos::AtMostOnce);
    fixture.publish("b", Qos::AtLeastOnce);
    assert_eq!(fixture.send(), sent(&[(0, "a"), (1, "b")]));
    fixture.window.written();
    assert_eq!(fixture.heard(), [("a".into(), true)]);
    assert!(fixture.window.confirmed(1).is_some());
}

#[test]
fn an_identifier_in_use_is_not_given_again() {
    let mut fixture = Fixture::new(10);
    fixture.publish_all(["first"]);
    assert_eq!(fixture.send(), sent(&[(1, "first")]));
    fixture.window.last_id = u16::MAX;
    fixture.publish_all(["second"]);
    assert_eq!(fixture.send(), sent(&[(2, "second")]));
}

#[test]
fn what_nobody_waits_for_is_not_sent_and_its_number_is_given_back() {
    let mut fixture = Fixture::new(10);
    fixture.publish_all(["a", "b"]);
    fixture.left.insert("a".into());
    assert_eq!(fixture.send(), sent(&[(1, "b")]));
    assert_eq!(fixture.heard(), [("a".into(), false)]);
}

#[test]
fn a_full_window_forgets_those_whose_callers_have_left() {
    let mut fixture = Fixture::new(2);
    fixture.publish_all(["a", "b"]);
    assert!(fixture.window.is_full());
    assert_eq!(fixture.window.next_unsent(), Some(0));
    fixture.window.forget(|number| number != 0);
    assert!(!fixture.window.is_full());
    assert_eq!(fixture.send(), sent(&[(1, "b")]));
}
