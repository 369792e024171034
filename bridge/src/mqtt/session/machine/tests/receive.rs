//! Messages, their acknowledgements, and their copies.

use super::bench::{Bench, KEEP_ALIVE, SECOND, Sent, both, fresh, present, settings};
use crate::config::{Protocol, Qos};
use crate::delivery::Outcome;
use crate::mqtt::Settings;
use crate::mqtt::end::End;
use crate::mqtt::retire::QUIET;
use crate::mqtt::session::event::Event;
use crate::mqtt::session::settings::Identifies;
use crate::shutdown::Phase;

#[test]
fn mqtt_4_6_0_2_acknowledges_after_the_outcome_and_in_the_order_of_receipt() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        for (id, payload) in [(9, "a"), (3, "b"), (7, "c")] {
            bench.publish(id, payload);
        }
        bench.done("c");
        bench.settle("b", Outcome::DeadLettered);
        assert_eq!(bench.take_sent(), []);
        bench.settle("a", Outcome::Filtered);
        assert_eq!(bench.take_sent(), [9, 3, 7].map(Sent::PubAck));
    });
}

#[test]
fn mqtt_4_3_3_qos_2_is_one_message_from_publish_to_pubcomp() {
    both(|protocol| {
        let mut bench = Bench::new(Settings { qos: Qos::ExactlyOnce, ..settings(protocol) });
        bench.connect(&present());
        bench.suback(2);
        bench.forget();
        bench.message("sensor/data", 2, 4, "a", false);
        bench.message("sensor/data", 2, 4, "a", true);
        bench.done("a");
        assert_eq!(bench.take_sent(), [Sent::PubRec(4)]);
        bench.message("sensor/data", 2, 4, "a", true);
        assert_eq!(bench.take_sent(), [Sent::PubRec(4)], "a copy after PUBREC gets it again");
        bench.arrive(&[0x62, 2, 0, 4]);
        assert_eq!((bench.take_sent(), bench.admitted), (vec![Sent::PubComp(4)], 1));
        bench.message("sensor/data", 2, 4, "a", false);
        assert_eq!(bench.admitted, 2);
    });
}

#[test]
fn f27_f29_what_comes_again_over_a_resumed_session_joins_also_under_another_id() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        for (id, payload) in [(40, "a"), (41, "b")] {
            bench.publish(id, payload);
        }
        bench.resume();
        bench.forget();
        bench.again(1, "a");
        bench.again(2, "b");
        bench.done("b");
        assert_eq!(bench.take_sent(), []);
        bench.done("a");
        assert_eq!((bench.take_sent(), bench.admitted), ([1, 2].map(Sent::PubAck).to_vec(), 2));
    });
}

#[test]
fn f28_copies_on_one_connection_join_and_what_crosses_is_dropped_until_a_ping_is_answered() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(7, "a");
        bench.again(7, "a");
        bench.done("a");
        assert_eq!(bench.take_sent(), [Sent::PubAck(7)]);
        bench.again(7, "a");
        assert_eq!((bench.take_sent(), bench.admitted), (vec![], 1));
        bench.pass(KEEP_ALIVE, true);
        bench.again(7, "a");
        assert_eq!(bench.admitted, 2, "the broker has read the PUBACK");
    });
}

#[test]
fn f28_what_has_an_id_of_the_publishers_needs_no_dup_to_be_a_copy() {
    both(|protocol| {
        let identifies = Identifies::by(|message| message.payload == "with an id");
        let mut bench = Bench::new(Settings { identifies, ..settings(protocol) });
        bench.connect(&fresh());
        bench.suback(1);
        for (id, payload, admitted) in [(1, "with an id", 1), (2, "without", 3)] {
            bench.publish(id, payload);
            bench.publish(id, payload);
            assert_eq!(bench.admitted, admitted, "{payload}");
        }
    });
}

#[test]
fn f26_an_outcome_of_a_connection_before_acknowledges_nothing_else() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "gone");
        bench.resume();
        bench.forget();
        bench.publish(1, "other");
        bench.done("gone");
        assert_eq!(bench.take_sent(), []);
        bench.done("other");
        assert_eq!(bench.take_sent(), [Sent::PubAck(1)]);
    });
}

#[test]
fn mqtt_3_3_4_9_a_broker_that_exceeds_receive_maximum_is_tolerated_up_to_twice_it_and_said_once() {
    let mut bench = Bench::ready(Protocol::V5);
    for id in 1..=12 {
        bench.publish(id, &id.to_string());
    }
    assert_eq!((bench.admitted, bench.machine.reads()), (8, false));
    assert_eq!(bench.events, [Event::ExceedsReceiveMaximum { in_flight: 5 }]);
    bench.done("1");
    assert_eq!((bench.admitted, bench.take_sent()), (9, vec![Sent::PubAck(1)]), "room for one that was read already");
}

#[test]
fn bytes_alone_stop_the_reading() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "1");
        let (_, one) = bench.machine.outstanding();
        let mut bench = Bench::new(Settings { max_outstanding_bytes: 2 * one as u64, ..settings(protocol) });
        bench.connect(&fresh());
        bench.suback(1);
        (1..=3).for_each(|id| bench.publish(id, &id.to_string()));
        assert_eq!((bench.admitted, bench.machine.reads()), (2, false));
        bench.done("1");
        assert_eq!(bench.admitted, 3);
    });
}

#[test]
fn deliveries_of_earlier_connections_are_as_many_again_and_no_more() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        let most = bench.machine.settings.max_outstanding();
        let mut read = Vec::new();
        for connection in 1..=3 {
            // The broker does not mark what it sends again, so each is a message of its own.
            let before = bench.admitted;
            (1..=9).for_each(|id| bench.publish(id, &format!("{connection} {id}")));
            read.push(bench.admitted - before);
            bench.resume();
        }
        assert_eq!((read, bench.machine.reads()), (vec![most, most, 0], false));
    });
}

#[test]
fn a_window_of_all_packet_identifiers_leaves_one_for_those_who_go_beyond_it() {
    let all = Settings { receive_maximum: u16::MAX, ..settings(Protocol::V5) };
    assert_eq!((all.max_outstanding(), all.max_running()), (65_534, 131_068));
}

#[test]
fn records_have_numbers_of_their_own() {
    let mut bench = Bench::ready(Protocol::V5);
    (1..=3).for_each(|id| bench.publish(id, "x"));
    let ids: std::collections::HashSet<_> = bench.running.iter().map(|admitted| admitted.id.to_string()).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_message_that_no_filter_matches_is_delivered_and_said_once() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        (1..=3).for_each(|id| bench.message("former/topic", 1, id, "x", false));
        assert_eq!(bench.events, [Event::Unmatched { topic: "former/topic".into() }]);
        assert_eq!((bench.admitted, bench.machine.metrics.unmatched.get()), (3, 3));
    });
}

#[test]
fn an_answer_to_ping_proves_nothing_of_what_came_before_it() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        (1..=2).for_each(|id| bench.publish(id, &id.to_string()));
        bench.resume();
        bench.done("1");
        bench.done("2");
        bench.pass(KEEP_ALIVE, false);
        let pings = bench.pings();
        assert!(pings > 0);
        // The broker repeats its messages slowly, and answers in between.
        bench.again(2, "2");
        for _ in 0..pings {
            bench.pong();
            bench.pass(QUIET, false);
        }
        bench.again(1, "1");
        assert_eq!(bench.admitted, 2, "a copy is a copy");
    });
}

#[test]
fn answers_to_pings_that_a_broker_may_read_together_prove_nothing() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "1");
        bench.resume();
        bench.done("1");
        bench.forget();
        bench.pass(KEEP_ALIVE, false);
        assert_eq!(bench.pings(), 2);
        bench.pong();
        bench.pass(QUIET, false);
        bench.pong();
        assert!(bench.end.is_none(), "{}", bench.why());
        bench.again(1, "1");
        assert_eq!(bench.admitted, 1, "a copy is a copy");
    });
}

#[test]
fn messages_of_earlier_connections_take_as_many_bytes_again_and_no_more() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "1 1");
        let (_, one) = bench.machine.outstanding();
        let mut bench = Bench::new(Settings { max_outstanding_bytes: 2 * one as u64, ..settings(protocol) });
        bench.connect(&fresh());
        bench.suback(1);
        for connection in 1..=5 {
            // The broker does not mark what it sends again, so each is a message of its own.
            (1..=4).for_each(|id| bench.publish(id, &format!("{connection} {id}")));
            bench.resume();
        }
        let (messages, bytes) = bench.machine.outstanding();
        assert_eq!((messages, bytes, bench.machine.reads()), (4, 4 * one, false));
        bench.done("1 1");
        assert!(bench.machine.reads(), "an outcome makes room");
    });
}

/// A broker may use a packet identifier for another message before the first is acknowledged, again and again.
#[test]
fn places_behind_a_slow_message_are_bounded_though_their_messages_are_done() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "slow");
        for number in (1..100).map(|number: u32| number.to_string()) {
            if bench.machine.reads() {
                bench.publish(2, &number);
                bench.done(&number);
            }
        }
        assert_eq!(bench.admitted, 4 * bench.machine.settings.max_outstanding());
        bench.done("slow");
        assert!(bench.machine.reads());
    });
}

#[test]
fn mqtt_3_1_1_has_no_receive_maximum_so_the_window_is_ours() {
    let mut bench = Bench::ready(Protocol::V311);
    for id in 1..=6 {
        bench.publish(id, &id.to_string());
    }
    assert_eq!((bench.admitted, bench.machine.reads(), bench.events.len()), (4, false, 0));
}

#[test]
fn an_abandoned_message_is_never_acknowledged_and_asks_for_a_new_connection() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "a");
        bench.settle("a", Outcome::Abandoned);
        assert_eq!(bench.take_sent(), []);
        assert!(bench.why().contains("given up"), "{}", bench.why());
    });
}

#[test]
fn a_paused_session_takes_nothing_more_and_stays_alive() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.pause(true);
        assert!(!bench.machine.reads());
        bench.pass(KEEP_ALIVE * 5, false);
        assert!(bench.end.is_none() && bench.pings() > 0, "{}", bench.why());
        bench.publish(1, "a");
        assert_eq!(bench.admitted, 0);
        bench.pause(false);
        assert_eq!(bench.admitted, 1);
    });
}

#[test]
fn what_a_paused_session_must_read_to_reach_suback_is_kept_for_later() {
    let mut bench = Bench::new(settings(Protocol::V5));
    bench.pause(true);
    bench.connect(&present());
    bench.publish(1, "a");
    bench.suback(1);
    assert_eq!(bench.admitted, 0);
    bench.pause(false);
    assert_eq!(bench.admitted, 1);
}

#[test]
fn a_drain_admits_nothing_and_ends_with_the_last_outcome() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "a");
        bench.enter(Phase::Draining);
        bench.publish(2, "b");
        assert_eq!((bench.admitted, bench.end.is_none()), (1, true));
        bench.done("a");
        assert!(matches!(bench.end, Some(End::Drained)));
        assert_eq!(bench.take_sent(), [Sent::PubAck(1)]);
    });
}

#[test]
fn packets_that_no_broker_may_send_end_the_connection() {
    for packet in
        [&[0x20, 3, 0, 0, 0][..], &[0x40, 2, 0, 1], &[0x90, 4, 0, 1, 0, 1], &[0xb0, 4, 0, 2, 0, 0], &[0xf0, 2, 0, 0]]
    {
        let mut bench = Bench::ready(Protocol::V5);
        bench.arrive(packet);
        assert!(bench.why().contains("protocol error"), "{packet:02x?}: {}", bench.why());
    }
}

#[test]
fn f6_f32_a_byte_now_and_then_of_one_huge_packet_is_no_life() {
    let mut bench = Bench::ready(Protocol::V5);
    bench.arrive(&[0x32, 0xff, 0xff, 0xff, 0x7f, 0, 1, b'a']);
    for _ in 0..40 {
        if bench.end.is_none() {
            bench.pass(SECOND, false);
            bench.arrive(b"x");
        }
    }
    assert!(bench.why().contains("silent"), "{}", bench.why());
}

#[test]
fn f39_what_a_broker_will_not_send_again_is_forgotten_at_the_first_quiet_ping() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "a");
        bench.publish(2, "b");
        bench.resume();
        bench.done("a");
        bench.done("b");
        assert_eq!(bench.machine.outstanding().0, 2, "they may come again");
        bench.pass(KEEP_ALIVE, true);
        let by_a_timer = if protocol == Protocol::V311 { 2 } else { 0 };
        assert_eq!(bench.machine.outstanding(), (by_a_timer, 0), "under MQTT 3.1.1 a timer may bring them");
        bench.pass(bench.machine.settings.redelivery_timer, true);
        assert_eq!(bench.machine.outstanding(), (0, 0));
    });
}
