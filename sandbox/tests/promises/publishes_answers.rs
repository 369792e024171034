//! Promise: what the bridge publishes arrives at least once, over any number of broken connections, and the caller gets
//! the broker's verdict. A message that the broker refuses delays no other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::side_by_side;
use crate::subscriber::{Delivery, Subscriber, Want};
use bridge::config::{BrokerUrl, Protocol, Qos, Range};
use bridge::message::Properties;
use bridge::metrics::Metrics;
use bridge::mqtt::{Connector, Link, LiveTls, Publisher, Status};
use bridge::outgoing::{Outgoing, PublishError, PublishHandle, publish_each};
use bridge::shutdown::{self, Announcer, Phase};
use bytes::Bytes;
use sandbox::broker::{Broker, BrokerOptions};
use sandbox::certs::{Pki, PkiFiles};
use sandbox::scripted::{ConnAck, Packet as Heard, Peer, ScriptError, Scripted};
use sandbox::tools;
use sandbox::wiretap::{Packet, Wiretap};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(3);
const TOPIC: &str = "devices/1/command";

/// A publisher at work.
struct Running {
    handle: PublishHandle,
    status: watch::Receiver<Status>,
    announcer: Announcer,
    task: JoinHandle<()>,
}

fn publisher(url: BrokerUrl, files: &PkiFiles, protocol: Protocol) -> Running {
    let settings = Link {
        client_id: "bridge-publisher".into(),
        protocol,
        keep_alive: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(10),
        backoff: Range { min: Duration::from_millis(10), max: Duration::from_millis(50) },
    };
    let tls = LiveTls::load(files.bridge_tls(&files.bridge), Metrics::new().tls()).unwrap();
    let (announcer, listener) = shutdown::channel();
    let (publisher, handle, status) = Publisher::new(settings, Connector::new(url, tls).unwrap(), listener);
    Running { handle, status, announcer, task: tokio::spawn(publisher.run()) }
}

impl Running {
    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        timeout(PATIENCE, self.handle.publish(outgoing)).await.expect("a verdict in time")
    }
}

fn message(topic: &str, payload: impl ToString) -> Outgoing {
    Outgoing::new(topic, payload.to_string())
}

/// How a scripted broker answers a PUBLISH.
enum Verdict {
    /// PUBACK with this reason code.
    Answer(u8),
    /// PUBACK once this many wait for theirs and no more come.
    AnswerTogether(usize),
    /// Cuts the connection.
    Cut,
}

/// A broker that answers publishers as the test says.
struct Judge {
    url: BrokerUrl,
    /// Every PUBLISH, with the number of those that wait for their PUBACK, itself included.
    seen: mpsc::UnboundedReceiver<(Bytes, usize)>,
}

async fn judging(
    files: &PkiFiles,
    connack: ConnAck,
    verdict: impl Fn(&[u8]) -> Verdict + Send + Sync + 'static,
) -> Judge {
    let broker = Scripted::start(files, Protocol::V5).await.unwrap();
    let (url, (sender, seen)) = (broker.url(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        // One client at a time is all that connects here.
        while let Ok(mut peer) = broker.accept().await {
            let _ = judge(&mut peer, &connack, &verdict, &sender).await;
        }
    });
    Judge { url, seen }
}

async fn judge(
    peer: &mut Peer,
    connack: &ConnAck,
    verdict: &impl Fn(&[u8]) -> Verdict,
    seen: &mpsc::UnboundedSender<(Bytes, usize)>,
) -> Result<(), ScriptError> {
    const QUIET: Duration = Duration::from_millis(50);
    peer.greet(connack).await?;
    let (mut waiting, mut together) = (Vec::new(), usize::MAX);
    loop {
        let packet = if waiting.len() < together {
            peer.next("PUBLISH").await?
        } else if let Ok(packet) = timeout(QUIET, peer.next("PUBLISH")).await {
            packet?
        } else {
            for packet_id in waiting.drain(..) {
                peer.puback(packet_id, 0).await?;
            }
            continue;
        };
        let Heard::Publish { packet_id, topic, payload, .. } = packet else { return Ok(()) };
        let _ = seen.send((payload, waiting.len() + 1));
        match verdict(&topic) {
            Verdict::Answer(reason) if packet_id != 0 => peer.puback(packet_id, reason).await?,
            Verdict::Answer(_) => {}
            Verdict::AnswerTogether(count) => {
                waiting.push(packet_id);
                together = count;
            }
            Verdict::Cut => return Ok(()),
        }
    }
}

struct Place {
    broker: Broker,
    files: PkiFiles,
    protocol: Protocol,
    _directory: TempDir,
}

fn certificates() -> (TempDir, PkiFiles) {
    let directory = tempfile::tempdir().unwrap();
    let files = Pki::generate().unwrap().write_to(directory.path()).unwrap();
    (directory, files)
}

impl Place {
    async fn new(mosquitto: bool, protocol: Protocol) -> Self {
        let (directory, files) = certificates();
        let options = BrokerOptions::default();
        let broker =
            if mosquitto { Broker::mosquitto(&files, options).await } else { Broker::embedded(&files, options).await };
        Self { broker: broker.unwrap(), files, protocol, _directory: directory }
    }

    async fn subscriber(&self) -> Subscriber {
        let want = Want { protocol: self.protocol, qos: 1, receive_maximum: 1000 };
        Subscriber::start(self.broker.port(), &self.files, want, "devices/#").await
    }

    async fn tap(&self) -> Wiretap {
        Wiretap::start(&self.broker.url(), &self.files, self.protocol).await.unwrap()
    }

    fn publisher(&self) -> Running {
        self.publisher_at(self.broker.url())
    }

    fn publisher_at(&self, url: BrokerUrl) -> Running {
        publisher(url, &self.files, self.protocol)
    }
}

/// Both protocol versions against the embedded broker, and against Mosquitto where it is installed.
async fn everywhere<F: Future<Output = ()>>(scenario: impl Fn(Place) -> F) {
    let mosquitto = tools::require("mosquitto").is_some();
    let mut cases = Vec::new();
    for protocol in [Protocol::V5, Protocol::V311] {
        for mosquitto in [Some(false), mosquitto.then_some(true)].into_iter().flatten() {
            let place = Place::new(mosquitto, protocol).await;
            cases.push((format!("MQTT {protocol}, mosquitto: {mosquitto}"), Box::pin(scenario(place))));
        }
    }
    side_by_side(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_500_arrive_over_connections_that_break() {
    const TOTAL: usize = 500;
    everywhere(|place| async move {
        let mut subscriber = place.subscriber().await;
        let tap = place.tap().await;
        let publisher = place.publisher_at(tap.url());
        let (next, confirmed, tap) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(tap));
        let mut callers = JoinSet::new();
        for _ in 0..32 {
            let (handle, tap) = (publisher.handle.clone(), tap.clone());
            let (next, confirmed) = (next.clone(), confirmed.clone());
            callers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= TOTAL {
                        return;
                    }
                    handle.publish(message(TOPIC, number)).await.unwrap();
                    if confirmed.fetch_add(1, Ordering::Relaxed) % 100 == 50 {
                        // Cut while other callers wait for their confirmations.
                        tap.cut();
                    }
                }
            });
        }
        timeout(PATIENCE, callers.join_all()).await.expect("all confirmed in time");
        let mut arrived = BTreeSet::new();
        while arrived.len() < TOTAL {
            let delivery = subscriber.next().await;
            arrived.insert(delivery.payload().parse::<usize>().unwrap());
            subscriber.ack(&delivery).await;
        }
        assert_eq!(arrived, (0..TOTAL).collect());
        let seen = tap.seen();
        let connections = seen.iter().filter(|seen| matches!(seen.packet, Packet::ConnAck { .. })).count();
        assert!(connections > 5, "{connections} connections for five cuts");
        assert!(seen.iter().all(|seen| seen.packet != Packet::ConnAck { session_present: true }), "each starts over");
        let sent = seen.iter().filter(|seen| matches!(seen.packet, Packet::Publish { .. })).count();
        assert!(sent <= TOTAL + 5 * 32, "{sent} sent");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_arrives_in_order_at_either_qos() {
    everywhere(|place| async move {
        let mut subscriber = place.subscriber().await;
        let publisher = place.publisher();
        let mixed = (0..20).map(|number| {
            let qos = if number % 2 == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce };
            Outgoing { qos, ..message(TOPIC, number) }
        });
        let verdicts = timeout(PATIENCE, publish_each(&publisher.handle, mixed)).await.unwrap();
        assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
        let mut arrived = Vec::new();
        for delivery in subscriber.take(20).await {
            arrived.push(delivery.payload().parse::<usize>().unwrap());
        }
        // A broker need not keep the order between the two.
        for qos in 0..2 {
            let of_qos: Vec<_> = arrived.iter().copied().filter(|number| number % 2 == qos).collect();
            assert!(of_qos.is_sorted() && of_qos.len() == 10, "{arrived:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_5_properties_travel_along() {
    everywhere(|place| async move {
        let mut subscriber = place.subscriber().await;
        let properties = Properties {
            expiry: Some(Duration::from_mins(10)),
            content_type: Some("text/plain".into()),
            correlation_data: Some(b"\0\xff".to_vec().into()),
            user: vec![("k".into(), "1".into()), ("k".into(), "2".into())],
            ..Properties::default()
        };
        let sent = properties.clone();
        let outgoing = Outgoing { properties: Some(Box::new(properties)), ..message(TOPIC, "x") };
        place.publisher().publish(outgoing).await.unwrap();
        let delivery = subscriber.next().await;
        assert_eq!(delivery.payload(), "x");
        if let Delivery::V5(publish) = delivery {
            let arrived = publish.properties.unwrap();
            assert_eq!(arrived.content_type, sent.content_type);
            assert_eq!(arrived.correlation_data, sent.correlation_data);
            // The embedded broker adds a user property of its own.
            assert!(arrived.user_properties.starts_with(&sent.user), "{:?}", arrived.user_properties);
            assert!(arrived.message_expiry_interval.is_some_and(|seconds| (590..=600).contains(&seconds)));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_mosquitto_denies_is_the_callers_error() {
    if tools::require("mosquitto").is_none() {
        return;
    }
    let place = Place::new(true, Protocol::V5).await;
    let mut subscriber = place.subscriber().await;
    let publisher = place.publisher();
    // Mosquitto allows no client to publish there.
    let error = publisher.publish(message("$SYS/forged", 1)).await.unwrap_err();
    assert!(matches!(&error, PublishError::Refused { code: 0x87, .. }), "{error}");
    assert_eq!(error.to_string(), "publish to `$SYS/forged`: refused by the broker: not authorized");
    publisher.publish(message(TOPIC, "next")).await.unwrap();
    assert_eq!(subscriber.next().await.payload(), "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_over_which_mosquitto_closes_the_connection_is_given_up() {
    if tools::require("mosquitto").is_none() {
        return;
    }
    for protocol in [Protocol::V5, Protocol::V311] {
        let place = Place::new(true, protocol).await;
        let mut subscriber = place.subscriber().await;
        let publisher = place.publisher();
        // More levels than Mosquitto follows.
        let poison = publisher.publish(message(&"devices/".repeat(300), 1));
        let good = publisher.publish(message(TOPIC, "good"));
        let (poison, good) = tokio::join!(poison, good);
        assert!(matches!(poison, Err(PublishError::Broken { .. })), "MQTT {protocol}: {poison:?}");
        good.unwrap();
        assert_eq!(subscriber.next().await.payload(), "good");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_breaks_every_connection_holds_up_no_other() {
    let (_directory, files) = certificates();
    let broker = judging(&files, ConnAck::fresh(), |topic| match topic {
        b"poison" => Verdict::Cut,
        _ => Verdict::Answer(0),
    })
    .await;
    let publisher = publisher(broker.url.clone(), &files, Protocol::V5);
    let topics = ["a", "b", "poison", "c", "d"];
    let mut callers = JoinSet::new();
    for topic in topics {
        let handle = publisher.handle.clone();
        callers.spawn(async move { (topic, handle.publish(message(topic, 1)).await) });
    }
    for (topic, result) in timeout(PATIENCE, callers.join_all()).await.expect("a verdict for each") {
        match topic {
            "poison" => assert!(matches!(result, Err(PublishError::Broken { .. })), "{result:?}"),
            _ => assert_eq!(result, Ok(()), "{topic}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_verdict_reaches_the_caller() {
    let (_directory, files) = certificates();
    let broker = judging(&files, ConnAck::fresh(), |topic| {
        // No matching subscribers, quota exceeded, success.
        Verdict::Answer(match topic {
            b"nobody" => 0x10,
            b"full" => 0x97,
            _ => 0,
        })
    })
    .await;
    let publisher = publisher(broker.url.clone(), &files, Protocol::V5);
    publisher.publish(message("nobody", 1)).await.unwrap();
    let error = publisher.publish(message("full", 1)).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused { code: 0x97, .. }), "{error}");
    assert!(!error.is_lasting(), "quotas end");
    publisher.publish(message("other", 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_cannot_take_is_an_error_and_is_never_sent() {
    let (_directory, files) = certificates();
    let connack = ConnAck::fresh().max_packet_size(64).max_qos(0).without_retain();
    let mut broker = judging(&files, connack, |_| Verdict::Answer(0)).await;
    let publisher = publisher(broker.url.clone(), &files, Protocol::V5);
    let small = || Outgoing { qos: Qos::AtMostOnce, ..message("a", "small") };

    // Two bytes of fixed header, three of topic, one of properties: 58 fit and 59 do not.
    let sized = |bytes: usize| Outgoing { payload: vec![b'x'; bytes].into(), ..small() };
    let error = publisher.publish(sized(59)).await.unwrap_err();
    assert_eq!(error, PublishError::TooLarge { topic: "a".into(), bytes: 65, limit: 64 });
    for impossible in [
        message("a", "qos 1"),
        Outgoing { qos: Qos::ExactlyOnce, ..small() },
        Outgoing { retain: true, ..small() },
        Outgoing { topic: "a/#".into(), ..small() },
    ] {
        let error = publisher.publish(impossible).await.unwrap_err();
        assert!(matches!(error, PublishError::Impossible { .. }) && error.is_lasting(), "{error}");
    }
    publisher.publish(sized(58)).await.unwrap();
    let (first, _) = timeout(PATIENCE, broker.seen.recv()).await.unwrap().unwrap();
    assert_eq!(first.len(), 58);
    assert!(broker.seen.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_receive_maximum_is_kept() {
    let (_directory, files) = certificates();
    let mut broker = judging(&files, ConnAck::fresh().receive_maximum(3), |_| Verdict::AnswerTogether(3)).await;
    let publisher = publisher(broker.url.clone(), &files, Protocol::V5);
    let all = (0..30).map(|number| message("a", number));
    let verdicts = timeout(PATIENCE, publish_each(&publisher.handle, all)).await.unwrap();
    assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
    let mut unconfirmed = Vec::new();
    while let Ok((_, waiting)) = broker.seen.try_recv() {
        unconfirmed.push(waiting);
    }
    assert_eq!(unconfirmed.len(), 30);
    assert_eq!(unconfirmed.into_iter().max(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_through_a_drain_and_says_goodbye_when_nobody_can_publish_any_more() {
    everywhere(|place| async move {
        let tap = place.tap().await;
        let running = place.publisher_at(tap.url());
        running.announcer.announce(Phase::Draining);
        running.publish(message(TOPIC, "late")).await.unwrap();
        assert_eq!(*running.status.borrow(), Status::Ready(None));
        let Running { handle, task, announcer, .. } = running;
        drop(handle);
        timeout(PATIENCE, task).await.expect("it ends").unwrap();
        let goodbye = async {
            while tap.seen().iter().all(|seen| seen.packet != Packet::Disconnect) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, goodbye).await.expect("a DISCONNECT");
        // Dropped last: a dropped bridge counts as stopping.
        drop(announcer);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_it_and_tells_those_who_wait() {
    let (_directory, files) = certificates();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = publisher(BrokerUrl::mqtts("localhost", port), &files, Protocol::V5);
    let waiting = tokio::spawn({
        let handle = running.handle.clone();
        async move { handle.publish(message(TOPIC, 1)).await }
    });
    // A broker that takes the connection and says nothing.
    let _mute = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    running.announcer.announce(Phase::Stopping);
    assert_eq!(timeout(PATIENCE, waiting).await.expect("a verdict").unwrap(), Err(PublishError::Ended));
    timeout(PATIENCE, running.task).await.expect("it ends").unwrap();
}
