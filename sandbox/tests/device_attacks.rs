//! Promise: behind every Mosquitto configuration that is shipped, a device with a good certificate and bad intentions
//! destroys no message of another. Every configuration is tested as it is shipped, with the subscription of its bridge.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails, fails the test")]

mod common;
#[path = "parts/hardened.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "a step that fails, fails the test")]
mod hardened;
#[path = "parts/shipped.rs"]
#[allow(clippy::unwrap_used, reason = "a step of a test that fails, fails the test")]
mod shipped;

use std::collections::BTreeSet;
use std::ops::Range;

use common::{PATIENCE, eventually, willing};
use event::Event;
use hardened::{Hardened, VERSIONS};
use sandbox::certs::IdentityFiles;
use sandbox::world::World;
use shipped::Shipped;

/// How many messages are confirmed to their publisher.
const ALL: usize = 100;

async fn world(broker: &Hardened, shipped: Shipped) -> World {
    let builder = World::builder().broker(broker.for_the_bridge()).function(willing());
    builder.set("mapping.topic_filter", &shipped.topic_filter()).start().await.unwrap()
}

/// Publishes these numbers, all on one connection, and has them confirmed.
async fn confirmed(broker: &Hardened, sensor: &IdentityFiles, numbers: Range<usize>) {
    for number in numbers {
        let published = broker.publish(sensor, "sensor/data", number.to_string().as_bytes(), &[]).await;
        assert!(published.status.success(), "{published:?}");
    }
}

async fn until_all_are_handled(world: &World, shipped: Shipped) {
    let handled = || {
        let calls = world.lambda.log().invocations().into_iter();
        let records = calls.flat_map(|call| serde_json::from_slice::<Event>(&call.payload).unwrap().records);
        let payloads = records.map(|record| record.payload.get().trim_matches('"').to_owned());
        payloads.collect::<BTreeSet<_>>().len()
    };
    eventually(&format!("{shipped:?}: all that was confirmed is handled"), || handled() == ALL).await;
}

async fn takes_the_session(shipped: Shipped) {
    for version in VERSIONS {
        let Some(broker) = Hardened::start_as(shipped).await else { return };
        let (sensor, attacker) = (broker.certificate("C-Client-01"), broker.certificate("device-a"));
        let mut world = world(&broker, shipped).await;
        broker.take_session(&attacker, "sandbox-sensor-data", version).await;
        confirmed(&broker, &sensor, 0..ALL / 2).await;
        assert_eq!(world.counters().connects.get(), 1, "{shipped:?}: a device has cut the bridge's connection");

        // While the bridge is away, all that it has not had is in its session.
        assert!(world.drain_bridge(PATIENCE).await);
        confirmed(&broker, &sensor, ALL / 2..ALL).await;
        broker.take_session(&attacker, "sandbox-sensor-data", version).await;
        world.start_bridge().await.unwrap();
        until_all_are_handled(&world, shipped).await;
        assert_eq!(world.counters().session_lost.get(), 0);
    }
}

async fn joins_the_group(shipped: Shipped) {
    let Some(broker) = Hardened::start_as(shipped).await else { return };
    let (sensor, attacker) = (broker.certificate("C-Client-01"), broker.certificate("device-a"));
    let world = world(&broker, shipped).await;
    // Under a session that stays, so that what it is given waits for it.
    broker.subscribe(&attacker, "$share/bridge/sensor/data").await;
    confirmed(&broker, &sensor, 0..ALL).await;
    until_all_are_handled(&world, shipped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_takes_the_bridges_session_in_docker() {
    takes_the_session(Shipped::Docker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_takes_the_bridges_session_in_terraform() {
    takes_the_session(Shipped::Terraform).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_takes_the_bridges_session_in_the_walk() {
    takes_the_session(Shipped::Walk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_takes_a_share_in_docker() {
    joins_the_group(Shipped::Docker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_takes_a_share_in_terraform() {
    joins_the_group(Shipped::Terraform).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_takes_a_share_in_the_walk() {
    joins_the_group(Shipped::Walk).await;
}
