//! F30 to F32: what CONNACK grants is used, or reported.

use std::time::Duration;

use super::bench::{Bench, KEEP_ALIVE, SECOND, Sent, both, fresh, present, settings};
use crate::config::{Protocol, Qos};
use crate::mqtt::packet::{ConnAck, Limits};
use crate::mqtt::session::event::Event;
use crate::shutdown::Phase;

#[test]
fn f30_a_shorter_session_expiry_and_none_at_all_are_said() {
    let asked = SECOND * 3600;
    for (granted, said) in [
        (None, None),
        (Some(3600), None),
        (Some(7200), None),
        (Some(300), Some(Event::SessionExpiryShortened { asked, granted: SECOND * 300 })),
        (Some(0), Some(Event::SessionExpiryRefused { asked })),
    ] {
        let mut bench = Bench::new(settings(Protocol::V5));
        bench.connect(&ConnAck { session_expiry: granted.map(Duration::from_secs), ..fresh() });
        assert_eq!(bench.events, Vec::from_iter(said), "{granted:?}");
        bench.reconnect(&ConnAck { session_expiry: granted.map(Duration::from_secs), ..present() });
        let again = bench.events.iter().filter(|event| !matches!(event, Event::SessionLost { .. })).count();
        assert_eq!(again, 2 * usize::from(granted.is_some_and(|seconds| seconds < 3600)), "on every connection");
    }
}

#[test]
fn f30_the_expiry_of_a_session_that_leaves_concerns_nobody() {
    let mut bench = Bench::ready(Protocol::V5);
    bench.enter(Phase::Retiring);
    bench.prove();
    assert_eq!(bench.take_sent().last(), Some(&Sent::Unsubscribe));
    bench.reconnect(&ConnAck { session_expiry: Some(Duration::ZERO), ..present() });
    let said = bench.events.iter().any(|event| matches!(event, Event::SessionExpiryRefused { .. }));
    assert!(!said, "{:?}", bench.events);
}

#[test]
fn f31_what_the_subscription_needs_and_the_broker_has_not_is_a_refusal_that_lasts_before_subscribe() {
    let without_shares = ConnAck { shared_available: false, ..fresh() };
    let without_wildcards = ConnAck { wildcard_available: false, ..fresh() };
    for (filter, connack, refused) in [
        ("$share/g/sensor/data", &without_shares, Some("shared subscriptions")),
        ("sensor/+", &without_wildcards, Some("wildcards")),
        ("$share/g/#", &without_wildcards, Some("wildcards")),
        ("sensor/data", &without_shares, None),
        ("sensor/data", &without_wildcards, None),
        ("sensor/data", &ConnAck { subscription_ids_available: false, ..fresh() }, None),
    ] {
        let mut bench = Bench::new(crate::mqtt::Settings {
            topic_filters: vec![filter.parse().unwrap()],
            ..settings(Protocol::V5)
        });
        bench.connect(connack);
        match refused {
            Some(words) => {
                assert!(bench.is_lasting() && bench.why().contains(words), "{filter}: {}", bench.why());
                assert_eq!(bench.sent, [], "{filter}");
            }
            None => {
                assert_eq!((bench.sent.as_slice(), bench.end.is_none()), (&[Sent::Subscribe][..], true), "{filter}");
            }
        }
    }
}

#[test]
fn f32_a_dead_line_is_noticed_whatever_keep_alive_the_server_names() {
    for (theirs, within) in
        [(None, KEEP_ALIVE), (Some(0), KEEP_ALIVE), (Some(65_535), KEEP_ALIVE), (Some(4), SECOND * 4)]
    {
        let mut bench = Bench::new(settings(Protocol::V5));
        bench.connect(&ConnAck { keep_alive: theirs.map(Duration::from_secs), ..fresh() });
        bench.suback(1);
        let begun = bench.now;
        bench.pass(KEEP_ALIVE * 3, false);
        assert!(bench.why().contains("silent"), "{theirs:?}: {}", bench.why());
        assert!(bench.now - begun <= within * 3 / 2, "{theirs:?}: after {:?}", bench.now - begun);
    }
}

#[test]
fn f32_a_broker_that_answers_lives() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.pass(KEEP_ALIVE * 10, true);
        assert!(bench.end.is_none(), "{}", bench.why());
        assert!(bench.pings() >= 10);
    });
}

#[test]
fn a_maximum_qos_below_the_one_asked_for_is_said() {
    for (most, asked, said) in [
        (Qos::ExactlyOnce, Qos::ExactlyOnce, None),
        (Qos::AtLeastOnce, Qos::AtLeastOnce, None),
        (Qos::AtLeastOnce, Qos::ExactlyOnce, Some(Event::QosLimited { asked: 2, most: 1 })),
        (Qos::AtMostOnce, Qos::AtLeastOnce, Some(Event::QosLimited { asked: 1, most: 0 })),
    ] {
        let mut bench = Bench::new(crate::mqtt::Settings { qos: asked, ..settings(Protocol::V5) });
        bench.connect(&ConnAck { limits: Limits { max_qos: most, ..Limits::default() }, ..fresh() });
        assert_eq!(bench.events, Vec::from_iter(said), "{asked:?}");
        assert_eq!(bench.sent, [Sent::Subscribe], "the SUBACK decides: MQTT 5, 3.2.2.3.4");
    }
}

#[test]
fn another_client_id_is_said() {
    let mut bench = Bench::new(settings(Protocol::V5));
    bench.connect(&ConnAck { assigned_client_id: Some("other".into()), ..fresh() });
    assert_eq!(bench.events, [Event::ClientIdAssigned { assigned: "other".into() }]);
}
