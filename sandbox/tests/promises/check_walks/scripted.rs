//! Brokers that grant less than requested, or nothing, and what `check` reports.

use super::walk;
use crate::common::{side_by_side, willing};
use bridge::config::Protocol;
use sandbox::scripted::{ConnAck, Packet, Peer, ScriptError, Scripted};
use sandbox::world::World;

/// What a broker answers, and what must be said of it.
#[derive(Clone)]
pub struct Row {
    name: &'static str,
    protocol: Protocol,
    connack: fn() -> ConnAck,
    /// Without it CONNECT stays without an answer.
    answers: bool,
    suback: u8,
    puback: u8,
    is_websocket: bool,
    keys: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    pub code: i32,
    says: &'static [&'static str],
}

const ROW: Row = Row {
    name: "",
    protocol: Protocol::V5,
    connack: ConnAck::fresh,
    answers: true,
    suback: 1,
    puback: 0,
    is_websocket: false,
    keys: &[],
    arguments: &[],
    code: 1,
    says: &[],
};

pub fn brokers() -> Vec<Row> {
    [subscribers(), publishers(), by_the_old_protocol()].concat()
}

/// MQTT 3.1.1 has fewer reasons.
fn by_the_old_protocol() -> Vec<Row> {
    let old = Row { protocol: Protocol::V311, ..ROW };
    vec![
        Row {
            name: "3.1.1, not authorized",
            connack: || ConnAck::refused(5),
            says: &["ok   tls", "FAIL connect", "authentication failed"],
            ..old.clone()
        },
        Row {
            name: "3.1.1, a subscription that is denied",
            suback: 0x80,
            says: &["ok   connect", "FAIL subscribe", "hint: check the broker's access list"],
            ..old.clone()
        },
        Row {
            name: "3.1.1, a lower QoS",
            suback: 0,
            says: &["FAIL subscribe", "the broker grants QoS 0 where QoS 1 was asked"],
            ..old.clone()
        },
        Row {
            name: "3.1.1, a topic for dead letters that takes them",
            keys: &[("mapping.on_failure.topic", "dead/letters"), ("mapping.topic_filter", "sensor/+")],
            arguments: &["--probe"],
            code: 0,
            says: &["ok   failure destination", "topic `dead/letters`: the broker has confirmed a message"],
            ..old
        },
    ]
}

/// CONNACK and SUBACK.
fn subscribers() -> Vec<Row> {
    let session = || ConnAck::fresh().session_expiry(60).server_keep_alive(7).max_qos(1).max_packet_size(4096);
    vec![
        Row {
            name: "less than was asked",
            connack: session,
            code: 0,
            says: &[
                "warn connect",
                "sessions are kept for 1m, the broker wants a keep alive of 7s, QoS up to 1 may be published, packets of up to 4096",
                "hint: the broker keeps a session for 1m, not for",
            ],
            ..ROW
        },
        Row {
            name: "not authorized",
            connack: || ConnAck::refused(0x87),
            says: &[
                "ok   tls",
                "FAIL connect",
                "authentication failed",
                "if the broker wants one, set `mqtt.username`",
            ],
            ..ROW
        },
        Row {
            name: "banned",
            connack: || ConnAck::refused(0x8a),
            says: &["ok   tls", "FAIL connect", "refused"],
            ..ROW
        },
        Row { name: "no CONNACK", answers: false, says: &["ok   tls", "FAIL connect", "no CONNACK within 10s"], ..ROW },
        Row { name: "no WebSocket", is_websocket: true, says: &["ok   tls", "FAIL websocket", "websocket: "], ..ROW },
        Row {
            name: "a subscription that is denied",
            suback: 0x87,
            says: &["ok   connect", "FAIL subscribe", "reason 0x87", "hint: check the broker's access list"],
            ..ROW
        },
        Row {
            name: "a lower QoS",
            suback: 0,
            says: &["FAIL subscribe", "the broker grants QoS 0 where QoS 1 was asked"],
            ..ROW
        },
        Row {
            name: "no shared subscriptions",
            connack: || ConnAck::fresh().without_shared(),
            keys: &[("mapping.topic_filter", "$share/group/sensor/data")],
            says: &[
                "ok   connect",
                "FAIL subscribe",
                "the broker has no shared subscriptions",
                "a filter without $share",
            ],
            ..ROW
        },
        Row {
            name: "no wildcards",
            connack: || ConnAck::fresh().without_wildcards(),
            keys: &[("mapping.topic_filter", "sensor/#")],
            says: &[
                "ok   connect",
                "FAIL subscribe",
                "the broker takes no wildcards",
                "hint: name the topics one by one",
            ],
            ..ROW
        },
    ]
}

/// Brokers that restrict publishing.
fn publishers() -> Vec<Row> {
    vec![
        Row {
            name: "a probe that may not be published",
            puback: 0x87,
            arguments: &["--probe"],
            says: &[
                "ok   subscribe",
                "FAIL probe",
                "publish to `sensor/data`",
                "hint: the client needs the right to publish",
            ],
            ..ROW
        },
        Row {
            name: "a topic for dead letters that may not be published to",
            puback: 0x87,
            keys: &[("mapping.on_failure.topic", "dead/letters"), ("mapping.topic_filter", "sensor/+")],
            arguments: &["--probe"],
            says: &["warn probe", "FAIL failure destination", "publish to `dead/letters`"],
            ..ROW
        },
        Row {
            name: "a topic for dead letters that takes them",
            keys: &[("mapping.on_failure.topic", "dead/letters"), ("mapping.topic_filter", "sensor/+")],
            arguments: &["--probe"],
            code: 0,
            says: &["ok   failure destination", "topic `dead/letters`: the broker has confirmed a message"],
            ..ROW
        },
        Row {
            name: "a topic for dead letters that nobody reads",
            puback: 0x10,
            keys: &[("mapping.on_failure.topic", "dead/letters"), ("mapping.topic_filter", "sensor/+")],
            arguments: &["--probe"],
            says: &[
                "FAIL failure destination",
                "topic `dead/letters`: nobody is subscribed to it",
                "`mapping.on_unread_letter = \"accept\"`",
            ],
            ..ROW
        },
        Row {
            name: "a topic for dead letters that a rule of the broker reads",
            puback: 0x10,
            keys: &[
                ("mapping.on_failure.topic", "dead/letters"),
                ("mapping.on_unread_letter", "accept"),
                ("mapping.topic_filter", "sensor/+"),
            ],
            arguments: &["--probe"],
            code: 0,
            says: &["ok   failure destination", "topic `dead/letters`: the broker has confirmed a message"],
            ..ROW
        },
        Row {
            name: "a topic for dead letters without a probe",
            keys: &[("mapping.on_failure.topic", "dead/letters")],
            code: 0,
            says: &["warn failure destination", "topic `dead/letters`: not tried", "hint: --probe publishes one"],
            ..ROW
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_grants_has_its_line() {
    let rows = brokers().into_iter().map(|row| (row.name.to_owned(), Box::pin(row_of(row))));
    side_by_side(rows.collect()).await;
}

async fn row_of(row: Row) {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    world.set("mqtt.protocol", &row.protocol.to_string());
    let broker = Scripted::start(&world.files, row.protocol).await.unwrap();
    let url = broker.url().to_string();
    let url = if row.is_websocket { url.replace("mqtts:", "wss:") + "/mqtt" } else { url };
    world.set("mqtt.url", &url);
    if row.keys.iter().any(|(key, _)| key.starts_with("mapping.on_failure")) {
        world.unset("mapping.on_failure.file");
    }
    row.keys.iter().for_each(|(key, value)| world.set(key, value));
    let serve = async {
        loop {
            let peer = broker.accept().await.unwrap();
            tokio::spawn(answer(peer, row.clone()));
        }
    };
    let output = tokio::select! {
        output = walk(&world, &[], row.arguments) => output,
        () = serve => unreachable!("it serves for ever"),
    };
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(row.code), "{}: {text}", row.name);
    for part in row.says {
        assert!(text.contains(part), "{}: `{part}` is missing in\n{text}", row.name);
    }
    // A check under the bridge's own client id would take over its session.
    for heard in broker.heard() {
        if let Packet::Connect(connect) = heard.packet {
            assert!(connect.client_id.contains("-check") && connect.clean_start, "{connect:?}");
        }
    }
}

/// Answers until the client disconnects.
async fn answer(mut peer: Peer, row: Row) -> Result<(), ScriptError> {
    if !row.answers {
        return std::future::pending().await;
    }
    peer.greet(&(row.connack)()).await?;
    loop {
        match peer.next("a packet").await? {
            Packet::Subscribe(asked) => peer.suback(asked.packet_id, &[row.suback]).await?,
            Packet::Publish { packet_id, .. } => peer.puback(packet_id, row.puback).await?,
            Packet::Disconnect(..) => return peer.close().await,
            _ => {}
        }
    }
}
