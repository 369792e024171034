//! Promise: the status topic says whether the bridge is online: once it is ready, after a clean stop, and after a
//! crash; a broker that refuses the topic affects nothing else.

use std::process::Stdio;

use crate::common::{PATIENCE, publish, willing};
use bridge::config::Protocol;
use sandbox::broker::BrokerOptions;
use sandbox::tools;
use sandbox::world::{BrokerKind, World, WorldBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const TOPIC: &str = "bridges/sandbox/status";

/// Reads the topic, as a monitor does.
struct Monitor {
    lines: Lines<BufReader<ChildStdout>>,
    _tool: Child,
}

impl Monitor {
    fn of(world: &World) -> Self {
        let (tool, files) = (tools::find_tool("mosquitto_sub").unwrap(), &world.files);
        let mut tool = Command::new(tool)
            .args(["-h", "localhost", "-p", &world.url().port.to_string(), "-q", "1", "-V", "5", "-t", TOPIC])
            .args(["-F", "%r %p"])
            .arg("--cafile")
            .arg(&files.ca)
            .arg("--cert")
            .arg(&files.device.cert)
            .arg("--key")
            .arg(&files.device.key)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { lines: BufReader::new(tool.stdout.take().unwrap()).lines(), _tool: tool }
    }

    /// The next message, behind a 1 when it was retained before the monitor came, and a 0 when not.
    async fn next(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap().unwrap()
    }

    /// The same, once it is as `holds` says.
    async fn json(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.next().await;
            let value = serde_json::from_str(line.split_once(' ').unwrap().1).unwrap();
            if holds(&value) {
                return value;
            }
        }
    }
}

async fn world(protocol: Protocol, adjust: impl FnOnce(WorldBuilder) -> WorldBuilder) -> Option<World> {
    let (_, _) = (tools::require("mosquitto")?, tools::require("mosquitto_sub")?);
    let builder = World::builder().broker(BrokerKind::Mosquitto).protocol(protocol).function(willing());
    let builder = builder.set("mqtt.status.topic", "bridges/{client_id}/status").set("mqtt.status.will_delay", "0s");
    Some(adjust(builder).without_bridge().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_online_when_ready_and_offline_by_itself_at_the_end() {
    for protocol in [Protocol::V5, Protocol::V311] {
        let Some(mut world) = world(protocol, |b| b).await else { return };
        let mut monitor = Monitor::of(&world);
        world.start_bridge().await.unwrap();
        assert_eq!(monitor.next().await, "0 online");
        assert_eq!(Monitor::of(&world).next().await, "1 online", "it is retained");
        assert!(world.drain_bridge(PATIENCE).await);
        assert_eq!(monitor.next().await, "0 offline");
        assert_eq!(Monitor::of(&world).next().await, "1 offline");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_offline_by_the_will_when_it_is_killed() {
    for protocol in [Protocol::V5, Protocol::V311] {
        let Some(world) = world(protocol, |b| b).await else { return };
        let mut monitor = Monitor::of(&world);
        let mut process = world.spawn_bridge().unwrap();
        assert_eq!(monitor.next().await, "0 online");
        process.kill().await.unwrap();
        assert_eq!(monitor.next().await, "0 offline");
        assert_eq!(Monitor::of(&world).next().await, "1 offline", "it is retained");
    }
}

/// A restart that takes less than the delay is no news to anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_back_before_the_will_is_due_was_never_offline() {
    let Some(world) = world(Protocol::V5, |b| b.set("mqtt.status.will_delay", "1h")).await else { return };
    let mut monitor = Monitor::of(&world);
    let mut process = world.spawn_bridge().unwrap();
    assert_eq!(monitor.next().await, "0 online");
    process.kill().await.unwrap();
    let mut process = world.spawn_bridge().unwrap();
    assert_eq!(monitor.next().await, "0 online", "nothing in between");
    process.signal("TERM").await.unwrap();
    assert!(process.exited(PATIENCE).await.unwrap().is_some());
    assert_eq!(monitor.next().await, "0 offline");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_tells_version_since_when_and_how_each_mapping_stands() {
    let Some(mut world) = world(Protocol::V5, |b| b.set("mqtt.status.format", "json")).await else { return };
    let mut monitor = Monitor::of(&world);
    world.start_bridge().await.unwrap();
    let online = monitor.json(|_| true).await;
    assert_eq!((&online["status"], &online["mappings"]), (&json!("online"), &json!({ "sensor-data": "ready" })));
    assert_eq!(online["version"], env!("CARGO_PKG_VERSION"));
    assert!(online["since"].as_str().unwrap().ends_with('Z'), "{online}");
    assert!(world.bridge().unwrap().pause("sensor-data", true));
    monitor.json(|status| status["mappings"]["sensor-data"] == "paused").await;
    assert!(world.drain_bridge(PATIENCE).await);
    let offline = monitor.json(|status| status["status"] == "offline").await;
    assert_eq!(offline, json!({ "status": "offline", "version": env!("CARGO_PKG_VERSION") }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forbids_it_keeps_nothing_from_working_and_is_told_of_once() {
    for protocol in [Protocol::V5, Protocol::V311] {
        let options = BrokerOptions { allowed: vec!["sensor/data"], ..BrokerOptions::default() };
        let Some(world) = world(protocol, |b| b.broker_options(options).set("mqtt.backoff", "1ms..20ms")).await else {
            return;
        };
        let mut process = world.spawn_bridge().unwrap();
        assert!(process.logged("bridge.ready", PATIENCE).await, "{:#?}", process.log());
        publish(&world, 3, |_| {}).await;
        world.lambda.log().wait_for(PATIENCE, |log| log.totals().succeeded >= 3).await.unwrap();
        if protocol == Protocol::V5 {
            assert!(process.logged("status.refused", PATIENCE).await, "{:#?}", process.log());
        }
        process.signal("TERM").await.unwrap();
        assert!(process.exited(PATIENCE).await.unwrap().is_some_and(|status| status.success()));
        assert!(process.count("status.refused") <= 1, "{:#?}", process.log());
    }
}
