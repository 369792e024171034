//! The ledger's promises, one by one; under random histories in `model.rs`.

use super::*;

#[path = "model.rs"]
mod model;

fn message(text: &str, qos: Qos, dup: bool) -> Message {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    Message { topic: "t".into(), payload, qos, retain: false, dup, properties: None }
}

fn admit(ledger: &mut Ledger, packet_id: u16, text: &str) -> Ticket {
    match ledger.admit(packet_id, &message(text, Qos::AtLeastOnce, false)) {
        Admission::New(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn settle(ledger: &mut Ledger, ticket: Ticket, outcome: Outcome) -> bool {
    let weight = message("x", Qos::AtLeastOnce, false).weight();
    ledger.settle(Settlement { ticket, outcome, weight })
}

fn acks(ledger: &mut Ledger) -> Vec<u16> {
    std::iter::from_fn(|| ledger.release()).map(|ack| ack.packet_id).collect()
}

#[test]
fn acknowledges_in_receive_order_whatever_the_order_of_outcomes() {
    let mut ledger = Ledger::default();
    ledger.connect(false);
    let tickets: Vec<_> = (1..=3).map(|id| admit(&mut ledger, id, "x")).collect();
    settle(&mut ledger, tickets[2], Outcome::Delivered);
    settle(&mut ledger, tickets[1], Outcome::DeadLettered);
    assert_eq!(acks(&mut ledger), [0; 0]);
    settle(&mut ledger, tickets[0], Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [1, 2, 3]);
    assert_eq!((ledger.outstanding(), ledger.bytes(), ledger.running()), (0, 0, 0));
}

#[test]
fn abandoned_is_never_acknowledged_and_asks_for_a_new_connection() {
    let mut ledger = Ledger::default();
    ledger.connect(false);
    let (first, second) = (admit(&mut ledger, 1, "x"), admit(&mut ledger, 2, "x"));
    settle(&mut ledger, second, Outcome::Delivered);
    settle(&mut ledger, first, Outcome::Abandoned);
    assert_eq!(acks(&mut ledger), [0; 0]);
    assert!(ledger.needs_reconnect());
    ledger.connect(true);
    assert!(!ledger.needs_reconnect());
    let Admission::New(_) = ledger.admit(1, &message("x", Qos::AtLeastOnce, true)) else { panic!("1 was abandoned") };
    assert_eq!(ledger.admit(2, &message("x", Qos::AtLeastOnce, true)), Admission::Resumed);
}

#[test]
fn a_late_outcome_after_a_lost_session_acknowledges_nothing() {
    let mut ledger = Ledger::default();
    ledger.connect(false);
    let old = admit(&mut ledger, 1, "x");
    assert_eq!(ledger.connect(false), 1);
    let new = admit(&mut ledger, 1, "y");
    assert!(!settle(&mut ledger, old, Outcome::Delivered));
    assert_eq!(acks(&mut ledger), [0; 0]);
    assert!(settle(&mut ledger, new, Outcome::Delivered));
    assert_eq!(acks(&mut ledger), [1]);
    assert_eq!((ledger.outstanding(), ledger.bytes()), (0, 0));
}

#[test]
fn a_resumed_message_is_not_delivered_twice_and_acknowledged_once() {
    let mut ledger = Ledger::default();
    ledger.connect(false);
    let running = admit(&mut ledger, 1, "x");
    let done = admit(&mut ledger, 2, "y");
    settle(&mut ledger, done, Outcome::Delivered);
    ledger.connect(true);
    for (packet_id, text) in [(1, "x"), (2, "y")] {
        assert_eq!(ledger.admit(packet_id, &message(text, Qos::AtLeastOnce, true)), Admission::Resumed);
    }
    assert_eq!(acks(&mut ledger), [0; 0]);
    assert!(settle(&mut ledger, running, Outcome::Delivered));
    assert_eq!(acks(&mut ledger), [1, 2]);
    assert_eq!((ledger.outstanding(), ledger.running()), (0, 0));
}

#[test]
fn a_packet_id_alone_never_makes_a_duplicate() {
    let mut ledger = Ledger::default();
    ledger.connect(false);
    let first = admit(&mut ledger, 1, "x");
    ledger.connect(true);
    let Admission::New(other) = ledger.admit(1, &message("other", Qos::AtLeastOnce, true)) else {
        panic!("other content")
    };
    settle(&mut ledger, other, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [1]);
    assert!(settle(&mut ledger, first, Outcome::Delivered), "still carried");

    let again = admit(&mut ledger, 5, "x");
    settle(&mut ledger, again, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [5]);
    let Admission::New(_) = ledger.admit(5, &message("x", Qos::AtLeastOnce, true)) else {
        panic!("acked: a new message")
    };
}

#[test]
fn qos_2_is_received_once_until_its_release() {
    let mut ledger = Ledger::default();
    ledger.connect(false);
    let Admission::New(ticket) = ledger.admit(9, &message("x", Qos::ExactlyOnce, false)) else { panic!() };
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!(ledger.release(), Some(Ack { packet_id: 9, qos: Qos::ExactlyOnce }));
    ledger.connect(true);
    assert_eq!(ledger.admit(9, &message("x", Qos::ExactlyOnce, true)), Admission::Received);
    ledger.released(9);
    assert!(matches!(ledger.admit(9, &message("x", Qos::ExactlyOnce, false)), Admission::New(_)));
}

#[test]
fn a_packet_identifier_used_again_without_a_release_is_a_new_message() {
    for (text, dup) in [("x", false), ("y", false), ("y", true)] {
        let mut ledger = Ledger::default();
        ledger.connect(false);
        let Admission::New(ticket) = ledger.admit(9, &message("x", Qos::ExactlyOnce, false)) else { panic!() };
        settle(&mut ledger, ticket, Outcome::Delivered);
        assert_eq!(acks(&mut ledger), [9]);
        ledger.connect(true);
        let Admission::New(ticket) = ledger.admit(9, &message(text, Qos::ExactlyOnce, dup)) else {
            panic!("{text}, dup {dup}: acknowledged unseen")
        };
        assert_eq!(acks(&mut ledger), [0; 0]);
        settle(&mut ledger, ticket, Outcome::Delivered);
        assert_eq!(acks(&mut ledger), [9]);
    }
}

#[test]
fn qos_0_needs_no_acknowledgement() {
    let mut ledger = Ledger::default();
    ledger.connect(false);
    let Admission::New(ticket) = ledger.admit(0, &message("x", Qos::AtMostOnce, false)) else { panic!() };
    let second = admit(&mut ledger, 1, "x");
    settle(&mut ledger, second, Outcome::Delivered);
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [1]);
}

#[test]
fn carried_receipts_that_never_come_again_are_forgotten() {
    let mut ledger = Ledger::default();
    ledger.connect(false);
    let old = admit(&mut ledger, 1, "x");
    ledger.connect(true);
    settle(&mut ledger, old, Outcome::Delivered);
    assert_eq!(ledger.outstanding(), 1);
    admit(&mut ledger, 2, "new");
    assert_eq!(ledger.outstanding(), 1, "only the new one");
}

#[test]
fn what_is_carried_over_does_not_stand_in_the_way_of_reading_it_again() {
    let mut ledger = Ledger::default();
    ledger.connect(false);
    let (first, _) = (admit(&mut ledger, 1, "x"), admit(&mut ledger, 2, "y"));
    let weight = message("x", Qos::AtLeastOnce, false).weight();
    assert_eq!(ledger.in_the_way(), (2, 2 * weight));
    ledger.connect(true);
    assert!(settle(&mut ledger, first, Outcome::Delivered));
    assert_eq!(
        (ledger.outstanding(), ledger.in_the_way()),
        (2, (0, 0)),
        "both are held, and neither keeps it from reading"
    );
    assert_eq!(ledger.admit(1, &message("x", Qos::AtLeastOnce, true)), Admission::Resumed);
    assert_eq!(ledger.in_the_way(), (1, weight));
    assert_eq!(acks(&mut ledger), [1]);
    assert_eq!(ledger.in_the_way(), (0, 0));
}

#[test]
fn in_flight_is_what_the_broker_counts_against_receive_maximum() {
    let mut ledger = Ledger::default();
    ledger.connect(false);
    ledger.admit(0, &message("q0", Qos::AtMostOnce, false));
    let Admission::New(first) = ledger.admit(1, &message("a", Qos::AtLeastOnce, false)) else { panic!("not new") };
    let Admission::New(second) = ledger.admit(2, &message("b", Qos::ExactlyOnce, false)) else { panic!("not new") };
    assert_eq!(ledger.in_flight(), 2, "QoS 0 does not count");
    settle(&mut ledger, first, Outcome::Delivered);
    settle(&mut ledger, second, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [0; 0], "QoS 0 stands before them");
    assert_eq!(ledger.in_flight(), 2);
    ledger.connect(true);
    assert_eq!(ledger.in_flight(), 0, "the broker begins to count anew with each connection");
    ledger.admit(1, &message("a", Qos::AtLeastOnce, true));
    ledger.admit(2, &message("b", Qos::ExactlyOnce, true));
    assert_eq!(acks(&mut ledger), [1, 2]);
    assert_eq!(ledger.in_flight(), 1, "PUBACK frees its place, PUBREC does not");
    ledger.released(2);
    assert_eq!(ledger.in_flight(), 0);
    // A release of an earlier connection makes no room on this one that the next receipt could fall into.
    let ticket = admit(&mut ledger, 3, "c");
    ledger.released(9);
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!((acks(&mut ledger), ledger.in_flight()), (vec![3], 0));
}
