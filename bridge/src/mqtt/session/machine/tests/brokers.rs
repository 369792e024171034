//! One of several brokers at a time.

use super::bench::{Bench, SECOND, Sent, both, fresh, present, settings};
use crate::config::Protocol;
use crate::mqtt::Settings;
use crate::mqtt::end::End;
use crate::mqtt::session::event::Event;
use crate::shutdown::Phase;

/// The connection breaks, and the next one is to that broker.
fn moves(bench: &mut Bench, broker: usize, connack: &crate::mqtt::packet::ConnAck) {
    bench.disconnect();
    bench.machine.at_broker(broker);
    bench.connect(connack);
}

/// Connected to the second broker, and subscribed.
fn away(protocol: Protocol) -> Bench {
    let mut bench = Bench::ready(protocol);
    moves(&mut bench, 1, &fresh());
    bench.suback(1);
    bench.forget();
    bench
}

/// Plays a broker that has nothing more, until the session has left it.
fn leave(bench: &mut Bench) {
    bench.prove();
    assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe));
    bench.unsuback(1);
    bench.pong();
    bench.pass(SECOND * 10, true);
    assert!(matches!(bench.end, Some(End::Retired)), "{}", bench.why());
    bench.disconnect();
}

#[test]
fn no_acknowledgement_goes_to_another_broker_than_the_one_that_sent() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        assert_eq!(bench.machine.broker(), 0);
        bench.publish(1, "a");
        moves(&mut bench, 1, &present());
        assert_eq!(bench.machine.broker(), 1);
        assert!(bench.events.contains(&Event::BrokerChanged { left: 0, unacknowledged: 1 }));
        bench.suback(1);
        // Another message under the same packet identifier, and the very same one: neither joins.
        bench.publish(1, "b");
        bench.again(2, "a");
        assert_eq!(bench.admitted, 3);
        bench.forget();
        bench.done("a");
        assert_eq!(bench.take_sent(), [], "the first of them came from elsewhere");
        assert_eq!(bench.machine.metrics.stale.get(), 1);
        bench.done("b");
        bench.done("a");
        assert_eq!(bench.take_sent(), [Sent::PubAck(1), Sent::PubAck(2)]);
    });
}

#[test]
fn what_waits_at_the_first_broker_comes_again_and_is_a_message_of_its_own() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(7, "a");
        moves(&mut bench, 1, &fresh());
        bench.suback(1);
        moves(&mut bench, 0, &present());
        bench.forget();
        bench.again(7, "a");
        assert_eq!(bench.admitted, 2);
        bench.done("a");
        assert_eq!(bench.take_sent(), [], "an outcome from before the change acknowledges nothing");
        bench.done("a");
        assert_eq!(bench.take_sent(), [Sent::PubAck(7)]);
    });
}

#[test]
fn a_broker_that_was_never_known_has_lost_no_session_and_one_that_was_may_have() {
    both(|protocol| {
        let lost = |bench: &Bench| bench.machine.metrics.session_lost.get();
        let mut bench = Bench::ready(protocol);
        moves(&mut bench, 1, &fresh());
        assert_eq!(lost(&bench), 0);
        bench.suback(1);
        moves(&mut bench, 0, &fresh());
        assert_eq!(lost(&bench), 1, "the first broker had one");
        bench.suback(1);
        moves(&mut bench, 1, &present());
        assert_eq!(lost(&bench), 1);
    });
}

#[test]
fn under_mqtt_3_1_1_a_subscription_is_remembered_for_its_own_broker() {
    let mut bench = Bench::ready(Protocol::V311);
    moves(&mut bench, 1, &present());
    assert_eq!(bench.take_sent(), [Sent::Subscribe], "its session may hold another subscription");
    bench.suback(1);
    moves(&mut bench, 0, &present());
    assert_eq!(bench.take_sent(), [], "this one has confirmed it");
    bench.disconnect();
    bench.machine.unanswered_by(1);
    moves(&mut bench, 1, &present());
    assert_eq!(bench.take_sent(), [Sent::Subscribe], "a CONNECT may have made that session again");
}

#[test]
fn a_former_filter_is_given_up_at_each_broker() {
    both(|protocol| {
        let former = vec!["former/topic".to_owned()];
        let mut bench = Bench::new(Settings { former_filters: former, ..settings(protocol) });
        bench.connect(&fresh());
        for broker in [0, 1] {
            bench.suback(1);
            bench.take_sent();
            bench.prove_again();
            assert_eq!(bench.take_sent(), [Sent::Unsubscribe], "at broker {broker}");
            bench.unsuback(1);
            moves(&mut bench, 1, &present());
        }
        moves(&mut bench, 0, &present());
        bench.suback(1);
        bench.take_sent();
        bench.pass(SECOND * 60, true);
        assert_eq!(bench.take_sent(), [], "it has given it up here");
    });
}

#[test]
fn what_an_earlier_session_of_this_process_held_it_held_at_the_last_broker() {
    let held = Settings { subscribed: vec![true], ..settings(Protocol::V311) };
    let mut bench = Bench::resuming(held, 1);
    bench.machine.at_broker(1);
    bench.connect(&present());
    assert_eq!(bench.take_sent(), []);
    assert!(!bench.events.iter().any(|event| matches!(event, Event::BrokerChanged { .. })), "{:?}", bench.events);
    moves(&mut bench, 0, &present());
    assert_eq!(bench.take_sent(), [Sent::Subscribe], "nobody knows what its session there holds");
}

#[test]
fn it_goes_back_only_when_the_queue_of_the_other_broker_is_empty_and_its_session_forgotten() {
    both(|protocol| {
        let mut bench = away(protocol);
        bench.publish(1, "a");
        bench.machine.go_back();
        bench.turn();
        assert_eq!(bench.take_sent(), [], "something is held");
        bench.done("a");
        leave(&mut bench);
        if protocol == Protocol::V311 {
            assert!(!bench.machine.has_left());
            assert!(bench.machine.hello_to(1).clean_start, "MQTT 3.1.1 forgets at a CONNECT");
            assert!(!bench.machine.hello_to(0).clean_start, "the first broker is to keep its own");
            bench.connect(&fresh());
            assert!(matches!(bench.end, Some(End::Retired)));
            bench.disconnect();
        }
        assert!(bench.machine.has_left() && !bench.machine.has_left());
        assert!(!bench.machine.is_done() && !bench.machine.leaves() && !bench.machine.hello_to(0).clean_start);
        bench.forget();
        bench.machine.at_broker(0);
        bench.connect(&present());
        assert_eq!(bench.machine.metrics.session_lost.get(), 0);
        // And may come back to the other as if it had never been there.
        moves(&mut bench, 1, &fresh());
        assert_eq!(bench.machine.metrics.session_lost.get(), 0);
        assert_eq!(bench.take_sent().last(), Some(&Sent::Subscribe));
    });
}

#[test]
fn a_broker_that_breaks_while_it_is_left_holds_nobody() {
    both(|protocol| {
        let mut bench = away(protocol);
        bench.machine.go_back();
        bench.turn();
        bench.prove();
        assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe));
        assert!(!bench.machine.keeps_broker());
        moves(&mut bench, 0, &present());
        assert!(!bench.machine.leaves() && !bench.machine.is_done());
        if protocol == Protocol::V5 {
            bench.suback(1);
        }
        bench.pass(SECOND * 60, true);
        assert!(bench.end.is_none(), "{}", bench.why());
    });
}

#[test]
fn who_leaves_for_good_does_not_go_back_first() {
    let mut bench = away(Protocol::V5);
    bench.enter(Phase::Retiring);
    bench.machine.go_back();
    leave(&mut bench);
    assert!(!bench.machine.has_left() && bench.machine.is_done());
    let mut bench = away(Protocol::V5);
    bench.machine.go_back();
    bench.turn();
    bench.enter(Phase::Draining);
    assert!(bench.machine.is_done(), "a drain waits for no broker");
}

#[test]
fn a_session_that_leaves_for_good_goes_back_nowhere() {
    both(|protocol| {
        let mut bench = away(protocol);
        bench.enter(Phase::Retiring);
        bench.machine.go_back();
        bench.turn();
        assert!(!bench.events.contains(&Event::GoingBack), "{:?}", bench.events);
        assert_eq!(bench.machine.broker(), 1);
    });
}

#[test]
fn a_session_that_has_unsubscribed_stays_with_its_broker() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.enter(Phase::Retiring);
        assert!(!bench.machine.keeps_broker(), "it has not begun");
        bench.prove();
        assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe));
        assert!(bench.machine.keeps_broker());
    });
}
