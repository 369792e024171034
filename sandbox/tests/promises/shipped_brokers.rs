//! Promise: every Mosquitto configuration that is shipped has the same protection, has a bridge whose name no device can
//! get, and tells the bridge what the broker drops.

use crate::replica;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::common::{PATIENCE, eventually, willing};
use crate::hardened::Hardened;
use crate::replica::{Replica, SHORT, mapping};
use crate::shipped::{EVERYWHERE, Shipped, root};
use bridge::config::Protocol;
use event::Event;
use sandbox::certs::IdentityFiles;
use sandbox::world::World;

/// The topic on which Mosquitto counts, as the bridge's configuration has it.
const DROPPED: &str = "$SYS/broker/publish/messages/dropped";

/// What a day of one message a second is.
const DAY: u64 = 86_400;

/// Directives, each with its value: of the broker as a whole, and of each listener, by its port.
struct Configuration {
    all: BTreeMap<String, String>,
    listeners: BTreeMap<String, BTreeMap<String, String>>,
}

fn parse(text: &str) -> Configuration {
    let mut found = Configuration { all: BTreeMap::new(), listeners: BTreeMap::new() };
    let mut port = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once(' ').unwrap();
        if name == "listener" {
            port = value.split(' ').next().map(str::to_owned);
        }
        let section = match &port {
            // `include_dir` comes after the listeners, but belongs to the whole broker.
            Some(port) if name != "include_dir" => found.listeners.entry(port.clone()).or_default(),
            _ => &mut found.all,
        };
        section.insert(name.to_owned(), value.to_owned());
    }
    found
}

/// What is missing in a configuration, or weaker than it must be.
fn faults(text: &str) -> Vec<String> {
    let Configuration { all, listeners } = parse(text);
    let mut faults = Vec::new();
    let mut must = |place: &str, section: &BTreeMap<String, String>, name: &str, good: &dyn Fn(&str) -> bool| {
        if !section.get(name).is_some_and(|value| good(value)) {
            faults.push(format!("{place}: {name}: {:?}", section.get(name)));
        }
    };
    let is_true = |value: &str| value == "true";
    let within = |least: u64, most: u64| {
        move |value: &str| value.parse().is_ok_and(|number: u64| (least..=most).contains(&number))
    };
    for name in ["per_listener_settings", "persistence"] {
        must("all", &all, name, &is_true);
    }
    for (name, least, most) in [
        ("autosave_interval", 1, 1),
        ("sys_interval", 1, 30),
        ("max_queued_messages", DAY, u64::MAX),
        // For messages of 2.5 KiB.
        ("max_queued_bytes", DAY * 2560, 1 << 30),
        ("max_inflight_messages", 100, 65_535),
        ("max_packet_size", 1024, 6 << 20),
        ("max_keepalive", 30, 3600),
    ] {
        must("all", &all, name, &within(least, most));
    }
    must("all", &all, "persistent_client_expiration", &|value| value == "14d");
    for (port, listener) in &listeners {
        for name in ["cafile", "crlfile", "certfile", "keyfile", "acl_file", "ciphers"] {
            must(port, listener, name, &|value| !value.is_empty());
        }
        for name in ["require_certificate", "use_identity_as_username"] {
            must(port, listener, name, &is_true);
        }
        must(port, listener, "allow_anonymous", &|value| value == "false");
        must(port, listener, "tls_version", &|value| value == "tlsv1.2");
        must(port, listener, "max_connections", &within(1, 30_000));
    }
    let none = BTreeMap::new();
    must("8883", listeners.get("8883").unwrap_or(&none), "use_username_as_clientid", &is_true);
    must("8884", listeners.get("8884").unwrap_or(&none), "acl_file", &|value| value.ends_with("bridge.acl"));
    for name in ["autosave_on_changes", "message_size_limit", "queue_qos0_messages"] {
        if all.contains_key(name) {
            faults.push(format!("all: {name} does harm"));
        }
    }
    faults
}

/// The text of a shipped file.
fn text(shipped: Shipped, name: &str) -> String {
    let file = shipped.files().into_iter().find(|(found, ..)| found == name);
    file.unwrap_or_else(|| panic!("{shipped:?} ships no {name}")).2
}

#[test]
fn every_configuration_has_every_protection() {
    for shipped in EVERYWHERE {
        let conf = text(shipped, "mosquitto.conf");
        assert_eq!(faults(&conf), Vec::<String>::new(), "{shipped:?}");
        let lines: Vec<&str> = conf.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let harmless = ["listener", "log_", "connection_messages", "include_dir", "persistence_location", "#"];
            if line.is_empty() || harmless.iter().any(|prefix| line.starts_with(prefix)) {
                continue;
            }
            let without = [&lines[..index], &lines[index + 1..]].concat().join("\n");
            assert_ne!(faults(&without), Vec::<String>::new(), "{shipped:?} without `{line}` is not noticed");
        }
    }
}

#[test]
fn devices_read_their_commands_and_the_bridge_alone_the_count() {
    for shipped in EVERYWHERE {
        let devices = text(shipped, "devices.acl");
        let grants: BTreeSet<&str> = devices.lines().filter(|line| line.contains(" read ")).collect();
        assert_eq!(grants, BTreeSet::from(["pattern read devices/%u/command"]), "{shipped:?}");
        let writes = |line: &&str| line.contains(" write ");
        for line in devices.lines().filter(writes) {
            let topic = line.rsplit(' ').next().unwrap();
            assert!(["devices/%u/data", "sensor/data"].contains(&topic), "{shipped:?}: {line}");
        }
        let bridge = text(shipped, "bridge.acl");
        assert!(bridge.lines().any(|line| line == format!("topic read {DROPPED}")), "{shipped:?}");
        assert_eq!(bridge.lines().filter(|line| line.starts_with("user")).collect::<Vec<_>>(), ["user bridge"]);
    }
}

#[test]
fn no_shipped_filter_is_shared() {
    let files = [
        "docker/bridge/bridge.toml",
        "terraform/mappings.toml.tftpl",
        "README.md",
        "docs/tutorial.md",
        "certs/README.md",
    ];
    for file in files {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let filters: Vec<&str> =
            text.lines().filter(|line| line.contains("topic_filter = ") || line.contains("--topic-filter")).collect();
        assert!(file == "certs/README.md" || !filters.is_empty(), "{file}");
        assert!(!filters.iter().any(|line| line.contains("$share")), "{file}: {filters:?}");
    }
}

#[test]
fn no_device_gets_a_certificate_with_the_name_of_a_bridges_client() {
    let directory = tempfile::tempdir().unwrap();
    for shipped in EVERYWHERE {
        for of in ["sensor-data", "devices", "publisher", "broker-stats"] {
            let name = format!("{}-{of}", shipped.client_id());
            let mut command = Command::new(root().join("certs/make-certs.sh"));
            let made = command.args(["device", &name, "--out"]).arg(directory.path().join("out")).output().unwrap();
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            assert_eq!(made.status.code(), Some(2), "{shipped:?}: {name}: {said}");
            assert!(said.contains("client id of the bridge"), "{said}");
        }
    }
    assert!(!directory.path().join("out").exists(), "nothing was made");
}

/// The payloads that the function was given.
fn handled(world: &World) -> usize {
    let calls = world.lambda.log().invocations().into_iter();
    calls.map(|call| serde_json::from_slice::<Event>(&call.payload).unwrap().records.len()).sum()
}

/// How many messages are confirmed where the queue is too small.
const ALL: usize = 60;

/// A broker with such a queue, a sensor's certificate, and a world without a bridge.
async fn with_a_small_queue(shipped: Shipped) -> Option<(Hardened, IdentityFiles, World)> {
    let small = |name: &str, text: String| match name {
        "mosquitto.conf" => text
            .replace("max_queued_messages 100000", "max_queued_messages 10")
            .replace("\nsys_interval 10", "\nsys_interval 1"),
        _ => text,
    };
    let broker = Hardened::start_from(shipped, small).await?;
    let sensor = broker.certificate("C-Client-01");
    let builder = World::builder().broker(broker.for_the_bridge()).function(willing());
    Some((broker, sensor, builder.without_bridge().await.unwrap()))
}

/// A bridge that reads the count, and receives little at once.
fn config(world: &World, protocol: Protocol, topic_filter: &str) -> String {
    let more = format!("{SHORT}\ndropped_topic = \"{DROPPED}\"");
    let config = replica::broker(world.url(), &world.files, protocol, "bridge", &more);
    config + &mapping("m", topic_filter, "receive_maximum = 5")
}

async fn publish_all(broker: &Hardened, sensor: &IdentityFiles) {
    let lines: Vec<String> = (0..ALL).map(|number| number.to_string()).collect();
    assert!(broker.publish_lines(sensor, "sensor/data", &lines).await.status.success());
}

/// Waits until what the bridge shows is what was confirmed and not handled, to the message.
async fn until_all_of_it_is_counted(bridge: &Replica, world: &World) {
    let is_counted = |text: &str| {
        let number = text.lines().find_map(|line| line.strip_prefix("mqtt_lambda_bridge_mqtt_dropped_by_broker "));
        number.is_some_and(|number| number.parse() == Ok(ALL - handled(world)))
    };
    bridge.until("all of it is counted", "/metrics", is_counted).await;
}

/// With a queue that is too small.
async fn what_is_dropped_is_told(shipped: Shipped) {
    let Some((broker, sensor, world)) = with_a_small_queue(shipped).await else { return };
    let config = config(&world, Protocol::V5, &shipped.topic_filter());
    let bridge = Replica::start(&world, "bridge", &config).await;
    bridge
        .until("the broker has told its count", "/metrics", |text| {
            text.contains("\nmqtt_lambda_bridge_mqtt_dropped_by_broker 0\n")
        })
        .await;
    assert!(bridge.logged("broker.dropped").is_empty());
    // A device does not receive the retained number, though it subscribes to it first.
    let own = "devices/C-Client-01/command";
    assert!(broker.publish_as_the_bridge(own, b"on").await.status.success());
    assert_eq!(broker.first(&sensor, [DROPPED, own]).await, format!("{own} on"));

    // The bridge is paused, so that the broker can only queue.
    assert_eq!(bridge.ask("POST", "/mappings/m/pause").await.0, 200);
    publish_all(&broker, &sensor).await;
    eventually("it is said", || !bridge.logged("broker.dropped").is_empty()).await;
    assert_eq!(bridge.ask("POST", "/mappings/m/resume").await.0, 200);
    let line = bridge.logged("broker.dropped").remove(0);
    assert_eq!((&line["level"], &line["topic"]), (&"WARN".into(), &DROPPED.into()), "{line}");
    assert_eq!(crate::alarms::raised(&line), ["broker-drops"]);
    let dropped = usize::try_from(line["dropped"].as_u64().unwrap()).unwrap();
    assert!((1..ALL).contains(&dropped), "{line}");
    until_all_of_it_is_counted(&bridge, &world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_docker_drops_is_told() {
    what_is_dropped_is_told(Shipped::Docker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_terraform_drops_is_told_and_rings() {
    what_is_dropped_is_told(Shipped::Terraform).await;
    let key = format!("dropped_topic = \"{DROPPED}\"");
    for file in ["docker/bridge/bridge.toml", "terraform/modules/bridge/templates/bridge.toml.tftpl"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains("\ndropped_topic = "), "{file}: its bridge does not ask");
    }
    assert!(fs::read_to_string(root().join("docker/bridge/bridge.toml")).unwrap().contains(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dropped_just_before_the_bridge_came_back_is_told() {
    let Some((broker, sensor, world)) = with_a_small_queue(Shipped::Docker).await else { return };
    let config = config(&world, Protocol::V5, "sensor/data");
    let mut bridge = Replica::start(&world, "first", &config).await;
    bridge.process.signal("TERM").await.unwrap();
    bridge.ended().await;
    publish_all(&broker, &sensor).await;
    let begun = Instant::now();
    while broker.first_for_the_bridge(DROPPED).await == "0" {
        assert!(begun.elapsed() < PATIENCE, "the broker counts nothing");
    }
    let bridge = Replica::start(&world, "second", &config).await;
    eventually("it is said", || !bridge.logged("broker.dropped").is_empty()).await;
    until_all_of_it_is_counted(&bridge, &world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_may_not_read_the_count_is_ready_all_the_same() {
    let denied = |name: &str, text: String| match name {
        "bridge.acl" => text.replace(&format!("topic read {DROPPED}"), ""),
        "mosquitto.conf" => text.replace("\nsys_interval 10", "\nsys_interval 1"),
        _ => text,
    };
    let Some(broker) = Hardened::start_from(Shipped::Docker, denied).await else { return };
    let sensor = broker.certificate("C-Client-01");
    let builder = World::builder().broker(broker.for_the_bridge()).function(willing());
    let world = builder.without_bridge().await.unwrap();
    let bridge = Replica::start(&world, "bridge", &config(&world, Protocol::V311, "sensor/data")).await;
    eventually("the reader is connected", || bridge.process.count("bridge-broker-stats") > 0).await;
    assert!(broker.publish_lines(&sensor, "sensor/data", &["1".into(), "2".into()]).await.status.success());
    eventually("both are handled", || handled(&world) == 2).await;
    let (_, metrics) = bridge.ask("GET", "/metrics").await;
    assert!(!metrics.contains("mqtt_dropped_by_broker"), "it was told nothing, and shows a number");
}
