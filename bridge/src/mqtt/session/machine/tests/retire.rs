//! F25, F39 and F40: retirement.

use super::bench::{Bench, SECOND, Sent, both, fresh, present, settings};
use crate::config::Protocol;
use crate::mqtt::Settings;
use crate::mqtt::end::End;
use crate::mqtt::session::event::Event;
use crate::shutdown::Phase;

/// Plays a broker that has nothing more, until the proof of it is there.
fn prove(bench: &mut Bench) {
    bench.pong();
    bench.pong();
}

/// Plays a broker that answers UNSUBSCRIBE and pings and has nothing more, until the connection ends.
fn leave(bench: &mut Bench) {
    prove(bench);
    assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe));
    bench.unsuback(1);
    bench.pong();
    bench.pass(SECOND * 10, true);
    assert!(matches!(bench.end, Some(End::Retired)), "{}", bench.why());
}

#[test]
fn f25_a_session_unsubscribes_waits_and_is_forgotten() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.enter(Phase::Retiring);
        leave(&mut bench);
        bench.disconnect();
        if protocol == Protocol::V311 {
            assert!(!bench.machine.is_done() && bench.machine.hello().clean_start, "MQTT 3.1.1 forgets at a CONNECT");
            bench.connect(&fresh());
            assert!(matches!(bench.end, Some(End::Retired)));
            bench.disconnect();
        }
        assert!(bench.machine.is_done() && bench.machine.leaves() && !bench.machine.is_left_behind());
        assert!(!bench.machine.is_unproven());
    });
}

#[test]
fn f40_the_queue_is_fetched_before_unsubscribe() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "a");
        bench.enter(Phase::Retiring);
        assert_eq!(bench.take_sent(), [], "something is held");
        bench.done("a");
        // The broker has more queued, and sends it before it answers.
        bench.publish(2, "b");
        bench.pong();
        assert_eq!(bench.take_sent(), [Sent::PubAck(1)]);
        bench.done("b");
        leave(&mut bench);
        assert!(!bench.machine.is_unproven());
    });
}

#[test]
fn f40_with_room_in_the_brokers_window_a_gap_of_two_pings_is_enough() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        for id in 1..=3 {
            bench.publish(id, &id.to_string());
        }
        bench.enter(Phase::Retiring);
        assert_eq!(bench.pings(), 0, "it may keep to a window of three");
        bench.done("1");
        assert_eq!(bench.pings(), 1, "it had three in flight, and has two");
        bench.pong();
        assert_eq!(bench.pings(), 2, "it may have answered before it sent what PUBACK had made room for");
        assert_eq!(bench.take_sent(), [Sent::PubAck(1)]);
        bench.pong();
        assert_eq!(bench.take_sent(), [Sent::Unsubscribe]);
        assert!(!bench.machine.is_unproven());
    });
}

#[test]
fn f40_a_stream_without_a_gap_is_left_all_the_same_and_said() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "1");
        bench.publish(2, "2");
        bench.enter(Phase::Retiring);
        let mut id = 1;
        while bench.take_sent().last() != Some(&Sent::Unsubscribe) {
            assert!(id < 1_000, "it never ends");
            bench.done(&id.to_string());
            bench.publish(id + 2, &(id + 2).to_string());
            bench.pong();
            bench.pass(SECOND, true);
            id += 1;
        }
        assert!(bench.events.contains(&Event::QueueUnproven { all: true }) && bench.machine.is_unproven());
        bench.unsuback(1);
        bench.done(&id.to_string());
        bench.done(&(id + 1).to_string());
        bench.pong();
        bench.pass(SECOND * 10, true);
        assert!(matches!(bench.end, Some(End::Retired)), "{}", bench.why());
    });
}

#[test]
fn f39_a_message_that_expired_at_the_broker_over_a_cut_does_not_hold_up_the_end() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "expires");
        bench.enter(Phase::Retiring);
        bench.reconnect(&present());
        bench.forget();
        assert_eq!(bench.pings(), 0, "its function still runs");
        bench.done("expires");
        assert_eq!(bench.pings(), 1, "settled, and never sent again: it holds nothing");
        leave(&mut bench);
    });
}

#[test]
fn a_retirement_outlives_its_connection() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.enter(Phase::Retiring);
        prove(&mut bench);
        bench.unsuback(1);
        bench.reconnect(&present());
        assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe), "again, and without another proof");
        bench.unsuback(1);
        bench.pong();
        bench.pass(SECOND * 10, true);
        assert!(matches!(bench.end, Some(End::Retired)), "{}", bench.why());
    });
}

#[test]
fn f39_a_broker_that_never_answers_unsubscribe_does_not_hold_up_the_end() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.enter(Phase::Retiring);
        for _ in 1..3 {
            prove(&mut bench);
            assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe));
            bench.pass(SECOND * 60, true);
            assert!(bench.why().contains("no UNSUBACK within"), "{}", bench.why());
            bench.reconnect(&present());
        }
        prove(&mut bench);
        bench.publish(1, "a");
        bench.pass(SECOND * 60, true);
        assert!(bench.end.is_none(), "a message is held: {}", bench.why());
        assert_eq!(bench.events, [Event::UnsubscribeUnanswered { former: vec![], all: true }]);
        bench.done("a");
        bench.pass(SECOND * 10, true);
        assert!(matches!(bench.end, Some(End::Retired)), "{}", bench.why());
        assert!(bench.machine.is_unproven(), "which is an exit code of its own");
    });
}

#[test]
fn a_session_that_is_not_wanted_any_more_subscribes_to_nothing() {
    let mut bench = Bench::new(Settings { leaves: true, ..settings(Protocol::V5) });
    bench.connect(&present());
    leave(&mut bench);
    assert!(!bench.sent.contains(&Sent::Subscribe));
}

#[test]
fn a_drain_that_cuts_a_retirement_short_leaves_the_session_behind() {
    let mut bench = Bench::ready(Protocol::V5);
    bench.publish(1, "a");
    bench.enter(Phase::Retiring);
    bench.done("a");
    bench.pong();
    bench.enter(Phase::Draining);
    assert!(matches!(bench.end, Some(End::Drained)));
    assert!(bench.machine.is_left_behind());
}
