//! Signs of life of the broker, and ours.

use super::bench::{Bench, KEEP_ALIVE, SECOND, both};

#[test]
fn a_packet_that_takes_longer_than_keep_alive_is_a_sign_of_life() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        // The begin of a PUBLISH of 200,000 bytes; then 2 KiB of it a second.
        bench.arrive(&[0x32, 0xc0, 0x9a, 0x0c]);
        for _ in 0..3 * KEEP_ALIVE.as_secs() {
            bench.pass(SECOND, false);
            bench.arrive(&[0; 2048]);
        }
        assert!(bench.end.is_none(), "{}", bench.why());
    });
}

#[test]
fn a_session_that_writes_has_no_need_to_ping() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        for id in 1..=60 {
            bench.publish(id, "x");
            bench.done("x");
            bench.pass(SECOND, false);
        }
        assert_eq!((bench.pings(), bench.end.is_none()), (0, true));
    });
}

#[test]
fn a_silent_line_is_pinged_also_when_the_turn_comes_late() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.now += KEEP_ALIVE;
        bench.turn();
        assert_eq!(bench.pings(), 1);
    });
}
