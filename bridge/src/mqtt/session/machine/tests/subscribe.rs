//! F33, F34 and the rules of SUBACK.

use super::bench::{Bench, SECOND, Sent, both, fresh, present, settings};
use crate::config::Protocol;
use crate::mqtt::Settings;
use crate::mqtt::end::End;
use crate::mqtt::session::event::Event;

#[test]
fn f33_mqtt_5_subscribes_on_every_connection_and_mqtt_3_1_1_after_a_start_and_a_lost_session() {
    both(|protocol| {
        let mut bench = Bench::new(settings(protocol));
        bench.connect(&present());
        assert_eq!(bench.take_sent(), [Sent::Subscribe], "this process has seen no SUBACK");
        bench.suback(1);
        bench.reconnect(&present());
        let again = if protocol == Protocol::V5 { vec![Sent::Subscribe] } else { vec![] };
        assert_eq!(bench.take_sent(), again);
        if protocol == Protocol::V5 {
            bench.suback(1);
        }
        bench.reconnect(&fresh());
        assert_eq!(bench.take_sent(), [Sent::Subscribe]);
    });
}

#[test]
fn f33_a_session_that_an_unanswered_connect_may_have_made_is_subscribed_to() {
    let mut bench = Bench::new(settings(Protocol::V311));
    bench.connect(&fresh());
    bench.suback(1);
    bench.take_sent();
    bench.unanswered();
    bench.reconnect(&present());
    assert_eq!(bench.take_sent(), [Sent::Subscribe], "the session may be a new one");
    bench.suback(1);
    bench.reconnect(&present());
    assert_eq!(bench.take_sent(), [], "once is enough");
}

#[test]
fn mqtt_3_9_3_anything_but_the_qos_asked_for_is_a_fault_that_lasts() {
    both(|protocol| {
        for (code, words) in [(0, "grants QoS 0"), (0x80, "0x80")] {
            let mut bench = Bench::new(settings(protocol));
            bench.connect(&fresh());
            bench.suback(code);
            assert!(bench.is_lasting() && bench.why().contains(words), "{code}: {}", bench.why());
            assert!(matches!(bench.events[..], [Event::SubscriptionDenied { code: said, .. }] if said == code));
        }
    });
}

#[test]
fn what_the_broker_says_of_a_refusal_passes_the_gate() {
    let words = "no\n\u{1b}[31m quota";
    let mut properties = vec![0x1f, 0, u8::try_from(words.len()).unwrap()];
    properties.extend(words.as_bytes());
    let mut rest = vec![0, 1, u8::try_from(properties.len()).unwrap()];
    rest.extend(properties);
    rest.push(0x97);
    let mut packet = vec![0x90, u8::try_from(rest.len()).unwrap()];
    packet.extend(rest);
    let mut bench = Bench::new(settings(Protocol::V5));
    bench.connect(&fresh());
    bench.arrive(&packet);
    assert!(bench.why().ends_with("0x97 (quota exceeded): no\\n\\u{1b}[31m quota"), "{}", bench.why());
}

#[test]
fn a_suback_that_never_comes_ends_the_connection_and_one_behind_messages_does_not() {
    both(|protocol| {
        let mut bench = Bench::new(settings(protocol));
        bench.connect(&fresh());
        bench.pass(SECOND * 11, true);
        assert!(bench.why().starts_with("no SUBACK"), "{}", bench.why());

        // The window is full, so that nothing is read: no fault of the broker's, however long it takes.
        let mut bench = Bench::new(settings(protocol));
        bench.connect(&fresh());
        let window = bench.machine.settings.receive_maximum;
        for id in 1..=window {
            bench.publish(id, &id.to_string());
        }
        bench.pass(SECOND * 600, true);
        assert!(bench.end.is_none(), "{}", bench.why());
        assert_eq!(bench.events, [Event::SubscribedBehind { held: window.into() }], "at work, and so ready");
        for id in 1..=window {
            bench.done(&id.to_string());
        }
        bench.suback(1);
        assert_eq!(bench.events.last(), Some(&Event::Subscribed));
    });
}

#[test]
fn f34_messages_outside_the_filter_are_handled_counted_and_said_once() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.message("plant/data", 1, 1, "a", false);
        bench.message("plant/data", 1, 2, "b", false);
        bench.publish(3, "c");
        assert_eq!(bench.events, [Event::Unmatched { topic: "plant/data".into() }]);
        assert_eq!(bench.machine.metrics.unmatched.get(), 2);
        for payload in ["a", "b", "c"] {
            bench.done(payload);
        }
        assert_eq!(bench.take_sent(), [1, 2, 3].map(Sent::PubAck));
    });
}

#[test]
fn f34_a_former_filter_is_unsubscribed_once_its_queue_is_empty_also_without_a_session() {
    both(|protocol| {
        for connack in [fresh(), present()] {
            let former = vec!["plant/data".to_owned()];
            let mut bench = Bench::new(Settings { former_filters: former.clone(), ..settings(protocol) });
            bench.connect(&connack);
            bench.publish(1, "a");
            bench.suback(1);
            assert_eq!(bench.take_sent(), [Sent::Subscribe], "something is held");
            bench.done("a");
            assert_eq!((bench.pings(), bench.take_sent()), (1, vec![Sent::PubAck(1)]));
            bench.prove_again();
            assert_eq!(bench.take_sent(), [Sent::Unsubscribe]);
            bench.unsuback(1);
            assert!(bench.events.contains(&Event::Unsubscribed { former, all: false }));
            bench.pass(SECOND * 60, true);
            assert_eq!(bench.take_sent(), [], "once");
            assert!(bench.end.is_none());
        }
    });
}

#[test]
fn f35_a_broker_that_hangs_up_on_subscribe_denies_it_and_is_no_other_client() {
    both(|protocol| {
        let mut bench = Bench::new(settings(protocol));
        bench.connect(&fresh());
        bench.end = Some(End::from(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "closed")));
        bench.disconnect();
        assert!(bench.why().contains("SUBSCRIBE `sensor/data`"), "{}", bench.why());
        assert!(matches!(bench.end, Some(End::Lost { closed: false, .. })));
    });
}

#[test]
fn each_reason_of_a_refused_subscription_has_words_of_its_own() {
    let words = [0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa2].map(|code| {
        let mut bench = Bench::new(settings(Protocol::V5));
        bench.connect(&fresh());
        bench.suback(code);
        let why = bench.why();
        assert!(why.contains(&format!("0x{code:02x} (")), "{why}");
        why.split_once('(').unwrap().1.to_owned()
    });
    let distinct: std::collections::HashSet<_> = words.iter().collect();
    assert_eq!(distinct.len(), words.len(), "{words:?}");
}
