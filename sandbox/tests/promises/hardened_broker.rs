//! Promise: with the Mosquitto of `docker/mosquitto` a device can use only its own topics, clients without a
//! certificate are refused, and confirmed messages survive a crash of the broker. The configuration is tested as it is
//! shipped.

use std::collections::BTreeSet;

use crate::common::{PATIENCE, answering, eventually, willing};
use crate::hardened::{Hardened, PSK, VERSIONS};
use event::{Encoding, Event, Publish, Response};
use sandbox::certs::{Leaf, SignedBy};
use sandbox::lambda::{Answer, Function};
use sandbox::world::World;
use serde_json::value::RawValue;

/// A world whose bridge subscribes to all that the access list lets through.
async fn world(broker: &Hardened, function: Function) -> World {
    let builder = World::builder().broker(broker.for_the_bridge()).function(function);
    // One invocation at a time: in the order in which the broker has sent.
    builder.set("mapping.concurrency", "1").set("mapping.topic_filter", "#").start().await.unwrap()
}

/// A world with this topic filter and these topics for answers.
async fn answering_world(broker: &Hardened, function: Function, reads: &str, allow: &str) -> World {
    let builder = World::builder().broker(broker.for_the_bridge()).function(function);
    let builder = builder.set("mapping.topic_filter", reads).set("mapping.response.allow", allow);
    // A refused answer is tried again, so others need a lane of their own.
    builder.set("mapping.concurrency", "2").start().await.unwrap()
}

/// What the function got, in the order of arrival: topics and payloads.
fn arrived(world: &World) -> Vec<(String, String)> {
    let events = world.lambda.log().invocations().into_iter();
    let events = events.map(|invocation| serde_json::from_slice::<Event>(&invocation.payload).unwrap());
    let records = events.flat_map(|event| event.records);
    records.map(|record| (record.topic, record.payload.get().trim_matches('"').to_owned())).collect()
}

async fn until_arrived(world: &World, payload: &str) {
    eventually(&format!("`{payload}` arrives"), || arrived(world).iter().any(|(_, text)| text == payload)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_publishes_as_another_is_refused() {
    for version in VERSIONS {
        let Some(broker) = Hardened::start().await else { return };
        let device = broker.certificate("device-a");
        let world = world(&broker, willing()).await;
        let version = ["-V", version];
        for (topic, payload) in [
            ("devices/device-a/data", "first"),
            ("devices/device-b/data", "as another"),
            ("devices/device-b/command", "as the cloud"),
            ("devices/device-a/data/below", "below"),
            ("sensor/data", "on a topic for named devices"),
            ("devices/device-a/data", "last"),
        ] {
            broker.publish(&device, topic, payload.as_bytes(), &version).await;
        }
        until_arrived(&world, "last").await;
        let own = |payload: &str| ("devices/device-a/data".to_owned(), payload.to_owned());
        assert_eq!(arrived(&world), [own("first"), own("last")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_device_may_use_the_shared_topic() {
    let Some(broker) = Hardened::start().await else { return };
    let device = broker.certificate("C-Client-01");
    let world = world(&broker, willing()).await;
    assert!(broker.publish(&device, "sensor/data", b"24.5", &[]).await.status.success());
    until_arrived(&world, "24.5").await;
    assert_eq!(arrived(&world), [("sensor/data".to_owned(), "24.5".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_reads_its_own_commands_and_nothing_else() {
    let Some(broker) = Hardened::start().await else { return };
    let (one, other) = (broker.certificate("device-a"), broker.certificate("device-b"));
    // The other's command first: what leaks comes before what is expected.
    let commands = answering(|_| {
        let command = |device: &str| Publish {
            item_identifier: None,
            topic: format!("devices/{device}/command"),
            payload: RawValue::from_string(format!("\"for {device}\"")).unwrap(),
            encoding: Encoding::Text,
            qos: None,
            retain: false,
        };
        Answer::json(&Response { publish: vec![command("device-b"), command("device-a")], ..Response::default() })
    });
    let world = answering_world(&broker, commands, "devices/+/data", "devices/+/command").await;
    broker.subscribe(&one, "#").await;
    broker.subscribe(&other, "devices/+/command").await;
    // A third client, because one of the two would end its earlier session by connecting again.
    let third = broker.certificate("device-c");
    assert!(broker.publish(&third, "devices/device-c/data", b"21.0", &[]).await.status.success());
    eventually("both commands are published", || world.counters().published.get() == 2).await;
    assert_eq!(broker.next(&one, "#").await, "devices/device-a/command for device-a");
    assert_eq!(broker.next(&other, "devices/+/command").await, "devices/device-b/command for device-b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_out_after_the_reload() {
    let Some(broker) = Hardened::start().await else { return };
    let good = broker.certificate("device-a");
    let identity = broker.pki.issue(&Leaf::client("device-b")).unwrap();
    let bad = identity.write_to(broker.files.ca.parent().unwrap(), "device-b").unwrap();
    let world = world(&broker, willing()).await;
    assert!(broker.publish(&bad, "devices/device-b/data", b"before", &[]).await.status.success());
    until_arrived(&world, "before").await;

    broker.revoke(&[&identity]).await;
    let begun = std::time::Instant::now();
    while broker.publish(&bad, "devices/device-b/data", b"not yet", &[]).await.status.success() {
        assert!(begun.elapsed() < PATIENCE, "a revoked device still gets in");
    }
    broker.publish(&bad, "devices/device-b/data", b"after", &[]).await;
    assert!(broker.publish(&good, "devices/device-a/data", b"last", &[]).await.status.success());
    until_arrived(&world, "last").await;
    assert!(!arrived(&world).iter().any(|(_, payload)| payload == "after"));
    assert_eq!(world.counters().connects.get(), 1, "the reload cost the bridge its connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_certificate_of_the_authority() {
    let Some(broker) = Hardened::start().await else { return };
    let good = broker.certificate("device-a");
    let stranger = Leaf { signed_by: SignedBy::Stranger, ..Leaf::client("device-a") };
    let directory = broker.files.ca.parent().unwrap();
    let stranger = broker.pki.issue(&stranger).unwrap().write_to(directory, "stranger").unwrap();
    let world = world(&broker, willing()).await;
    assert!(!broker.publish_as_nobody("devices/device-a/data", b"nobody").await.status.success());
    assert!(!broker.publish(&stranger, "devices/device-a/data", b"stranger", &[]).await.status.success());
    assert!(broker.publish(&good, "devices/device-a/data", b"last", &[]).await.status.success());
    until_arrived(&world, "last").await;
    assert_eq!(arrived(&world).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_takes_the_session_of_the_bridge() {
    let Some(broker) = Hardened::start().await else { return };
    let device = broker.certificate("device-a");
    let world = world(&broker, willing()).await;
    for version in VERSIONS {
        let its_id = ["-V", version, "-i", "sandbox-sensor-data"];
        assert!(broker.publish(&device, "devices/device-a/data", version.as_bytes(), &its_id).await.status.success());
        until_arrived(&world, version).await;
    }
    assert_eq!(world.counters().connects.get(), 1, "a device has taken the bridge's client id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_with_a_key_gets_to_its_own_topics_only() {
    let to_the_bridge = |file: &str, text: String| match file {
        "bridge.acl" => format!("{text}topic read psk/+/data\n"),
        _ => text,
    };
    let Some(broker) = Hardened::start_with(to_the_bridge).await else { return };
    broker.certificate("device-a");
    let world = world(&broker, willing()).await;
    for (topic, payload) in [
        ("psk/tiny-01/data", "first"),
        ("psk/tiny-02/data", "as another"),
        ("devices/tiny-01/data", "as one with a certificate"),
        ("sensor/data", "on a topic for named devices"),
        ("psk/tiny-01/data", "last"),
    ] {
        broker.publish_by_key("tiny-01", PSK, topic, payload.as_bytes()).await;
    }
    let wrong = PSK.replace('5', "6");
    assert!(!broker.publish_by_key("tiny-01", &wrong, "psk/tiny-01/data", b"wrong key").await.status.success());
    assert!(!broker.publish_by_key("tiny-02", PSK, "psk/tiny-02/data", b"unknown").await.status.success());
    until_arrived(&world, "last").await;
    let own = |payload: &str| ("psk/tiny-01/data".to_owned(), payload.to_owned());
    assert_eq!(arrived(&world), [own("first"), own("last")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_reads_what_the_access_list_grants_it_and_nothing_else() {
    let Some(broker) = Hardened::start().await else { return };
    let device = broker.certificate("device-a");
    let world = world(&broker, willing()).await;
    assert!(broker.publish_by_key("tiny-01", PSK, "psk/tiny-01/data", b"not granted").await.status.success());
    assert!(broker.publish(&device, "devices/device-a/data", b"last", &[]).await.status.success());
    until_arrived(&world, "last").await;
    assert_eq!(arrived(&world), [("devices/device-a/data".to_owned(), "last".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_publishes_commands_and_nothing_else() {
    let Some(broker) = Hardened::start().await else { return };
    let device = broker.certificate("device-a");
    let as_a_device = answering(|call| {
        let first = call.event().unwrap().records[0].payload.get() == "1";
        let payload = RawValue::from_string("\"as a device\"".to_owned()).unwrap();
        let topic = "devices/device-b/data".to_owned();
        let publish =
            Publish { item_identifier: None, topic, payload, encoding: Encoding::Text, qos: None, retain: false };
        Answer::json(&Response { publish: if first { vec![publish] } else { vec![] }, ..Response::default() })
    });
    // The bridge itself would let the function do it.
    let own = "devices/device-a/data";
    let world = answering_world(&broker, as_a_device, own, "devices/device-b/data").await;
    assert!(broker.publish(&device, own, b"1", &[]).await.status.success());
    eventually("the broker refuses it", || world.counters().publish_failures.get() > 0).await;
    assert!(broker.publish(&device, own, b"2", &[]).await.status.success());
    until_arrived(&world, "2").await;
    let own = |payload: &str| (own.to_owned(), payload.to_owned());
    assert_eq!(BTreeSet::from_iter(arrived(&world)), BTreeSet::from([own("1"), own("2")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_is_too_large_ends_the_connection() {
    let Some(broker) = Hardened::start().await else { return };
    let device = broker.certificate("device-a");
    let world = world(&broker, willing()).await;
    for version in VERSIONS {
        let large = broker.publish(&device, "devices/device-a/data", &vec![b'x'; 131_072], &["-V", version]).await;
        // With MQTT 5 it knows the limit, and this client then says nothing of what it does not send.
        assert!(version == "mqttv5" || !large.status.success(), "{large:?}");
        let fits = broker.publish(&device, "devices/device-a/data", &vec![b'y'; 130_000], &["-V", version]).await;
        assert!(fits.status.success(), "{fits:?}");
    }
    eventually("what fits arrives", || arrived(&world).len() >= VERSIONS.len()).await;
    assert!(arrived(&world).iter().all(|(_, payload)| payload.starts_with('y')));
}

/// Also that the bridge's rights hold while it is away, over a restart of the broker, when nobody is connected yet.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_confirmed_outlives_a_crash_of_the_broker_and_waits_for_the_bridge() {
    const EACH: usize = 10;
    let Some(mut broker) = Hardened::start().await else { return };
    let device = broker.certificate("device-a");
    let mut world = world(&broker, willing()).await;
    assert!(world.drain_bridge(PATIENCE).await);

    for number in 0..2 * EACH {
        if number == EACH {
            broker.saved().await;
            broker.crash_and_restart().await;
        }
        let payload = number.to_string();
        assert!(broker.publish(&device, "devices/device-a/data", payload.as_bytes(), &[]).await.status.success());
    }

    world.start_bridge().await.unwrap();
    for number in 0..2 * EACH {
        until_arrived(&world, &number.to_string()).await;
    }
    assert_eq!(world.counters().session_lost.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_suite_without_forward_secrecy_and_authenticated_encryption_is_agreed_on() {
    let (Some(broker), Some(openssl)) = (Hardened::start().await, sandbox::tools::require("openssl")) else { return };
    let device = broker.certificate("device-01");
    let good = "ECDHE-ECDSA-AES128-GCM-SHA256";
    assert_eq!(broker.agrees_on(&openssl, &device, good).await, good);
    for suite in ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"] {
        assert_eq!(broker.agrees_on(&openssl, &device, suite).await, "(NONE)", "{suite}");
    }
}
