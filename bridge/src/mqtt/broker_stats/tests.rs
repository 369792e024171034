//! What a broker may send to the reader of its count, in the bytes of MQTT 3.1.1: no socket, no clock.

use std::time::Duration;

use super::*;
use crate::config::{Protocol, Range};
use crate::metrics::Metrics;
use crate::mqtt::connector::InMemory;
use crate::shutdown::{self, Announcer};

const TOPIC: &str = "$SYS/broker/publish/messages/dropped";

/// A reader on a connection that was just accepted, what it counts, and who can end it.
struct Bench {
    stats: BrokerStats,
    metrics: Metrics,
    announcer: Announcer,
    now: StdInstant,
}

fn bench() -> Bench {
    let second = Duration::from_secs(1);
    let link = Link {
        client_id: "b-broker-stats".into(),
        protocol: Protocol::V311,
        keep_alive: 20 * second,
        connect_timeout: second,
        backoff: Range { min: second, max: second },
    };
    let connector = Connector::in_memory(InMemory::new(|_| Err(std::io::Error::other("not dialled here"))));
    let (metrics, (announcer, shutdown)) = (Metrics::new(), shutdown::channel());
    let mut stats = BrokerStats::new(link, TOPIC.into(), connector, metrics.broker(), shutdown);
    let now = StdInstant::now();
    let agreed = Agreed { version: String::new(), suite: String::new(), group: String::new(), alpn: None };
    stats.connected(&ConnAck::default(), &agreed, now);
    Bench { stats, metrics, announcer, now }
}

impl Bench {
    /// One turn over these bytes: what it answers.
    fn turn(&mut self, bytes: &[u8]) -> Result<Vec<u8>, End> {
        let (mut input, mut output) = (BytesMut::from(bytes), BytesMut::new());
        self.stats.received(bytes.len(), self.now);
        self.stats.turn(&mut input, &mut output, self.now).map(|()| output.to_vec())
    }

    fn shows(&self) -> Option<i64> {
        let text = self.metrics.render();
        text.lines().find_map(|line| line.strip_prefix("mqtt_lambda_bridge_mqtt_dropped_by_broker ")?.parse().ok())
    }
}

/// A PUBLISH at QoS 0.
fn publish(topic: &str, payload: &str) -> Vec<u8> {
    let length = u8::try_from(2 + topic.len() + payload.len()).unwrap();
    let topic_length = u8::try_from(topic.len()).unwrap();
    [&[0x30, length, 0, topic_length], topic.as_bytes(), payload.as_bytes()].concat()
}

#[test]
fn it_subscribes_once_at_qos_0_and_shows_what_the_broker_says() {
    let mut bench = bench();
    let subscribe = bench.turn(&[]).unwrap();
    assert_eq!((subscribe[0], subscribe.last()), (0x82, Some(&0)), "SUBSCRIBE that asks for QoS 0");
    assert!(String::from_utf8_lossy(&subscribe).contains(TOPIC));
    assert_eq!(bench.shows(), None, "it was told nothing");
    let suback = [0x90, 3, 0, 1, 0];
    assert_eq!(bench.turn(&[&suback[..], &publish(TOPIC, "15")].concat()).unwrap(), b"", "nothing is acknowledged");
    assert_eq!(bench.shows(), Some(15));
    bench.turn(&publish(TOPIC, "0")).unwrap();
    assert_eq!(bench.shows(), Some(0), "the broker was restarted");
}

#[test]
fn what_is_no_count_of_this_topic_changes_nothing() {
    let mut bench = bench();
    for (topic, payload) in
        [("other", "7"), (TOPIC, "many"), (TOPIC, "-1"), (TOPIC, ""), (TOPIC, "99999999999999999999")]
    {
        bench.turn(&publish(topic, payload)).unwrap();
        assert_eq!(bench.shows(), None, "{topic} {payload}");
    }
}

#[test]
fn where_the_broker_refuses_the_subscription_it_ends_for_good() {
    let mut bench = bench();
    assert!(matches!(bench.turn(&[0x90, 3, 0, 1, 0x80]), Err(End::Drained)));
    assert!(bench.stats.is_done());
}

#[test]
fn a_message_that_wants_an_acknowledgement_ends_the_connection() {
    let mut bench = bench();
    let at_qos_1 = [0x32, 6, 0, 1, b'a', 0, 9, b'1'];
    assert!(matches!(bench.turn(&at_qos_1), Err(End::Lost { lasting: false, .. })));
    assert!(!bench.stats.is_done());
}

#[test]
fn no_more_is_held_than_a_number_needs() {
    let mut bench = bench();
    let begins = [&[0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b'a'][..], &[0; 8]].concat();
    assert!(matches!(bench.turn(&begins), Err(End::Lost { .. })));
}

#[test]
fn a_bridge_that_drains_reads_no_more() {
    let mut bench = bench();
    bench.announcer.announce(Phase::Draining);
    assert!(matches!(bench.turn(&[]), Err(End::Drained)));
}

#[test]
fn a_silent_broker_is_pinged_and_then_left() {
    let mut bench = bench();
    bench.turn(&[]).unwrap();
    bench.stats.written(bench.now);
    let mut pings = 0;
    loop {
        bench.now = bench.stats.wakes(bench.now);
        match bench.turn(&[]) {
            Ok(said) if said == [0xc0, 0] => {
                pings += 1;
                bench.stats.written(bench.now);
            }
            Ok(said) => assert_eq!(said, b""),
            Err(End::Lost { .. }) => break,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(pings >= 1);
}
