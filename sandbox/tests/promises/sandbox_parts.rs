//! The parts of the sandbox work: both brokers, under both versions of MQTT, and the sensors.
//!
//! What the end-to-end tests build on is checked here, so that a failure there points at the bridge.

use crate::subscriber;
use std::io;
use std::time::Duration;

use crate::subscriber::{Subscriber, Want};
use sandbox::broker::{Broker, BrokerError, BrokerOptions};
use sandbox::certs::{Leaf, Pki, PkiFiles, PkiOptions, Role, SignedBy};
use sandbox::scripted::{ConnAck, Packet, Scripted};
use sandbox::sensors::{Counts, Protocol, SensorOptions, Sensors, mosquitto_pub};
use sandbox::tools;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_mins(3);
const TOPIC: &str = "sensor/data";
const PROTOCOLS: [Protocol; 2] = [Protocol::V5, Protocol::V311];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Embedded,
    Mosquitto,
}

/// Those that are there: the embedded one always.
fn kinds() -> Vec<Kind> {
    let mosquitto = tools::require("mosquitto").map(|_| Kind::Mosquitto);
    [Some(Kind::Embedded), mosquitto].into_iter().flatten().collect()
}

struct World {
    broker: Broker,
    files: PkiFiles,
    directory: TempDir,
}

impl World {
    async fn start(kind: Kind, options: BrokerOptions) -> Self {
        Self::with(kind, options, &PkiOptions::default()).await
    }

    async fn with(kind: Kind, options: BrokerOptions, pki: &PkiOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = Pki::with(pki).unwrap().write_to(directory.path()).unwrap();
        let broker = start(kind, &files, options).await.unwrap();
        Self { broker, files, directory }
    }

    fn sensors(&self, protocol: Protocol) -> SensorOptions {
        SensorOptions { protocol, rate: f64::INFINITY, ..SensorOptions::new(self.broker.url(), self.files.clone()) }
    }

    async fn subscriber(&self, want: Want) -> Subscriber {
        Subscriber::start(self.broker.port(), &self.files, want, TOPIC).await
    }

    /// Publishes `total` messages and waits for their PUBACKs.
    async fn publish(&self, protocol: Protocol, total: u64) {
        let mut sensors = Sensors::start(&SensorOptions { total: Some(total), ..self.sensors(protocol) }).unwrap();
        timeout(PATIENCE, sensors.finished()).await.expect("all PUBACKs in time");
        assert_eq!(sensors.acked(), total);
    }
}

async fn start(kind: Kind, files: &PkiFiles, options: BrokerOptions) -> Result<Broker, BrokerError> {
    match kind {
        Kind::Embedded => Broker::embedded(files, options).await,
        Kind::Mosquitto => Broker::mosquitto(files, options).await,
    }
}

fn persistent() -> BrokerOptions {
    BrokerOptions { persistence: true, ..BrokerOptions::default() }
}

/// Whether the broker lets in a client with these files: TLS 1.3 reports a missing certificate at the first read.
async fn lets_in(world: &World, tls: rustls::ClientConfig) -> io::Result<()> {
    const CONNECT: &[u8] = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03abc";
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls));
    let stream = TcpStream::connect(("127.0.0.1", world.broker.port())).await?;
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await?;
    stream.write_all(CONNECT).await?;
    let mut connack = [0; 4];
    timeout(PATIENCE, stream.read_exact(&mut connack)).await.expect("an answer")?;
    assert_eq!(connack, [0x20, 2, 0, 0]);
    Ok(())
}

#[tokio::test]
async fn brokers_let_in_nobody_without_a_certificate() {
    for kind in kinds() {
        let world = World::start(kind, BrokerOptions::default()).await;
        let good = world.files.client_config(&world.files.device).unwrap();
        lets_in(&world, good).await.unwrap();

        let pki = Pki::generate().unwrap();
        let stranger = pki.issue(&Leaf { signed_by: SignedBy::Stranger, ..Leaf::client("device") }).unwrap();
        let stranger = stranger.write_to(world.directory.path(), "stranger").unwrap();
        let stranger = world.files.client_config(&stranger).unwrap();
        assert!(lets_in(&world, stranger).await.is_err(), "{kind:?}");

        let mut nobody = world.files.client_config(&world.files.device).unwrap();
        nobody.client_auth_cert_resolver = std::sync::Arc::new(NoCertificate);
        assert!(lets_in(&world, nobody).await.is_err(), "{kind:?}");
    }
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<std::sync::Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn brokers_speak_no_plain_mqtt() {
    for kind in kinds() {
        let world = World::start(kind, BrokerOptions::default()).await;
        let mut stream = TcpStream::connect(("127.0.0.1", world.broker.port())).await.unwrap();
        stream.write_all(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03abc").await.unwrap();
        let mut answer = Vec::new();
        // Reset or end, perhaps after a TLS alert (0x15): never a CONNACK (0x20).
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
        assert!(answer.first().is_none_or(|first| *first == 0x15), "{kind:?}: {answer:?}");
    }
}

#[tokio::test]
async fn mosquitto_refuses_a_revoked_certificate() {
    if tools::require("mosquitto").is_none() {
        return;
    }
    let options = BrokerOptions { check_revocation: true, ..BrokerOptions::default() };
    let pki = PkiOptions { revoked: vec![Role::Device], ..PkiOptions::default() };
    let world = World::with(Kind::Mosquitto, options, &pki).await;
    lets_in(&world, world.files.client_config(&world.files.bridge).unwrap()).await.unwrap();
    assert!(lets_in(&world, world.files.client_config(&world.files.device).unwrap()).await.is_err());
}

#[tokio::test]
async fn a_broker_says_why_it_does_not_start() {
    for kind in kinds() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Pki::generate().unwrap().write_to(directory.path()).unwrap();
        files.broker.cert = directory.path().join("gone.crt");
        let error = start(kind, &files, BrokerOptions::default()).await.unwrap_err().to_string();
        assert!(error.contains("did not start"), "{error}");
        // The embedded one names no file, only what is wrong with it.
        assert!(error.contains("gone.crt") || error.contains("No such file"), "{error}");
    }
}

#[tokio::test]
async fn brokers_come_back_on_the_same_port() {
    for kind in kinds() {
        let mut world = World::start(kind, BrokerOptions::default()).await;
        let (port, url) = (world.broker.port(), world.broker.url());
        assert_eq!(url.to_string(), format!("mqtts://localhost:{port}"));
        world.broker.stop().await.unwrap();
        world.broker.stop().await.unwrap();
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "{kind:?}");
        world.broker.restart().await.unwrap();
        assert_eq!(world.broker.port(), port);
        world.publish(Protocol::V5, 1).await;
    }
}

#[tokio::test]
async fn a_dropped_broker_is_gone() {
    for kind in kinds() {
        let world = World::start(kind, BrokerOptions::default()).await;
        let port = world.broker.port();
        drop(world);
        let gone = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap();
    }
}

#[tokio::test]
async fn unacknowledged_messages_come_again_marked_as_duplicates() {
    for (kind, protocol, qos) in combinations() {
        let world = World::start(kind, BrokerOptions::default()).await;
        let want = Want { protocol, qos, receive_maximum: 100 };
        let mut first = world.subscriber(want).await;
        world.publish(protocol, 5).await;
        let deliveries = first.take(5).await;
        assert!(deliveries.iter().all(|delivery| !delivery.dup()));
        first.crash().await;

        let mut second = world.subscriber(want).await;
        let again = second.take(5).await;
        assert!(again.iter().all(subscriber::Delivery::dup), "{kind:?} {protocol:?} QoS {qos}");
        let payloads =
            |list: &[subscriber::Delivery]| list.iter().map(subscriber::Delivery::payload).collect::<Vec<_>>();
        assert_eq!(payloads(&deliveries), payloads(&again));
    }
}

#[tokio::test]
async fn a_session_outlives_a_persistent_broker() {
    for (kind, protocol, qos) in combinations() {
        let mut world = World::start(kind, persistent()).await;
        let want = Want { protocol, qos, receive_maximum: 2 };
        let mut first = world.subscriber(want).await;
        world.publish(protocol, 10).await;
        first.take(1).await;
        first.crash().await;
        world.broker.restart().await.unwrap();

        let mut second = world.subscriber(want).await;
        let mut payloads = Vec::new();
        while payloads.len() < 10 {
            let delivery = second.next().await;
            second.ack(&delivery).await;
            payloads.push(delivery.payload());
        }
        payloads.sort_unstable();
        payloads.dedup();
        assert_eq!(payloads.len(), 10, "{kind:?} {protocol:?} QoS {qos}");
    }
}

#[tokio::test]
async fn the_receive_maximum_is_obeyed() {
    for kind in kinds() {
        let world = World::start(kind, BrokerOptions::default()).await;
        let mut subscriber = world.subscriber(Want { protocol: Protocol::V5, qos: 1, receive_maximum: 7 }).await;
        world.publish(Protocol::V5, 30).await;
        let mut deliveries = subscriber.take(7).await;
        assert_eq!(subscriber.during(Duration::from_millis(300)).await, 0, "{kind:?}");
        while deliveries.len() < 30 {
            subscriber.ack(&deliveries[deliveries.len() - 7]).await;
            deliveries.push(subscriber.next().await);
        }
    }
}

#[tokio::test]
async fn sensors_publish_everything_through_a_broken_broker() {
    for kind in kinds() {
        for protocol in PROTOCOLS {
            let mut world = World::start(kind, BrokerOptions::default()).await;
            let options = SensorOptions { rate: 500.0, count: 3, ..world.sensors(protocol) };
            let mut sensors = Sensors::start(&options).unwrap();
            for _ in 0..3 {
                reaches(&sensors, sensors.acked() + 50).await;
                world.broker.kill().await.unwrap();
                world.broker.restart().await.unwrap();
            }
            reaches(&sensors, sensors.acked() + 50).await;
            let registry = sensors.registry();
            assert_eq!(sensors.stop(PATIENCE).await, 0, "{kind:?} {protocol:?}");
            let counts = registry.counts();
            assert_eq!(counts.acked, counts.published);
        }
    }
}

/// RabbitMQ 4.0 does so on a busy machine.
#[tokio::test]
async fn sensors_come_to_their_end_though_the_broker_confirms_out_of_order() {
    /// Four rounds through the packet identifiers of a window of 16, one of which is passed over while in use, and a
    /// part of a round.
    const MESSAGES: u64 = 70;
    let directory = tempfile::tempdir().unwrap();
    let files = Pki::with(&PkiOptions::default()).unwrap().write_to(directory.path()).unwrap();
    let broker = Scripted::start(&files, Protocol::V5).await.unwrap();
    // So slow that there is one message at a time, but for the one that is not confirmed.
    let options = SensorOptions { rate: 200.0, count: 1, ..SensorOptions::new(broker.url(), files) };
    let mut sensors = Sensors::start(&SensorOptions { total: Some(MESSAGES), ..options }).unwrap();
    let mut peer = broker.accept().await.unwrap();
    peer.greet(&ConnAck::fresh().receive_maximum(16)).await.unwrap();
    let mut late = 0;
    for number in 1..=MESSAGES {
        let Packet::Publish { packet_id, .. } = peer.next("PUBLISH").await.unwrap() else { panic!("no PUBLISH") };
        match number {
            5 => late = packet_id,
            _ => peer.puback(packet_id, 0).await.unwrap(),
        }
        if number == 60 {
            peer.puback(late, 0).await.unwrap();
        }
    }
    timeout(PATIENCE, sensors.finished()).await.unwrap();
    assert_eq!((sensors.acked(), peer.end().await.unwrap(), broker.connections()), (MESSAGES, Some(0), 1));
}

#[tokio::test]
async fn sensors_keep_their_rate_and_mix_in_bad_readings() {
    let world = World::start(Kind::Embedded, BrokerOptions::default()).await;
    let want = Want { protocol: Protocol::V5, qos: 1, receive_maximum: 1000 };
    let mut subscriber = world.subscriber(want).await;
    let started = std::time::Instant::now();
    let options =
        SensorOptions { rate: 200.0, count: 4, total: Some(100), bad_every: Some(10), ..world.sensors(Protocol::V5) };
    let mut sensors = Sensors::start(&options).unwrap();
    timeout(PATIENCE, sensors.finished()).await.unwrap();
    // 99 periods lie between 100 messages; four devices may each be one period early.
    assert!(started.elapsed() >= Duration::from_millis(450), "{:?}", started.elapsed());
    let payloads: Vec<_> = subscriber.take(100).await.iter().map(subscriber::Delivery::payload).collect();
    assert_eq!(payloads.iter().filter(|payload| payload.contains("\"broken\"")).count(), 10);
    let counts = Counts { published: 100, acked: 100, ..Counts::default() };
    assert_eq!(sensors.registry().counts(), counts);
}

#[tokio::test]
async fn sensors_without_a_broker_give_up_at_the_deadline() {
    let mut world = World::start(Kind::Embedded, BrokerOptions::default()).await;
    world.broker.stop().await.unwrap();
    let mut sensors = Sensors::start(&SensorOptions { count: 2, ..world.sensors(Protocol::V5) }).unwrap();
    while sensors.published() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(sensors.stop(Duration::from_millis(200)).await > 0);
}

#[tokio::test]
async fn a_foreign_publisher_reaches_every_broker() {
    let Some(program) = tools::require("mosquitto_pub") else { return };
    for kind in kinds() {
        for protocol in PROTOCOLS {
            let world = World::start(kind, BrokerOptions::default()).await;
            let want = Want { protocol, qos: 1, receive_maximum: 1000 };
            let mut subscriber = world.subscriber(want).await;
            let payloads: Vec<_> = (0..50).map(|number| format!("{{\"n\":{number}}}")).collect();
            let port = world.broker.port();
            mosquitto_pub(&program, port, &world.files, protocol, TOPIC, &payloads).await.unwrap();
            let received: Vec<_> = subscriber.take(50).await.iter().map(subscriber::Delivery::payload).collect();
            assert_eq!(received, payloads, "{kind:?} {protocol:?}");
        }
    }
}

fn combinations() -> impl Iterator<Item = (Kind, Protocol, u8)> {
    kinds().into_iter().flat_map(|kind| PROTOCOLS.map(|protocol| [1, 2].map(|qos| (kind, protocol, qos))).concat())
}

async fn reaches(sensors: &Sensors, acked: u64) {
    let reached = async {
        while sensors.acked() < acked {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("PUBACKs in time");
}

#[tokio::test]
async fn a_bridge_that_is_not_there_is_named() {
    let world = sandbox::world::World::builder().without_bridge().await.unwrap();
    let refused = world.spawn_binary(std::path::Path::new("/nowhere/bridge"), []).err().unwrap().to_string();
    assert!(refused.starts_with("`/nowhere/bridge`: cannot be started: No such file"), "{refused}");
}
