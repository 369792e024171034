//! What a broker may send to the status client, in the bytes of both versions: no socket, no clock.

use super::*;
use crate::config::Range;
use crate::mqtt::connector::InMemory;
use crate::shutdown::{self, Announcer};

/// A teller on a connection that was just accepted, and those who have something to tell.
struct Bench {
    teller: StatusTopic,
    say: watch::Sender<Option<Bytes>>,
    announcer: Announcer,
    now: StdInstant,
}

fn bench(protocol: Protocol, limits: Limits) -> Bench {
    let second = Duration::from_secs(1);
    let link = Link {
        client_id: "b-bridge-status".into(),
        protocol,
        keep_alive: 20 * second,
        connect_timeout: second,
        backoff: Range { min: second, max: second },
    };
    let connector = Connector::in_memory(InMemory::new(|_| Err(std::io::Error::other("not dialled here"))));
    let (say, online) = watch::channel(None);
    let (announcer, shutdown) = shutdown::channel();
    let told = Told { topic: "t".into(), offline: "off".into(), will_delay: 5 * second };
    let teller = StatusTopic::new(link, told, online, connector, shutdown);
    let mut bench = Bench { teller, say, announcer, now: StdInstant::now() };
    bench.connect(limits);
    bench
}

impl Bench {
    fn connect(&mut self, limits: Limits) {
        let agreed = Agreed { version: String::new(), suite: String::new(), group: String::new(), alpn: None };
        self.teller.connected(&ConnAck { limits, ..ConnAck::default() }, &agreed, self.now);
    }

    /// One turn over these bytes: what it sends.
    fn turn(&mut self, bytes: &[u8]) -> Result<Vec<u8>, End> {
        let (mut input, mut output) = (BytesMut::from(bytes), BytesMut::new());
        self.teller.received(bytes.len(), self.now);
        self.teller.turn(&mut input, &mut output, self.now).map(|()| output.to_vec())
    }

    fn say(&mut self, text: &'static str) {
        self.say.send_replace(Some(text.into()));
    }
}

const NOTHING: [u8; 0] = [];
const PUBACK: [u8; 4] = [0x40, 2, 0, 1];

/// A retained PUBLISH at QoS 1 to `t`.
fn told(protocol: Protocol, text: &str) -> Vec<u8> {
    let properties: &[u8] = if protocol == Protocol::V5 { &[0] } else { &[] };
    let length = u8::try_from(5 + properties.len() + text.len()).unwrap();
    [&[0x33, length, 0, 1, b't', 0, 1], properties, text.as_bytes()].concat()
}

#[test]
fn it_tells_what_is_new_once_it_is_confirmed_what_was_before_and_the_end_before_goodbye() {
    for protocol in [Protocol::V5, Protocol::V311] {
        let mut bench = bench(protocol, Limits::default());
        assert_eq!(bench.turn(&[]).unwrap(), NOTHING, "it was never ready");
        bench.say("one");
        assert_eq!(bench.turn(&[]).unwrap(), told(protocol, "one"));
        bench.say("two");
        bench.say("three");
        assert_eq!(bench.turn(&[]).unwrap(), NOTHING, "one at a time");
        assert_eq!(bench.turn(&PUBACK).unwrap(), told(protocol, "three"));
        bench.announcer.announce(Phase::Draining);
        assert_eq!(bench.turn(&PUBACK).unwrap(), NOTHING, "lanes still work");
        bench.announcer.announce(Phase::Stopping);
        assert!(!bench.teller.is_done(), "it has something to say");
        assert_eq!(bench.turn(&[]).unwrap(), told(protocol, "off"));
        assert!(matches!(bench.turn(&PUBACK), Err(End::Drained)));
    }
}

#[test]
fn a_new_connection_is_told_again() {
    let mut bench = bench(Protocol::V5, Limits::default());
    bench.say("one");
    bench.turn(&[]).unwrap();
    bench.teller.disconnected(End::lost("reset"));
    bench.connect(Limits::default());
    assert_eq!(bench.turn(&[]).unwrap(), told(Protocol::V5, "one"));
}

#[test]
fn a_broker_that_is_left_for_a_preferred_one_is_told_first() {
    let mut bench = bench(Protocol::V5, Limits::default());
    bench.say("one");
    bench.turn(&[]).unwrap();
    bench.turn(&PUBACK).unwrap();
    assert!(!bench.teller.go_back(bench.now), "it has something to say");
    assert_eq!(bench.turn(&[]).unwrap(), told(Protocol::V5, "off"));
    assert!(matches!(bench.turn(&PUBACK), Err(End::Renewed)));
    bench.connect(Limits::default());
    assert_eq!(bench.turn(&[]).unwrap(), told(Protocol::V5, "one"));
}

#[test]
fn a_bridge_that_was_never_ready_says_nothing_at_its_end() {
    let mut bench = bench(Protocol::V5, Limits::default());
    bench.announcer.announce(Phase::Stopping);
    assert!(matches!(bench.turn(&[]), Err(End::Drained)));
}

#[test]
fn a_broker_that_does_not_take_it_is_left_alone() {
    let mut refused = bench(Protocol::V5, Limits::default());
    refused.say("one");
    refused.turn(&[]).unwrap();
    assert!(matches!(refused.turn(&[0x40, 3, 0, 1, 0x87]), Err(End::Drained)));
    assert!(refused.teller.is_done() && refused.teller.said);

    let mut forgetful = bench(Protocol::V5, Limits { retain: false, ..Limits::default() });
    forgetful.say("one");
    assert!(matches!(forgetful.turn(&[]), Err(End::Drained)));
    assert!(forgetful.teller.is_done());
}

#[test]
fn a_broker_of_qos_0_gets_qos_0() {
    let mut bench = bench(Protocol::V311, Limits { max_qos: Qos::AtMostOnce, ..Limits::default() });
    bench.say("one");
    assert_eq!(bench.turn(&[]).unwrap(), [0x31, 6, 0, 1, b't', b'o', b'n', b'e']);
    bench.announcer.announce(Phase::Stopping);
    assert_eq!(bench.turn(&[]).unwrap(), [0x31, 6, 0, 1, b't', b'o', b'f', b'f']);
    assert!(matches!(bench.turn(&[]), Err(End::Drained)));
}

#[test]
fn connect_carries_the_will_and_under_mqtt_5_a_session_that_lives_as_long_as_it_waits() {
    for (protocol, flags) in [(Protocol::V5, 0x2c), (Protocol::V311, 0x2e)] {
        let bench = bench(protocol, Limits::default());
        let (mut out, hello) = (BytesMut::new(), bench.teller.hello(0));
        Wire(protocol).connect(&hello, &crate::mqtt::packet::Auth::default(), &mut out).unwrap();
        assert_eq!(out[9], flags, "retained, QoS 1, and a clean start under MQTT 3.1.1 alone");
        let will: &[u8] =
            if protocol == Protocol::V5 { b"\x05\x18\0\0\0\x05\0\x01t\0\x03off" } else { b"\0\x01t\0\x03off" };
        assert!(out.ends_with(will), "{out:02x?}");
        assert_eq!(hello.session_expiry, Duration::from_secs(5));
    }
}
