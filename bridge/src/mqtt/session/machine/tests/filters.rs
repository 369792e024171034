//! Several filters in one session.

use super::bench::{Bench, KEEP_ALIVE, SECOND, Sent, both, fresh, present, settings};
use crate::config::Protocol;
use crate::mqtt::Settings;
use crate::mqtt::packet::ConnAck;
use crate::mqtt::retire::{QUIET, ROUNDS};
use crate::mqtt::session::event::Event;
use crate::shutdown::Phase;

fn with(protocol: Protocol, filters: &[&str]) -> Settings {
    let topic_filters = filters.iter().map(|filter| filter.parse().unwrap()).collect();
    Settings { topic_filters, ..settings(protocol) }
}

/// The filters in a SUBSCRIBE, behind its packet identifier and its properties.
fn filters_in(packet: &[u8], protocol: Protocol) -> Vec<String> {
    let properties = if protocol == Protocol::V5 { 1 + usize::from(packet[2]) } else { 0 };
    let (mut rest, mut filters) = (&packet[2 + properties..], Vec::new());
    while let [high, low, text @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        filters.push(String::from_utf8(text[..length].to_vec()).unwrap());
        rest = &text[length + 1..];
    }
    filters
}

#[test]
fn mqtt_3_8_2_1_2_with_identifiers_each_filter_has_a_packet_of_its_own() {
    let mut bench = Bench::new(with(Protocol::V5, &["a/#", "b", "c"]));
    bench.connect(&fresh());
    assert_eq!(bench.take_sent(), [Sent::Subscribe; 3]);
    let identifiers: Vec<_> =
        bench.subscribes.iter().map(|packet| packet[3..=usize::from(packet[2])].to_vec()).collect();
    assert!(bench.subscribes.iter().all(|packet| packet[2] > 1 && packet[3] == 0x0b), "{identifiers:?}");
    let filters: Vec<_> = bench.subscribes.iter().flat_map(|packet| filters_in(packet, Protocol::V5)).collect();
    assert_eq!(filters, ["a/#", "b", "c"]);
    bench.suback_to(4, &[1]);
    bench.suback_to(1, &[1]);
    assert_eq!(bench.events, [], "one is missing");
    bench.suback_to(3, &[1]);
    assert_eq!(bench.events, [Event::Subscribed]);
    let before = std::mem::take(&mut bench.subscribes);
    bench.reconnect(&present());
    assert_eq!(bench.subscribes, before, "the same identifiers");
}

#[test]
fn one_filter_needs_no_identifier_and_a_broker_without_them_gets_none() {
    let mut one = Bench::new(settings(Protocol::V5));
    one.connect(&fresh());
    assert_eq!(one.subscribes[0][2], 0, "no properties");
    let without = ConnAck { subscription_ids_available: false, ..fresh() };
    let mut bench = Bench::new(with(Protocol::V5, &["a/#", "b"]));
    bench.connect(&without);
    assert_eq!((bench.subscribes.len(), bench.subscribes[0][2]), (1, 0));
}

#[test]
fn without_identifiers_there_are_at_most_eight_filters_in_a_packet() {
    both(|protocol| {
        let names: Vec<_> = (0..10).map(|number| format!("a/{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut bench = Bench::new(with(protocol, &names));
        bench.connect(&ConnAck { subscription_ids_available: false, ..fresh() });
        let found: Vec<_> = bench.subscribes.iter().map(|packet| filters_in(packet, protocol)).collect();
        assert_eq!(found, [&names[..8], &names[8..]]);
        bench.suback_to(1, &[1; 8]);
        bench.suback_to(3, &[1; 2]);
        assert_eq!(bench.events, [Event::Subscribed]);
    });
}

/// Retires a session with these filters, up to its UNSUBSCRIBEs.
fn unsubscribing(protocol: Protocol, names: &[&str]) -> Bench {
    let mut bench = Bench::new(with(protocol, names));
    bench.connect(&ConnAck { subscription_ids_available: false, ..fresh() });
    for (id, filters) in [1, 3, 4].into_iter().zip(names.chunks(8)) {
        bench.suback_to(id, &vec![1; filters.len()]);
    }
    bench.take_sent();
    bench.enter(Phase::Retiring);
    bench.prove();
    bench
}

#[test]
fn there_are_at_most_eight_filters_in_an_unsubscribe_and_all_of_them_have_to_be_answered() {
    both(|protocol| {
        let names: Vec<_> = (0..17).map(|number| format!("a/{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut bench = unsubscribing(protocol, &names);
        let sent = bench.take_sent();
        assert_eq!(sent.iter().filter(|sent| **sent == Sent::Unsubscribe).count(), 3, "{sent:?}");
        let unsubscribed = |bench: &Bench| bench.events.iter().any(|event| matches!(event, Event::Unsubscribed { .. }));
        for (id, filters) in [(u16::MAX - 1, 8), (2, 8), (u16::MAX - 2, 1)] {
            assert!(!unsubscribed(&bench), "{id} is missing");
            bench.unsuback_to(id, filters);
        }
        assert!(unsubscribed(&bench), "{:?}", bench.why());
        bench.unsuback_to(2, 8);
        assert!(bench.why().contains("an UNSUBACK for no UNSUBSCRIBE"), "{}", bench.why());
    });
}

#[test]
fn each_unsuback_has_as_much_time_as_the_first() {
    let names: Vec<_> = (0..17).map(|number| format!("a/{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut bench = unsubscribing(Protocol::V311, &names);
    let patience = bench.machine.settings.link.connect_timeout;
    bench.pass(patience * 2 / 3, true);
    bench.unsuback_to(2, 8);
    bench.pass(patience * 2 / 3, true);
    assert!(bench.end.is_none(), "{}", bench.why());
    bench.pass(patience, true);
    assert!(bench.why().contains("no UNSUBACK within"), "{}", bench.why());
}

#[test]
fn messages_are_counted_by_the_filter_that_they_belong_to() {
    let mut bench = Bench::new(with(Protocol::V311, &["a/+", "sensor/data"]));
    bench.connect(&fresh());
    bench.suback_to(1, &[1, 1]);
    bench.publish(1, "x");
    bench.message("a/b", 1, 2, "y", false);
    bench.message("a/c", 1, 3, "z", false);
    let counted = |filter: &str| bench.machine.metrics.received_by_filter.to(filter);
    assert_eq!((counted("sensor/data"), counted("a/+"), counted("a/b")), (Some(1), Some(2), None));
}

#[test]
fn each_filter_is_judged_by_itself_and_only_what_is_missing_is_asked_for_again_under_mqtt_3_1_1() {
    both(|protocol| {
        let mut bench = Bench::new(with(protocol, &["a", "b", "c"]));
        bench.connect(&ConnAck { subscription_ids_available: false, ..fresh() });
        bench.suback_to(1, &[1, 0x80, 0]);
        let denied = bench.events.iter().map(|event| match event {
            Event::SubscriptionDenied { filter, code, .. } => (filter.as_str(), *code),
            other => panic!("{other:?}"),
        });
        assert_eq!(denied.collect::<Vec<_>>(), [("b", 0x80), ("c", 0)]);
        let why = bench.why();
        assert!(
            bench.is_lasting() && why.starts_with("subscription to `b`: ") && why.ends_with("1 more of its filters")
        );
        assert_eq!(bench.machine.subscribed(), ["a"]);
        bench.subscribes.clear();
        bench.reconnect(&ConnAck { subscription_ids_available: false, ..present() });
        let again: Vec<_> = bench.subscribes.iter().flat_map(|packet| filters_in(packet, protocol)).collect();
        let all = ["a", "b", "c"];
        assert_eq!(again, if protocol == Protocol::V5 { &all[..] } else { &all[1..] });
    });
}

#[test]
fn an_unanswered_connect_and_a_lost_session_forget_every_filter() {
    for lost in [false, true] {
        let mut bench = Bench::new(with(Protocol::V311, &["a", "b"]));
        bench.connect(&fresh());
        bench.suback_to(1, &[1, 1]);
        assert_eq!(bench.machine.subscribed(), ["a", "b"]);
        bench.subscribes.clear();
        if !lost {
            bench.unanswered();
        }
        bench.reconnect(&if lost { fresh() } else { present() });
        assert_eq!(filters_in(&bench.subscribes[0], Protocol::V311), ["a", "b"]);
    }
}

/// A reload does not subscribe again to filters that stay, which would repeat retained messages.
#[test]
fn a_filter_that_is_added_is_the_only_one_that_is_asked_for_under_mqtt_3_1_1() {
    let mut bench =
        Bench::new(Settings { subscribed: vec![true, false, true], ..with(Protocol::V311, &["a", "new", "b"]) });
    bench.connect(&present());
    assert_eq!(
        bench.subscribes.iter().flat_map(|packet| filters_in(packet, Protocol::V311)).collect::<Vec<_>>(),
        ["new"]
    );
    bench.suback_to(1, &[1]);
    assert_eq!(bench.machine.subscribed(), ["a", "new", "b"]);
}

#[test]
fn a_suback_with_another_number_of_codes_is_a_protocol_error() {
    both(|protocol| {
        let mut bench = Bench::new(with(protocol, &["a", "b"]));
        bench.connect(&ConnAck { subscription_ids_available: false, ..fresh() });
        bench.suback_to(1, &[1]);
        assert!(bench.why().contains("more or fewer reason codes"), "{}", bench.why());
    });
}

#[test]
fn a_suback_that_never_comes_ends_the_connection_also_behind_others() {
    let mut bench = Bench::new(with(Protocol::V5, &["a", "b"]));
    bench.connect(&fresh());
    bench.pass(SECOND * 8, true);
    bench.suback_to(1, &[1]);
    bench.pass(SECOND * 8, true);
    assert!(bench.end.is_none(), "each has its time");
    bench.pass(SECOND * 3, true);
    assert!(bench.why().starts_with("no SUBACK"), "{}", bench.why());
}

/// Connected, with SUBACKs for `a/#` and `a/b`, and their identifiers.
fn overlapping(connack: &ConnAck) -> (Bench, [u32; 2]) {
    let mut bench = Bench::new(with(Protocol::V5, &["a/#", "a/b"]));
    bench.connect(connack);
    bench.suback_to(1, &[1]);
    bench.suback_to(3, &[1]);
    bench.forget();
    let ids = [0, 1].map(|index| bench.machine.filters.id(index));
    (bench, ids)
}

#[test]
fn mqtt_3_3_4_of_copies_for_several_filters_one_goes_and_the_others_are_acknowledged_in_order() {
    let (mut bench, [wide, narrow]) = overlapping(&fresh());
    bench.copy("a/b", 1, "x", &[wide]);
    bench.copy("a/b", 2, "x", &[narrow]);
    bench.copy("a/c", 3, "y", &[wide]);
    bench.copy("a/b", 4, "z", &[wide, narrow]);
    let went: Vec<_> = bench.running.iter().map(|admitted| admitted.subscription.as_deref().unwrap()).collect();
    assert_eq!(went, ["a/#"; 3]);
    assert_eq!(bench.machine.metrics.filtered.get(), 1);
    assert_eq!(bench.take_sent(), [], "the first is not done");
    bench.done("x");
    assert_eq!(bench.take_sent(), [Sent::PubAck(1), Sent::PubAck(2)]);
    // Equal content is another message.
    bench.copy("a/b", 5, "z", &[wide]);
    assert_eq!(bench.admitted, 4);
}

/// What the broker has kept may have been published when only one of them was subscribed.
#[test]
fn a_copy_that_may_be_the_only_one_goes_until_the_queue_was_seen_empty() {
    let (mut bench, [_, narrow]) = overlapping(&present());
    bench.copy("a/b", 1, "old", &[narrow]);
    assert_eq!(bench.running[0].subscription.as_deref(), Some("a/b"));
    bench.done("old");
    bench.pass(KEEP_ALIVE * 2, true);
    assert!(bench.end.is_none() && bench.pings() > 0);
    bench.copy("a/b", 2, "new", &[narrow]);
    assert_eq!((bench.admitted, bench.machine.metrics.filtered.get()), (1, 1));
    bench.turn();
    assert!(bench.take_sent().contains(&Sent::PubAck(2)));
}

/// A broker with a window of one sends the next message when it has read the acknowledgement, which may be after it has
/// answered a PINGREQ.
#[test]
fn a_queue_is_seen_empty_by_two_pings_with_room_before_each() {
    let (mut bench, [_, narrow]) = overlapping(&present());
    bench.copy("a/b", 1, "slow", &[narrow]);
    bench.pass(KEEP_ALIVE * 3 / 4, false);
    assert_eq!(bench.pings(), 1, "while the function runs");
    bench.done("slow");
    bench.pong();
    bench.copy("a/b", 2, "queued", &[narrow]);
    bench.done("queued");
    // Acknowledged with the PINGREQ right behind.
    let before = bench.pings();
    bench.pass(KEEP_ALIVE * 3 / 4, false);
    assert_eq!(bench.pings(), before + 1);
    bench.pong();
    bench.copy("a/b", 3, "queued, too", &[narrow]);
    assert_eq!((bench.admitted, bench.machine.metrics.filtered.get()), (3, 0));
}

/// Some brokers answer pings at once, and send a queue later.
#[test]
fn a_queue_is_not_seen_empty_by_answers_alone() {
    let former = vec!["former/topic".to_owned()];
    let mut bench = Bench::new(Settings { former_filters: former, ..with(Protocol::V5, &["a/#", "a/b"]) });
    bench.connect(&present());
    bench.suback_to(1, &[1]);
    bench.suback_to(3, &[1]);
    (0..ROUNDS).for_each(|_| bench.pong());
    let narrow = bench.machine.filters.id(1);
    bench.copy("a/b", 1, "queued", &[narrow]);
    assert_eq!((bench.admitted, bench.machine.metrics.filtered.get()), (1, 0));
}

/// Session Present may be wrong: nothing comes to a new session before it is subscribed.
#[test]
fn a_session_that_has_messages_before_it_is_subscribed_is_not_new() {
    let mut bench = Bench::new(with(Protocol::V5, &["a/#", "a/b"]));
    bench.connect(&fresh());
    let narrow = bench.machine.filters.id(1);
    bench.copy("a/b", 1, "kept", &[narrow]);
    bench.suback_to(1, &[1]);
    bench.suback_to(3, &[1]);
    bench.copy("a/b", 2, "kept, too", &[narrow]);
    assert_eq!((bench.admitted, bench.machine.metrics.filtered.get()), (2, 0));
    // One that comes between two SUBACKs is as it should be.
    let mut bench = Bench::new(with(Protocol::V5, &["a/#", "a/b"]));
    bench.connect(&fresh());
    bench.suback_to(1, &[1]);
    bench.copy("a/b", 1, "wide", &[bench.machine.filters.id(0)]);
    bench.suback_to(3, &[1]);
    bench.copy("a/b", 2, "spare", &[narrow]);
    assert_eq!((bench.admitted, bench.machine.metrics.filtered.get()), (1, 1));
}

/// A broker may have forgotten one of the subscriptions meanwhile, and say that the session is present.
#[test]
fn a_copy_on_a_new_connection_may_be_the_only_one_again() {
    let (mut bench, [_, narrow]) = overlapping(&fresh());
    bench.copy("a/b", 1, "spare", &[narrow]);
    assert_eq!((bench.admitted, bench.machine.metrics.filtered.get()), (0, 1));
    bench.reconnect(&present());
    bench.copy("a/b", 1, "alone", &[narrow]);
    assert_eq!((bench.admitted, bench.machine.metrics.filtered.get()), (1, 1));
}

/// It does not subscribe on a later connection, so no SUBACK shows that the broker still has the first filter.
#[test]
fn a_copy_for_a_session_that_leaves_may_be_the_only_one_on_its_next_connection() {
    let (mut bench, [_, narrow]) = overlapping(&fresh());
    bench.enter(Phase::Retiring);
    bench.reconnect(&present());
    (0..ROUNDS).for_each(|_| bench.pong());
    // In the moment in which it is going to unsubscribe.
    bench.now += QUIET;
    bench.pong();
    bench.copy("a/b", 1, "alone", &[narrow]);
    assert_eq!((bench.admitted, bench.machine.metrics.filtered.get()), (1, 0));
}

#[test]
fn a_session_that_leaves_unsubscribes_from_all_of_them() {
    both(|protocol| {
        let mut bench = Bench::new(Settings { leaves: true, ..with(protocol, &["a", "b"]) });
        bench.connect(&present());
        bench.pass(SECOND * 90, true);
        assert!(bench.take_sent().contains(&Sent::Unsubscribe));
        let packet = bench.packet(0xa2);
        assert!(packet.ends_with(b"\0\x01a\0\x01b"), "{packet:?}");
    });
}

#[test]
fn an_empty_queue_proves_nothing_of_filters_while_suback_is_due() {
    let patient = crate::mqtt::link::Link { connect_timeout: SECOND * 100, ..settings(Protocol::V5).link };
    let mut bench = Bench::new(Settings { link: patient, ..with(Protocol::V5, &["a/#", "a/b"]) });
    for _ in 0..2 {
        bench.reconnect(&present());
        bench.suback_to(1, &[1]);
        bench.suback_to(3, &[1]);
    }
    // The third time the broker has not answered: it may have forgotten the first filter meanwhile.
    bench.reconnect(&present());
    bench.pass(KEEP_ALIVE * 2, true);
    assert!(bench.pings() >= 2);
    let later = bench.machine.filters.id(1);
    bench.copy("a/b", 9, "x", &[later]);
    assert_eq!(bench.running.len(), 1, "it may be the only copy");
}
