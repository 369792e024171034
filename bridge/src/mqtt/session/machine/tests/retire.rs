//! F25, F39 and F40: retirement.

use super::bench::{Bench, SECOND, Sent, both, fresh, present, settings};
use crate::config::Protocol;
use crate::mqtt::Settings;
use crate::mqtt::end::End;
use crate::mqtt::retire::{QUIET, ROUNDS};
use crate::mqtt::session::event::Event;
use crate::shutdown::Phase;

/// Plays a broker that answers UNSUBSCRIBE and pings and has nothing more, until the connection ends.
fn leave(bench: &mut Bench) {
    bench.prove_again();
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
fn f40_with_room_in_the_brokers_window_a_gap_is_enough() {
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
        bench.pass(SECOND * 2, true);
        assert_eq!(bench.take_sent(), [], "it may answer before it sends what is queued");
        bench.pass(SECOND, true);
        assert_eq!(bench.take_sent(), [], "some drop what they have sent, too");
        bench.done("2");
        bench.pass(SECOND * 3600, true);
        assert!(!bench.take_sent().contains(&Sent::Unsubscribe), "nor after an hour");
        bench.done("3");
        assert_eq!(bench.take_sent(), [Sent::PubAck(3), Sent::Unsubscribe]);
        assert!(!bench.machine.is_unproven());
    });
}

#[test]
fn f40_that_nothing_was_read_in_a_pause_proves_nothing() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.enter(Phase::Retiring);
        (0..ROUNDS).for_each(|_| bench.pong());
        bench.pause(true);
        bench.pass(SECOND * 10, true);
        bench.pause(false);
        assert!(!bench.take_sent().contains(&Sent::Unsubscribe), "messages may wait to be read");
        bench.prove();
        assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe));
    });
}

#[test]
fn f40_a_broker_that_never_sends_pubrel_holds_up_no_end() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.message("sensor/data", 2, 1, "a", false);
        bench.enter(Phase::Retiring);
        bench.done("a");
        bench.prove();
        assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe), "the message is ours");
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
fn f40_a_broker_that_always_has_room_is_asked_for_a_gap_for_a_minute() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        (1..=3).for_each(|id| bench.publish(id, &id.to_string()));
        (1..=3).for_each(|id| bench.done(&id.to_string()));
        bench.enter(Phase::Retiring);
        let (begun, mut id) = (bench.now, 4);
        while bench.take_sent().last() != Some(&Sent::Unsubscribe) {
            bench.publish(id, "x");
            bench.done("x");
            bench.pong();
            bench.pass(SECOND, true);
            id += 1;
            assert!(bench.now - begun < SECOND * 90, "it has more patience than with a full window");
        }
        assert!(bench.now - begun >= SECOND * 60, "after {:?}", bench.now - begun);
    });
}

#[test]
fn f40_the_minute_begins_when_there_is_room_for_what_is_queued() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "a long payload");
        let (_, large) = bench.machine.outstanding();
        let mut bench = Bench::new(Settings { max_outstanding_bytes: large as u64, ..settings(protocol) });
        bench.connect(&fresh());
        bench.suback(1);
        bench.arrive_together(&["x", "y"]);
        ["x", "y"].into_iter().for_each(|payload| bench.done(payload));
        bench.publish(3, "a long payload");
        bench.forget();
        bench.enter(Phase::Retiring);
        // The broker had two in flight and has one: but this side is full, and the function slow.
        bench.pass(SECOND * 600, false);
        assert!(!bench.sent.contains(&Sent::Unsubscribe), "{:?}", bench.events);
        bench.done("a long payload");
        // Now the answers are read: to keep-alive's pings, to the proof's first, and to its second.
        (0..=bench.pings()).for_each(|_| bench.pong());
        bench.pass(QUIET, true);
        assert_eq!(bench.take_sent(), [Sent::PubAck(3), Sent::Unsubscribe]);
        assert!(!bench.machine.is_unproven());
    });
}

#[test]
fn f40_the_answer_to_an_earlier_ping_is_no_proof() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        while bench.pings() == 0 {
            bench.pass(SECOND, false);
        }
        bench.enter(Phase::Retiring);
        bench.prove();
        assert_eq!(bench.take_sent(), [], "the first answer was to the ping of keep-alive");
        bench.pong();
        assert_eq!(bench.take_sent(), [], "a message behind this answer may come as late as the answer did");
        bench.pass(QUIET, true);
        assert_eq!(bench.take_sent(), [Sent::Unsubscribe]);
    });
}

#[test]
fn a_former_filter_whose_queue_is_not_proven_empty_is_no_session_that_may_have_lost_some() {
    both(|protocol| {
        let former = vec!["former/topic".to_owned()];
        let mut bench = Bench::new(Settings { former_filters: former, ..settings(protocol) });
        bench.connect(&fresh());
        bench.suback(1);
        for id in 1..=1_000 {
            bench.publish(id, "x");
            bench.done("x");
            bench.pong();
            bench.pass(SECOND, true);
        }
        assert!(bench.events.contains(&Event::QueueUnproven { all: false }), "{:?}", bench.events);
        assert!(!bench.machine.is_unproven());
    });
}

#[test]
fn f40_a_session_that_drains_gives_up_no_former_filter_as_it_takes_none_of_its_messages() {
    both(|protocol| {
        let former = vec!["former/topic".to_owned()];
        let mut bench = Bench::new(Settings { former_filters: former, ..settings(protocol) });
        bench.connect(&fresh());
        bench.suback(1);
        bench.publish(1, "a");
        bench.publish(2, "b");
        bench.done("a");
        bench.take_sent();
        bench.enter(Phase::Draining);
        // With this one the broker's window is full, and its queue may hold more.
        bench.publish(3, "c");
        bench.prove();
        bench.prove();
        assert_eq!(bench.take_sent(), []);
        bench.done("b");
        assert!(matches!(bench.end, Some(End::Drained)), "{}", bench.why());
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
        bench.prove();
        bench.unsuback(1);
        bench.reconnect(&present());
        bench.prove();
        assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe), "again");
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
            bench.prove_again();
            assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe));
            bench.pass(SECOND * 60, true);
            assert!(bench.why().contains("no UNSUBACK within"), "{}", bench.why());
            bench.reconnect(&present());
        }
        bench.prove_again();
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
fn f40_an_unsubscribe_that_was_lost_has_taken_nothing_from_the_timer() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.enter(Phase::Retiring);
        bench.prove();
        assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe));
        bench.reconnect(&present());
        let timer = bench.machine.settings.redelivery_timer;
        bench.prove();
        bench.pass(timer * 8 / 10, true);
        assert_eq!(bench.take_sent().contains(&Sent::Unsubscribe), protocol == Protocol::V5);
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

#[test]
fn only_a_session_that_was_to_leave_is_left_behind() {
    let mut bench = Bench::ready(Protocol::V5);
    assert!(!bench.machine.is_left_behind());
    bench.enter(Phase::Draining);
    assert!(!bench.machine.is_left_behind());
    let mut bench = Bench::new(Settings { leaves: true, ..settings(Protocol::V5) });
    bench.connect(&present());
    assert!(bench.machine.leaves() && !bench.machine.is_left_behind());
    bench.enter(Phase::Draining);
    assert!(!bench.machine.leaves() && bench.machine.is_left_behind());
}

/// What was in flight comes again on each connection, and may come late.
#[test]
fn unsubscribing_again_over_connections_needs_another_proof() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.enter(Phase::Retiring);
        bench.prove();
        bench.unsuback(1);
        for _ in 0..2 {
            bench.forget();
            bench.reconnect(&present());
            bench.pong();
            bench.pong();
            assert_eq!(bench.take_sent(), [], "a broker may answer before it sends");
            bench.pass(QUIET, true);
            assert_eq!(bench.take_sent(), [Sent::Unsubscribe]);
        }
        bench.unsuback(1);
        bench.pong();
        bench.pass(SECOND * 10, true);
        assert!(matches!(bench.end, Some(End::Retired)), "{}", bench.why());
    });
}

#[test]
fn what_was_read_while_paused_is_left_to_the_broker_by_a_drain() {
    both(|protocol| {
        let mut bench = Bench::new(settings(protocol));
        bench.pause(true);
        bench.connect(&present());
        // While the answer to SUBSCRIBE is due, messages are read.
        bench.publish(1, "x");
        bench.enter(Phase::Draining);
        bench.pause(false);
        assert_eq!(bench.admitted, 0);
        assert!(matches!(bench.end, Some(End::Drained)), "{}", bench.why());
    });
}
