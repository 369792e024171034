//! The ledger's promises, one by one; under random histories in `model.rs`.

use bytes::Bytes;

use super::resumed::MOST_CARRIED;
use super::*;

#[path = "model.rs"]
mod model;

fn message(text: &str, qos: Qos, dup: bool) -> Message {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    Message { topic: "t".into(), payload, qos, retain: false, dup, properties: None }
}

/// Without ids of the publisher's.
fn receive(ledger: &mut Ledger, packet_id: u16, message: &Message) -> Admission {
    ledger.admit(packet_id, message, |_| false)
}

fn admit(ledger: &mut Ledger, packet_id: u16, text: &str) -> Ticket {
    match receive(ledger, packet_id, &message(text, Qos::AtLeastOnce, false)) {
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
    ledger.connect(Kept::No);
    let tickets: Vec<_> = (1..=3).map(|id| admit(&mut ledger, id, "x")).collect();
    settle(&mut ledger, tickets[2], Outcome::Delivered);
    settle(&mut ledger, tickets[1], Outcome::DeadLettered);
    assert_eq!(acks(&mut ledger), [0; 0]);
    settle(&mut ledger, tickets[0], Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [1, 2, 3]);
    assert_eq!((ledger.outstanding(), ledger.bytes, ledger.running()), (0, 0, 0));
}

/// As a faulty broker has it that uses a packet identifier before it is acknowledged, behind a message that takes long.
#[test]
fn a_receipt_whose_identifier_was_taken_over_keeps_no_payload_once_it_has_its_outcome() {
    for settled_first in [true, false] {
        let mut ledger = Ledger::default();
        ledger.connect(Kept::No);
        let first = admit(&mut ledger, 1, "slow");
        let payloads: Vec<_> = (0..10)
            .map(|number| {
                let message = message(&format!("payload {number}"), Qos::AtLeastOnce, false);
                let Admission::New(ticket) = receive(&mut ledger, 2, &message) else { panic!("{number}") };
                if settled_first {
                    settle(&mut ledger, ticket, Outcome::Delivered);
                }
                (ticket, message.payload)
            })
            .collect();
        if !settled_first {
            for (ticket, _) in &payloads {
                assert!(!settle(&mut ledger, *ticket, Outcome::Delivered) || *ticket == payloads[9].0);
            }
        }
        let kept: Vec<_> = payloads.iter().map(|(_, payload)| !payload.is_unique()).collect();
        assert_eq!(kept, [[false; 9].as_slice(), &[true]].concat(), "but for the last, which is to be acknowledged");
        assert_eq!((ledger.places(), ledger.outstanding()), (11, 2));
        settle(&mut ledger, first, Outcome::Delivered);
        assert_eq!((acks(&mut ledger), ledger.places()), (vec![1, 2], 0));
    }
}

#[test]
fn abandoned_is_never_acknowledged_and_asks_for_a_new_connection() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let (first, second) = (admit(&mut ledger, 1, "x"), admit(&mut ledger, 2, "y"));
    settle(&mut ledger, second, Outcome::Delivered);
    settle(&mut ledger, first, Outcome::Abandoned);
    assert_eq!(acks(&mut ledger), [0; 0]);
    assert!(ledger.needs_reconnect());
    ledger.connect(Kept::Yes);
    assert!(!ledger.needs_reconnect());
    let Admission::New(_) = receive(&mut ledger, 1, &message("x", Qos::AtLeastOnce, true)) else {
        panic!("1 was abandoned")
    };
    assert_eq!(receive(&mut ledger, 2, &message("y", Qos::AtLeastOnce, true)), Admission::Joined);
}

#[test]
fn no_more_receipts_are_kept_over_connections_than_a_session_has_packet_identifiers() {
    let mut ledger = Ledger::default();
    let waits = |text: &str, connection: u32| message(&format!("{text} {connection}"), Qos::AtLeastOnce, true);
    for connection in 1..=3 {
        ledger.connect(Kept::Yes);
        // Behind the first, which has no outcome yet, the others wait for their turn.
        receive(&mut ledger, 1, &waits("first", connection));
        for packet_id in 2..30_000 {
            let message = waits(&packet_id.to_string(), connection);
            let Admission::New(ticket) = receive(&mut ledger, packet_id, &message) else { panic!("a copy") };
            ledger.settle(Settlement { ticket, outcome: Outcome::Delivered, weight: message.weight() });
        }
    }
    ledger.connect(Kept::Yes);
    assert_eq!((ledger.running(), ledger.outstanding()), (3, MOST_CARRIED + 3));
    assert_eq!(ledger.held_bytes(), 3 * waits("first", 1).weight());
    assert_eq!(ledger.give_up_session(), MOST_CARRIED + 3);
    assert_eq!(ledger.bytes, ledger.held_bytes());
}

#[test]
fn a_late_outcome_after_a_lost_session_acknowledges_nothing() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let old = admit(&mut ledger, 1, "x");
    assert_eq!(ledger.connect(Kept::No), 1);
    let new = admit(&mut ledger, 1, "y");
    assert!(!settle(&mut ledger, old, Outcome::Delivered));
    assert_eq!(acks(&mut ledger), [0; 0]);
    assert!(settle(&mut ledger, new, Outcome::Delivered));
    assert_eq!(acks(&mut ledger), [1]);
    assert_eq!((ledger.outstanding(), ledger.bytes), (0, 0));
}

#[test]
fn a_resumed_message_is_not_delivered_twice_and_acknowledged_once() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let running = admit(&mut ledger, 1, "x");
    let done = admit(&mut ledger, 2, "y");
    settle(&mut ledger, done, Outcome::Delivered);
    ledger.connect(Kept::Yes);
    for (packet_id, text) in [(1, "x"), (2, "y")] {
        assert_eq!(receive(&mut ledger, packet_id, &message(text, Qos::AtLeastOnce, true)), Admission::Joined);
    }
    assert_eq!(acks(&mut ledger), [0; 0]);
    assert!(settle(&mut ledger, running, Outcome::Delivered));
    assert_eq!(acks(&mut ledger), [1, 2]);
    assert_eq!((ledger.outstanding(), ledger.running()), (0, 0));
}

#[test]
fn a_packet_id_alone_never_makes_a_duplicate() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let first = admit(&mut ledger, 1, "x");
    ledger.connect(Kept::Yes);
    let Admission::New(other) = receive(&mut ledger, 1, &message("other", Qos::AtLeastOnce, true)) else {
        panic!("other content")
    };
    settle(&mut ledger, other, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [1]);
    assert!(settle(&mut ledger, first, Outcome::Delivered), "still carried");

    let again = admit(&mut ledger, 5, "x");
    settle(&mut ledger, again, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [5]);
    ledger.pinged();
    ledger.ponged();
    let Admission::New(_) = receive(&mut ledger, 5, &message("x", Qos::AtLeastOnce, true)) else {
        panic!("acked: a new message")
    };
}

#[test]
fn qos_2_is_received_once_until_its_release() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let Admission::New(ticket) = receive(&mut ledger, 9, &message("x", Qos::ExactlyOnce, false)) else { panic!() };
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!(ledger.release(), Some(Ack { packet_id: 9, qos: Qos::ExactlyOnce }));
    ledger.connect(Kept::Yes);
    assert_eq!(receive(&mut ledger, 9, &message("x", Qos::ExactlyOnce, true)), Admission::Received);
    ledger.released(9);
    assert!(matches!(receive(&mut ledger, 9, &message("x", Qos::ExactlyOnce, false)), Admission::New(_)));
}

#[test]
fn a_packet_identifier_used_again_without_a_release_is_a_new_message() {
    for (text, dup) in [("x", false), ("y", false), ("y", true)] {
        let mut ledger = Ledger::default();
        ledger.connect(Kept::No);
        let Admission::New(ticket) = receive(&mut ledger, 9, &message("x", Qos::ExactlyOnce, false)) else { panic!() };
        settle(&mut ledger, ticket, Outcome::Delivered);
        assert_eq!(acks(&mut ledger), [9]);
        ledger.connect(Kept::Yes);
        let Admission::New(ticket) = receive(&mut ledger, 9, &message(text, Qos::ExactlyOnce, dup)) else {
            panic!("{text}, dup {dup}: acknowledged unseen")
        };
        assert_eq!(acks(&mut ledger), [0; 0]);
        settle(&mut ledger, ticket, Outcome::Delivered);
        assert_eq!(acks(&mut ledger), [9]);
    }
}

#[test]
fn what_waits_for_its_release_goes_with_its_session() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let Admission::New(ticket) = receive(&mut ledger, 9, &message("x", Qos::ExactlyOnce, false)) else { panic!() };
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [9]);
    ledger.connect(Kept::No);
    // What the new session sent first was lost with a connection.
    ledger.connect(Kept::Yes);
    let Admission::New(ticket) = receive(&mut ledger, 9, &message("x", Qos::ExactlyOnce, true)) else {
        panic!("a message of the new session is taken for one of the lost session")
    };
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [9]);
    assert_eq!(ledger.give_up_session(), 0);
    assert_eq!(
        receive(&mut ledger, 9, &message("x", Qos::ExactlyOnce, true)),
        Admission::Received,
        "what this connection received is known for longer than earlier ones'"
    );
}

#[test]
fn qos_0_needs_no_acknowledgement() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let Admission::New(ticket) = receive(&mut ledger, 0, &message("x", Qos::AtMostOnce, false)) else { panic!() };
    let second = admit(&mut ledger, 1, "x");
    settle(&mut ledger, second, Outcome::Delivered);
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [1]);
}

#[test]
fn carried_receipts_that_never_come_again_are_forgotten() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let old = admit(&mut ledger, 1, "x");
    ledger.connect(Kept::Yes);
    settle(&mut ledger, old, Outcome::Delivered);
    assert_eq!(ledger.outstanding(), 1);
    admit(&mut ledger, 2, "new");
    assert_eq!(ledger.outstanding(), 1, "only the new one");
}

#[test]
fn what_is_carried_over_does_not_stand_in_the_way_of_reading_it_again() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let (first, _) = (admit(&mut ledger, 1, "x"), admit(&mut ledger, 2, "y"));
    let weight = message("x", Qos::AtLeastOnce, false).weight();
    assert_eq!(ledger.in_the_way(), (2, 2 * weight));
    ledger.connect(Kept::Yes);
    assert!(settle(&mut ledger, first, Outcome::Delivered));
    assert_eq!(
        (ledger.outstanding(), ledger.in_the_way()),
        (2, (0, 0)),
        "both are held, and neither keeps it from reading"
    );
    assert_eq!(receive(&mut ledger, 1, &message("x", Qos::AtLeastOnce, true)), Admission::Joined);
    assert_eq!(ledger.in_the_way(), (1, weight));
    assert_eq!(acks(&mut ledger), [1]);
    assert_eq!(ledger.in_the_way(), (0, 0));
}

#[test]
fn in_flight_is_what_the_broker_counts_against_receive_maximum() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    receive(&mut ledger, 0, &message("q0", Qos::AtMostOnce, false));
    let Admission::New(first) = receive(&mut ledger, 1, &message("a", Qos::AtLeastOnce, false)) else {
        panic!("not new")
    };
    let Admission::New(second) = receive(&mut ledger, 2, &message("b", Qos::ExactlyOnce, false)) else {
        panic!("not new")
    };
    assert_eq!(ledger.in_flight(), 2, "QoS 0 does not count");
    settle(&mut ledger, first, Outcome::Delivered);
    settle(&mut ledger, second, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [0; 0], "QoS 0 stands before them");
    assert_eq!(ledger.in_flight(), 2);
    ledger.connect(Kept::Yes);
    assert_eq!(ledger.in_flight(), 0, "the broker counts from zero with each connection");
    receive(&mut ledger, 1, &message("a", Qos::AtLeastOnce, true));
    receive(&mut ledger, 2, &message("b", Qos::ExactlyOnce, true));
    assert_eq!(acks(&mut ledger), [1, 2]);
    assert_eq!(ledger.in_flight(), 1, "PUBACK frees its place, PUBREC does not");
    ledger.released(2);
    assert_eq!(ledger.in_flight(), 0);
    // A release of an earlier connection makes no room on this one, nor does a second one of the same packet
    // identifier.
    let ticket = admit(&mut ledger, 3, "c");
    ledger.released(9);
    ledger.released(2);
    assert_eq!(ledger.in_flight(), 1);
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!((acks(&mut ledger), ledger.in_flight()), (vec![3], 0));
}

fn once(text: &str) -> Message {
    message(text, Qos::AtLeastOnce, false)
}

fn again(text: &str) -> Message {
    message(text, Qos::AtLeastOnce, true)
}

#[test]
fn f28_a_copy_on_the_same_connection_joins_and_counts_once() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let ticket = admit(&mut ledger, 7, "x");
    assert_eq!(receive(&mut ledger, 7, &again("x")), Admission::Joined);
    assert_eq!((ledger.outstanding(), ledger.in_flight(), ledger.running()), (1, 1, 1));
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!(receive(&mut ledger, 7, &again("x")), Admission::Joined, "settled, and not acknowledged yet");
    assert_eq!(acks(&mut ledger), [7], "once");
    assert_eq!((ledger.outstanding(), ledger.in_flight()), (0, 0));
}

#[test]
fn f28_a_copy_that_crosses_our_puback_is_neither_invoked_nor_acknowledged() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let ticket = admit(&mut ledger, 7, "x");
    ledger.pinged();
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [7]);
    ledger.ponged();
    assert_eq!(receive(&mut ledger, 7, &again("x")), Admission::Crossed, "that PINGREQ stood before the PUBACK");
    assert_eq!((ledger.outstanding(), ledger.in_flight()), (0, 0));
    // The identifier is free, and the broker uses it: what follows is about the new message.
    let new = admit(&mut ledger, 7, "x");
    assert_eq!(receive(&mut ledger, 7, &again("x")), Admission::Joined);
    assert_eq!(acks(&mut ledger), [0; 0], "its own invocation has not ended");
    settle(&mut ledger, new, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [7]);
    ledger.pinged();
    ledger.ponged();
    assert!(matches!(receive(&mut ledger, 7, &again("x")), Admission::New(_)), "the broker had read the PUBACK");
}

#[test]
fn what_was_acknowledged_on_a_connection_crosses_nothing_on_the_next_one() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let ticket = admit(&mut ledger, 7, "x");
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [7]);
    ledger.connect(Kept::Yes);
    // The acknowledgement was lost with the connection, so that only a second one frees the message.
    assert!(matches!(receive(&mut ledger, 7, &again("x")), Admission::New(_)));
}

#[test]
fn f28_other_content_under_an_open_identifier_takes_it_over() {
    for next in [once("y"), again("y"), once("x")] {
        let mut ledger = Ledger::default();
        ledger.connect(Kept::No);
        let (old, behind) = (admit(&mut ledger, 7, "x"), admit(&mut ledger, 8, "z"));
        let Admission::New(new) = receive(&mut ledger, 7, &next) else { panic!("{next:?} is not new") };
        assert_eq!((ledger.outstanding(), ledger.in_flight(), ledger.running()), (3, 2, 3));
        assert_eq!(ledger.in_the_way().0, 3, "what was taken over runs on");
        settle(&mut ledger, behind, Outcome::Delivered);
        assert_eq!(acks(&mut ledger), [8], "what will never be acknowledged holds up nobody");
        assert!(!settle(&mut ledger, old, Outcome::Delivered));
        assert_eq!(acks(&mut ledger), [0; 0], "the old outcome is not that of the new message");
        settle(&mut ledger, new, Outcome::Delivered);
        assert_eq!(acks(&mut ledger), [7]);
        assert_eq!((ledger.outstanding(), ledger.bytes, ledger.in_flight(), ledger.stale), (0, 0, 0, 0));
    }
}

#[test]
fn what_is_taken_over_after_its_outcome_leaves_the_book_at_once() {
    for outcome in [Outcome::Delivered, Outcome::Abandoned] {
        let mut ledger = Ledger::default();
        ledger.connect(Kept::No);
        // The first has no outcome: so the second's receipt waits behind it.
        let (_, second) = (admit(&mut ledger, 7, "x"), admit(&mut ledger, 8, "y"));
        settle(&mut ledger, second, outcome);
        assert_eq!(ledger.needs_reconnect(), outcome == Outcome::Abandoned);
        admit(&mut ledger, 8, "z");
        assert!(!ledger.needs_reconnect(), "no connection brings on what the broker does not have any more");
        let weight = message("x", Qos::AtLeastOnce, false).weight();
        assert_eq!((ledger.outstanding(), ledger.bytes), (2, 2 * weight), "the first and the third");
    }
}

#[test]
fn f28_without_dup_an_id_of_the_publishers_makes_a_copy() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    admit(&mut ledger, 7, "x");
    assert_eq!(ledger.admit(7, &once("x"), |_| true), Admission::Joined);
    assert!(matches!(ledger.admit(8, &once("x"), |_| true), Admission::New(_)), "another packet identifier");
    ledger.connect(Kept::Yes);
    assert_eq!(ledger.admit(8, &once("x"), |_| true), Admission::Joined);
    assert!(matches!(ledger.admit(7, &once("x"), |_| false), Admission::New(_)));
}

#[test]
fn f29_renumbered_copies_join_in_receipt_order_one_receipt_each() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let tickets: Vec<_> = [40, 41, 42].map(|id| admit(&mut ledger, id, "x")).into();
    ledger.connect(Kept::Yes);
    for id in 1..=3 {
        assert_eq!(receive(&mut ledger, id, &again("x")), Admission::Joined);
    }
    assert!(matches!(receive(&mut ledger, 4, &again("x")), Admission::New(_)), "there were three");
    settle(&mut ledger, tickets[1], Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [0; 0]);
    settle(&mut ledger, tickets[0], Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [1, 2], "under their new identifiers");
}

#[test]
fn a_broker_that_denies_a_session_is_believed_until_it_sends_one_of_its_messages_again() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let (first, _) = (admit(&mut ledger, 1, "x"), admit(&mut ledger, 2, "y"));
    assert_eq!(ledger.connect(Kept::Doubtful), 0);
    assert!(matches!(receive(&mut ledger, 3, &again("x")), Admission::New(_)), "another identifier proves nothing");
    assert_eq!(receive(&mut ledger, 1, &again("x")), Admission::Refuted);
    assert_eq!(receive(&mut ledger, 2, &again("y")), Admission::Joined);
    settle(&mut ledger, first, Outcome::Delivered);
    assert_eq!(ledger.give_up_session(), 0);

    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let first = admit(&mut ledger, 1, "x");
    ledger.connect(Kept::Doubtful);
    assert_eq!(ledger.give_up_session(), 1);
    assert!(matches!(receive(&mut ledger, 1, &again("x")), Admission::New(_)));
    assert!(!settle(&mut ledger, first, Outcome::Delivered));
    assert_eq!(acks(&mut ledger), [0; 0]);
}

#[test]
fn f39_what_is_settled_and_never_comes_again_holds_nothing() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let ticket = admit(&mut ledger, 1, "x");
    ledger.connect(Kept::Yes);
    assert_eq!((ledger.outstanding(), ledger.unfinished()), (1, 1));
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!((ledger.outstanding(), ledger.unfinished()), (1, 0));
    ledger.forget_settled();
    assert_eq!((ledger.outstanding(), ledger.bytes), (0, 0));
}

#[test]
fn the_book_of_what_was_acknowledged_asks_for_a_ping_and_shrinks_with_its_answer() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    for round in 0..2_u32 {
        for id in 1..=5000 {
            let ticket = admit(&mut ledger, id, "x");
            settle(&mut ledger, ticket, Outcome::Delivered);
            assert_eq!(acks(&mut ledger), [id]);
        }
        assert!(ledger.wants_ping(), "{round}");
        ledger.pinged();
        assert!(!ledger.wants_ping(), "one at a time");
        ledger.ponged();
        assert!(!ledger.wants_ping());
    }
}

#[test]
fn qos_2_copies_on_one_connection_count_once() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let Admission::New(ticket) = receive(&mut ledger, 9, &message("x", Qos::ExactlyOnce, false)) else { panic!() };
    assert_eq!(receive(&mut ledger, 9, &message("x", Qos::ExactlyOnce, true)), Admission::Joined);
    settle(&mut ledger, ticket, Outcome::Delivered);
    assert_eq!(acks(&mut ledger), [9]);
    assert_eq!(receive(&mut ledger, 9, &message("x", Qos::ExactlyOnce, true)), Admission::Received);
    assert_eq!(ledger.in_flight(), 1);
    ledger.released(9);
    assert_eq!(ledger.in_flight(), 0);
}

#[test]
fn what_was_resumed_and_then_taken_over_settles_nothing_of_a_later_connection() {
    let mut ledger = Ledger::default();
    ledger.connect(Kept::No);
    let old = admit(&mut ledger, 1, "x");
    ledger.connect(Kept::Yes);
    assert_eq!(receive(&mut ledger, 1, &again("x")), Admission::Joined);
    admit(&mut ledger, 1, "y");
    ledger.connect(Kept::No);
    admit(&mut ledger, 1, "z");
    assert!(!settle(&mut ledger, old, Outcome::Delivered));
    assert_eq!(acks(&mut ledger), [0; 0], "the outcome of x is not that of z");
}
