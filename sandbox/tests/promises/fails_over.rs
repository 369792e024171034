//! Promise: with several brokers a bridge reads one at a time, goes to another when that one cannot be reached, and loses
//! nothing of what those that it reaches have confirmed: it comes back to the first, and before that empties the queue that it
//! leaves.

mod reloading;

use crate::common;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{answering, eventually, fault, nothing_lost, publish, sized, willing};
use bridge::config::Protocol;
use sandbox::broker::{Broker, BrokerOptions};
use sandbox::lambda::{Action, Answer, When};
use sandbox::world::{BrokerKind, FUNCTION, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const VERSIONS: [Protocol; 2] = [Protocol::V5, Protocol::V311];

/// A world whose bridge knows two brokers, and the second of them.
async fn two_brokers(protocol: Protocol) -> (World, Broker) {
    let options = BrokerOptions { persistence: true, ..BrokerOptions::default() };
    let builder = World::builder().protocol(protocol).broker(BrokerKind::Mosquitto).broker_options(options.clone());
    let builder = builder.set("mqtt.return_after", "1s").set("mqtt.connect_timeout", "3s");
    let mut world = builder.function(willing()).without_bridge().await.unwrap();
    let second = Broker::mosquitto(&world.files, options).await.unwrap();
    world.set("mqtt.url", &format!("{},{}", world.url(), second.url()));
    (world, second)
}

/// What `/readyz` says.
async fn ready(world: &World) -> String {
    let admin = world.bridge().unwrap().admin_address().unwrap();
    let mut stream = TcpStream::connect(admin).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// How often the bridge has connected to each.
fn connects(world: &World) -> [u64; 2] {
    [0, 1].map(|url| world.counters().connects_by_url.to(url))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_by_a_change_of_broker_under_load_and_back() {
    for protocol in VERSIONS {
        if sandbox::tools::require("mosquitto").is_none() {
            return;
        }
        let (mut world, second) = two_brokers(protocol).await;
        world.start_bridge().await.unwrap();
        fault(&world, When::Always, Action::Delay(Duration::from_millis(20)));
        let messages = sized(300, 3000);
        let on_first = publish(&world, messages, |_| {}).await;
        eventually("some are handled", || world.counters().acknowledged.get() >= messages / 4).await;
        assert_eq!(connects(&world), [1, 0]);
        world.broker.as_mut().unwrap().kill().await.unwrap();
        eventually("the second broker is read", || connects(&world)[1] == 1).await;
        let on_second = publish(&world, messages, |options| options.broker = second.url()).await;
        // Most of that still waits at the second broker when the first is there again.
        world.broker.as_mut().unwrap().restart().await.unwrap();
        eventually("the first broker is read again", || connects(&world)[0] == 2).await;
        nothing_lost(&world, &on_second).await;
        nothing_lost(&world, &on_first).await;
        let again = publish(&world, 20, |_| {}).await;
        let fate = nothing_lost(&world, &again).await;
        // At the second broker each was acknowledged before it was left. The first was killed: it sends again what was in flight
        // and what was acknowledged since it last saved, which does not count acknowledgements.
        assert_eq!(fate.most(&on_second), 1, "the second broker was left with something unacknowledged");
        assert!(fate.most(&on_first) <= 2, "one death of a broker brings a message again once");
        assert_eq!(world.counters().session_lost.get(), 0);
        // The second broker has deleted the session, which would otherwise fill up; it starts over there.
        eventually("all is settled", || world.counters().outstanding.get() == 0).await;
        let before = connects(&world)[1];
        world.broker.as_mut().unwrap().kill().await.unwrap();
        eventually("the second broker is read again", || {
            connects(&world)[1] > before && world.bridge().unwrap().troubles().is_empty()
        })
        .await;
        let last = publish(&world, 20, |options| options.broker = second.url()).await;
        nothing_lost(&world, &last).await;
        assert_eq!(world.counters().session_lost.get(), 0);
    }
}

/// A first broker that accepts connections and sends nothing, and the number of attempts.
async fn dead_broker() -> (u16, Arc<AtomicUsize>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tried = Arc::new(AtomicUsize::new(0));
    let counts = tried.clone();
    let accept = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counts.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, tried, accept)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_prefers_the_first_looks_for_it_and_who_stays_does_not() {
    let mut worlds = Vec::new();
    for prefer in ["stay", "first"] {
        let (port, tried, accept) = dead_broker().await;
        let builder = World::builder().set("mqtt.prefer", prefer).set("mqtt.return_after", "1s");
        let mut world = builder.function(willing()).without_bridge().await.unwrap();
        world.set("mqtt.url", &format!("mqtts://localhost:{port},{}", world.url()));
        world.start_bridge().await.unwrap();
        assert_eq!(connects(&world), [0, 1]);
        let said = ready(&world).await;
        assert!(said.contains(&format!("connected to {}, not to the first broker", world.url())), "{said}");
        worlds.push((world, tried, accept));
    }
    eventually("it is looked for", || worlds[1].1.load(Ordering::SeqCst) >= 4).await;
    assert_eq!(worlds[0].1.load(Ordering::SeqCst), 1, "who stays has tried it at the start alone");
    assert_eq!(connects(&worlds[1].0), [0, 1], "TCP alone is no broker");
    for (_, _, accept) in worlds {
        accept.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_brokers_away_are_tried_in_turn_and_each_is_named() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (one, other) = (free(), free());
    world.set("mqtt.url", &format!("mqtts://localhost:{one},wss://localhost:{other}/mqtt"));
    world.launch_bridge().await.unwrap();
    for port in [one, other] {
        eventually("it is named", || world.bridge().unwrap().troubles()[0].contains(&format!("localhost:{port}:")))
            .await;
    }
}

/// A mapping that restarts comes back to the broker that has its session, whichever is preferred.
#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_restarts_comes_back_to_its_session() {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    let (port, tried, accept) = dead_broker().await;
    let file = world.directory().join("bridge.toml");
    let write = |concurrency: usize| {
        let files = &world.files;
        let text = format!(
            "admin.listen = \"off\"\n[mqtt]\nurl = [\"mqtts://localhost:{port}\", \"{}\"]\nprefer = \"stay\"\n\
             connect_timeout = \"1s\"\ntls = {{ ca_file = \"{}\", cert_file = \"{}\", key_file = \"{}\" }}\n\
             [[mapping]]\nname = \"m\"\ntopic_filter = \"t\"\nfunction = \"{FUNCTION}\"\nconcurrency = {concurrency}\n\
             on_failure.file = \"dead.jsonl\"\n",
            world.url(),
            files.ca.display(),
            files.bridge.cert.display(),
            files.bridge.key.display(),
        );
        std::fs::write(&file, text).unwrap();
    };
    write(1);
    let mut process = world.spawn_bridge_from(&file).unwrap();
    assert!(process.logged("\"broker.connected\"", common::PATIENCE).await, "{:#?}", process.log());
    write(2);
    process.signal("HUP").await.unwrap();
    let connected = || process.log().iter().filter(|line| line.contains("\"broker.connected\"")).count();
    eventually("the mapping is connected again", || connected() == 2).await;
    assert_eq!(tried.load(Ordering::SeqCst), 1, "the first broker was tried again");
    accept.abort();
}

/// Each connection chooses for itself, also the one that publishes.
#[tokio::test(flavor = "multi_thread")]
async fn answers_go_to_a_broker_that_is_reachable() {
    let answer = |_| {
        let payload = serde_json::value::to_raw_value("hot").unwrap();
        let (topic, encoding) = ("answers".to_owned(), event::Encoding::Json);
        let publish = event::Publish { item_identifier: None, topic, payload, encoding, qos: None, retain: false };
        Answer::json(&event::Response { publish: vec![publish], ..event::Response::default() })
    };
    let builder = World::builder().function(answering(answer)).set("mapping.response.allow", "answers");
    let mut world = builder.without_bridge().await.unwrap();
    let (port, _, accept) = dead_broker().await;
    world.set("mqtt.url", &format!("mqtts://localhost:{port},{}", world.url()));
    world.start_bridge().await.unwrap();
    publish(&world, 3, |_| {}).await;
    common::acknowledged(&world, 3).await;
    assert_eq!(world.counters().published.get(), 3);
    accept.abort();
}
