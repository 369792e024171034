//! Wrong and correct values of Session Present.

use super::bench::{Bench, SECOND, both, fresh, settings};
use crate::config::Protocol;
use crate::mqtt::session::event::Event;

fn lost(bench: &mut Bench) -> Vec<Event> {
    let is_about = |event: &Event| matches!(event, Event::SessionLost { .. } | Event::SessionDenied);
    std::mem::take(&mut bench.events).into_iter().filter(is_about).collect()
}

#[test]
fn f8_a_session_lost_with_messages_in_flight_is_said_five_seconds_after_suback() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "a");
        bench.reconnect(&fresh());
        bench.pass(SECOND * 8, true);
        assert_eq!(lost(&mut bench), [], "SUBACK is not there");
        bench.suback(1);
        bench.pass(SECOND * 4, true);
        assert_eq!(lost(&mut bench), []);
        bench.pass(SECOND * 2, true);
        assert_eq!(lost(&mut bench), [Event::SessionLost { unacknowledged: 1, usual: false }]);
        assert_eq!(bench.machine.metrics.session_lost.get(), 1);
        bench.done("a");
        assert_eq!((bench.take_sent().len(), bench.machine.metrics.stale.get()), (1, 1), "SUBSCRIBE alone");
    });
}

#[test]
fn f8_where_nothing_was_in_flight_it_is_said_at_once() {
    let mut bench = Bench::ready(Protocol::V5);
    bench.publish(1, "a");
    bench.done("a");
    bench.reconnect(&fresh());
    assert_eq!(lost(&mut bench), [Event::SessionLost { unacknowledged: 0, usual: false }]);
}

#[test]
fn the_first_connection_of_a_process_has_nothing_to_lose() {
    let mut bench = Bench::new(settings(Protocol::V5));
    bench.connect(&fresh());
    assert_eq!(lost(&mut bench), []);
}

#[test]
fn a_message_sent_again_under_its_id_cancels_the_alarm_and_later_ones_are_usual() {
    both(|protocol| {
        let mut bench = Bench::ready(protocol);
        bench.publish(1, "a");
        bench.reconnect(&fresh());
        bench.suback(1);
        bench.again(1, "a");
        bench.pass(SECOND * 10, true);
        assert_eq!(lost(&mut bench), [Event::SessionDenied]);
        bench.done("a");
        assert_eq!((bench.admitted, bench.machine.metrics.session_lost.get()), (1, 0));
        bench.reconnect(&fresh());
        assert_eq!(lost(&mut bench), [Event::SessionLost { unacknowledged: 0, usual: true }]);
        assert_eq!(bench.machine.metrics.session_lost.get(), 0);
    });
}

#[test]
fn while_nothing_is_read_the_broker_is_not_believed() {
    let mut bench = Bench::ready(Protocol::V5);
    bench.publish(1, "a");
    bench.reconnect(&fresh());
    bench.suback(1);
    bench.pause(true);
    bench.pass(SECOND * 60, true);
    assert_eq!(lost(&mut bench), []);
    bench.pause(false);
    bench.pass(SECOND * 6, true);
    assert_eq!(lost(&mut bench).len(), 1);
}
