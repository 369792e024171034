//! Promise: behind every Mosquitto configuration that is shipped, a device with a good certificate and bad intentions
//! destroys no message of another. Every configuration is tested as it is shipped, with the subscription of its bridge; and
//! without what protects, where messages are lost and the bridge says so.

use crate::replica;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::common::{PATIENCE, eventually, willing};
use crate::hardened::{Hardened, VERSIONS};
use crate::replica::{Replica, SHORT, mapping};
use crate::shipped::{EVERYWHERE, Shipped};
use bridge::config::Protocol;
use event::Event;
use sandbox::certs::IdentityFiles;
use sandbox::world::World;

/// How many messages are confirmed to their publisher.
const ALL: usize = 100;

/// The directive that keeps a device from the bridge's client id.
const PROTECTION: &str = "use_username_as_clientid true";

async fn world(broker: &Hardened, topic_filter: &str) -> World {
    let builder = World::builder().broker(broker.for_the_bridge()).function(willing());
    // In the order of receipt, so that a later message tells that none is on its way before it.
    builder.set("mapping.concurrency", "1").set("mapping.topic_filter", topic_filter).start().await.unwrap()
}

/// Publishes these numbers, all on one connection, and has them confirmed.
async fn confirmed(broker: &Hardened, sensor: &IdentityFiles, numbers: Range<usize>) {
    let lines: Vec<String> = numbers.map(|number| number.to_string()).collect();
    let published = broker.publish_lines(sensor, "sensor/data", &lines).await;
    assert!(published.status.success(), "{published:?}");
}

/// The payloads that the function was given.
fn handled(world: &World) -> BTreeSet<String> {
    let calls = world.lambda.log().invocations().into_iter();
    let records = calls.flat_map(|call| serde_json::from_slice::<Event>(&call.payload).unwrap().records);
    records.map(|record| record.payload.get().trim_matches('"').to_owned()).collect()
}

async fn until_all_are_handled(world: &World, shipped: Shipped) {
    eventually(&format!("{shipped:?}: all that was confirmed is handled"), || handled(world).len() == ALL).await;
}

/// With only its own certificate, a device connects as the bridge: while the bridge is connected, and while it is down.
async fn no_device_takes_the_session(shipped: Shipped) {
    for version in VERSIONS {
        let Some(broker) = Hardened::start_as(shipped).await else { return };
        let (sensor, attacker) = (broker.certificate("C-Client-01"), broker.certificate("device-a"));
        let mut world = world(&broker, &shipped.topic_filter()).await;
        broker.take_session(&attacker, "sandbox-sensor-data", version).await;
        confirmed(&broker, &sensor, 0..ALL / 2).await;
        assert_eq!(world.counters().connects.get(), 1, "{shipped:?}: a device has cut the bridge's connection");

        // The bridge is down, so its session holds all other messages.
        assert!(world.drain_bridge(PATIENCE).await);
        confirmed(&broker, &sensor, ALL / 2..ALL).await;
        broker.take_session(&attacker, "sandbox-sensor-data", version).await;
        world.start_bridge().await.unwrap();
        until_all_are_handled(&world, shipped).await;
        assert_eq!(world.counters().session_lost.get(), 0);
    }
}

/// A device joins the group that the bridge would be in, if its filter were shared.
async fn no_device_takes_a_share(shipped: Shipped) {
    let Some(broker) = Hardened::start_as(shipped).await else { return };
    let (sensor, attacker) = (broker.certificate("C-Client-01"), broker.certificate("device-a"));
    let world = world(&broker, &shipped.topic_filter()).await;
    // A persistent session, so that messages wait for it.
    broker.subscribe(&attacker, "$share/bridge/sensor/data").await;
    confirmed(&broker, &sensor, 0..ALL).await;
    until_all_are_handled(&world, shipped).await;
}

/// The first attack without the protecting directive: messages are lost, and the log has an error that triggers an
/// alarm.
async fn without_its_protection_the_session_is_taken(shipped: Shipped) {
    let unprotected = |name: &str, text: String| match name {
        "mosquitto.conf" => {
            assert_eq!(text.matches(PROTECTION).count(), 1, "{shipped:?}: one line protects");
            text.replace(PROTECTION, "")
        }
        _ => text,
    };
    let Some(broker) = Hardened::start_from(shipped, unprotected).await else { return };
    let (sensor, attacker) = (broker.certificate("C-Client-01"), broker.certificate("device-a"));
    let builder = World::builder().broker(broker.for_the_bridge()).function(willing());
    let world = builder.without_bridge().await.unwrap();
    let config = replica::broker(world.url(), &world.files, Protocol::V5, "bridge", SHORT);
    let config = config + &mapping("sensor-data", &shipped.topic_filter(), "");
    let mut bridge = Replica::start(&world, "first", &config).await;
    bridge.process.signal("TERM").await.unwrap();
    bridge.ended().await;
    confirmed(&broker, &sensor, 0..ALL).await;
    broker.take_session(&attacker, "bridge-sensor-data", VERSIONS[0]).await;

    let bridge = Replica::start(&world, "second", &config).await;
    confirmed(&broker, &sensor, ALL..ALL + 1).await;
    eventually("a later message is handled", || handled(&world).contains(&ALL.to_string())).await;
    assert_eq!(handled(&world).len(), 1, "{shipped:?}: what was confirmed is gone, or the protection is elsewhere");
    // A bridge that starts remembers no session; one that runs notices the attack.
    broker.take_session(&attacker, "bridge-sensor-data", VERSIONS[0]).await;
    eventually("it is said", || !bridge.logged("session.lost").is_empty()).await;
    assert_eq!(bridge.logged("session.lost")[0]["level"], "ERROR");
    assert_eq!(crate::alarms::raised(&bridge.logged("session.lost")[0]), ["errors", "session"]);
}

/// The second attack on a bridge whose filter is shared: the broker lets the device have its share.
async fn with_a_shared_filter_a_share_is_lost(shipped: Shipped) {
    let Some(broker) = Hardened::start_as(shipped).await else { return };
    let (sensor, attacker) = (broker.certificate("C-Client-01"), broker.certificate("device-a"));
    let world = world(&broker, &format!("$share/bridge/{}", shipped.topic_filter())).await;
    broker.subscribe(&attacker, "$share/bridge/sensor/data").await;
    confirmed(&broker, &sensor, 0..ALL).await;
    // At least one of several later messages reaches the bridge.
    confirmed(&broker, &sensor, ALL..2 * ALL).await;
    let later = |handled: &BTreeSet<String>| handled.iter().any(|number| number.parse::<usize>().unwrap() >= ALL);
    eventually("a later message is handled", || later(&handled(&world))).await;
    let kept = handled(&world).iter().filter(|number| number.parse::<usize>().unwrap() < ALL).count();
    assert!(kept < ALL, "{shipped:?}: the broker gives a device no share; the pages say that it does");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_takes_the_bridges_session() {
    for shipped in EVERYWHERE {
        no_device_takes_the_session(shipped).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_takes_a_share_of_the_bridges_messages() {
    for shipped in EVERYWHERE {
        no_device_takes_a_share(shipped).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_protection_the_session_is_taken_and_an_error_says_so() {
    for shipped in EVERYWHERE {
        without_its_protection_the_session_is_taken(shipped).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_shared_filter_a_device_takes_a_share() {
    for shipped in EVERYWHERE {
        with_a_shared_filter_a_share_is_lost(shipped).await;
    }
}
