//! The rules of MQTT that show in the bytes of a packet, or in the one byte of a DISCONNECT.

use bytes::BytesMut;

use super::bench::{Bench, both, fresh, settings};
use crate::config::Protocol;
use crate::delivery::Outcome;
use crate::mqtt::end::End;
use crate::mqtt::packet::Auth;
use crate::mqtt::wire::Wire;

/// Session Expiry Interval and Receive Maximum (MQTT 5, 3.1.2.11.2 and 3.1.2.11.3).
const ASKED_FOR: [u8; 8] = [0x11, 0, 0, 0x0e, 0x10, 0x21, 0, 4];

#[test]
fn mqtt_3_1_2_24_connect_asks_for_no_maximum_packet_size_and_no_topic_alias() {
    let bench = Bench::new(settings(Protocol::V5));
    let mut connect = BytesMut::new();
    let auth = Auth { username: None, password: None };
    Wire(Protocol::V5).connect(&bench.machine.hello(), &auth, &mut connect).unwrap();
    // Behind the fixed header, protocol name, version, flags and keep-alive: the properties with their length.
    let properties = &connect[12..][..=usize::from(connect[12])];
    assert_eq!(properties, [&[8], &ASKED_FOR[..]].concat());
}

#[test]
fn mqtt_3_8_3_subscribe_repeats_no_retained_message_and_has_no_no_local() {
    for (protocol, options) in [(Protocol::V5, 0x11), (Protocol::V311, 0x01)] {
        let mut bench = Bench::new(settings(protocol));
        bench.connect(&fresh());
        // QoS 1; No Local and Retain As Published 0; Retain Handling 1 (MQTT 5, 3.8.3.1).
        assert_eq!(bench.packet(0x82).last(), Some(&options), "{protocol}");
    }
}

#[test]
fn mqtt_4_4_0_2_puback_has_no_reason_whatever_the_outcome() {
    both(|protocol| {
        for outcome in [Outcome::Delivered, Outcome::Filtered, Outcome::DeadLettered, Outcome::Expired] {
            let mut bench = Bench::ready(protocol);
            bench.publish(7, "a");
            bench.settle("a", outcome);
            assert_eq!(bench.packet(0x40), [0, 7], "two bytes mean success (MQTT 5, 3.4.2.1)");
        }
    });
}

#[test]
fn mqtt_3_14_a_disconnect_says_whether_to_come_back_soon_later_or_not_to_fight() {
    // Taken over; not authorized, use another server, server moved; busy, quota exceeded, shutting down.
    for (code, lasts, taken) in [
        (0x8e, true, true),
        (0x87, true, false),
        (0x9c, true, false),
        (0x9d, true, false),
        (0x89, false, false),
        (0x97, false, false),
        (0x8b, false, false),
    ] {
        let mut bench = Bench::ready(Protocol::V5);
        bench.arrive(&[0xe0, 1, code]);
        let Some(End::Lost { lasting, taken_over, .. }) = bench.end else { panic!("{code:#x}: {:?}", bench.end) };
        assert_eq!((lasting, taken_over), (lasts, taken), "{code:#x}");
    }
}
