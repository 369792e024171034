//! Promise: one mapping may have many topic filters in one session. Each message goes to the function once, with the filter that it
//! came by; a reload that exchanges one filter touches no other; and many filters cost next to nothing.

use std::collections::BTreeMap;

use crate::common::{PATIENCE, acknowledged, eventually, everywhere, nothing_lost, publish, records, willing};
use crate::replica::{AT_ONCE, Replica, SHORT, broker, mapping};
use bridge::config::Protocol;
use sandbox::sensors::Sensors;
use sandbox::tools;
use sandbox::world::{BrokerKind, World, WorldBuilder};

async fn publish_to(world: &World, topic: &str, total: u64) -> Sensors {
    publish(world, total, |options| topic.clone_into(&mut options.topic)).await
}

/// How often the function was given a message of each topic by each filter.
fn came_by(world: &World) -> BTreeMap<(String, String), usize> {
    let mut came = BTreeMap::new();
    for record in records(world) {
        let text = |name: &str| record[name].as_str().unwrap_or("none").to_owned();
        *came.entry((text("topic"), text("subscription"))).or_default() += 1;
    }
    came
}

fn expected(rows: &[(&str, &str, usize)]) -> BTreeMap<(String, String), usize> {
    rows.iter().map(|(topic, filter, count)| (((*topic).to_owned(), (*filter).to_owned()), *count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_comes_once_by_the_first_filter_that_matches() {
    everywhere(|builder| async move {
        let builder = builder.set("mapping.topic_filter", "sensor/data,plant/+/state,devices/#");
        let world = builder.function(willing()).start().await.unwrap();
        for topic in ["sensor/data", "plant/7/state", "devices/1/data", "elsewhere"] {
            publish_to(&world, topic, 5).await;
        }
        acknowledged(&world, 15).await;
        let rows = [
            ("sensor/data", "sensor/data", 5),
            ("plant/7/state", "plant/+/state", 5),
            ("devices/1/data", "devices/#", 5),
        ];
        assert_eq!(came_by(&world), expected(&rows));
        assert_eq!(world.counters().connects.get(), 1);
    })
    .await;
}

/// MQTT 5 with identifiers: whether a broker sends one message or a copy for each filter.
#[tokio::test(flavor = "multi_thread")]
async fn filters_that_overlap_bring_one_message_under_mqtt_5() {
    let mosquitto = tools::require("mosquitto").is_some();
    for kind in [BrokerKind::Embedded, BrokerKind::Mosquitto] {
        if !mosquitto && matches!(kind, BrokerKind::Mosquitto) {
            continue;
        }
        let builder = World::builder().broker(kind).protocol(Protocol::V5).function(willing());
        let builder = builder.set("mapping.topic_filter", "devices/#,devices/+/data,devices/1/data");
        let world = builder.start().await.unwrap();
        let sensors = publish_to(&world, "devices/1/data", 20).await;
        let fate = nothing_lost(&world, &sensors).await;
        let counters = world.counters();
        eventually("all is acknowledged", || counters.acknowledged.get() == counters.received.get()).await;
        assert_eq!((fate.handled.len(), fate.extra()), (20, 0));
        assert_eq!(came_by(&world), expected(&[("devices/1/data", "devices/#", 20)]));
        assert_eq!(counters.filtered.get(), 40, "both send a copy for each filter");
    }
}

async fn scene(builder: WorldBuilder) -> (World, impl Fn(&str) -> String) {
    let protocol = builder.protocol_spoken();
    let world = builder.function(willing()).without_bridge().await.unwrap();
    let (url, files) = (world.url().clone(), world.files.clone());
    (world, move |filters: &str| {
        broker(&url, &files, protocol, "b", &format!("{SHORT}\n{AT_ONCE}"))
            + &mapping("m", "F", "").replace("\"F\"", filters)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_exchanges_one_filter_touches_no_other() {
    everywhere(|builder| async move {
        let (world, config) = scene(builder).await;
        let mut bridge = Replica::start(&world, "bridge", &config(r#"["a", "sensor/data"]"#)).await;
        let mut sensors = world.sensors(|options| (options.rate, options.total) = (200.0, Some(400))).unwrap();
        eventually("messages flow", || sensors.acked() > 50).await;
        bridge.reload(&config(r#"["b", "sensor/data"]"#)).await;
        eventually("the old filter is given up", || bridge.logged("session.unsubscribed").len() == 1).await;
        assert_eq!(bridge.logged("session.unsubscribed")[0]["former"], serde_json::json!(r#"["a"]"#));
        tokio::time::timeout(PATIENCE, sensors.finished()).await.unwrap();
        nothing_lost(&world, &sensors).await;
        let (_, new) = (publish_to(&world, "a", 5).await, publish_to(&world, "b", 5).await);
        nothing_lost(&world, &new).await;
        assert_eq!(bridge.connected("b-m"), [false, true]);
        let came = came_by(&world);
        assert!(!came.keys().any(|(topic, _)| topic == "a"), "{came:?}");
        assert_eq!(came[&("b".to_owned(), "b".to_owned())], 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_filters_take_two_mebibytes_at_most() {
    if tools::require("mosquitto").is_none() {
        return;
    }
    let many: Vec<_> = (0..500).map(|number| format!("devices/{number}/data")).collect();
    for protocol in [Protocol::V5, Protocol::V311] {
        let mut resident = Vec::new();
        for filters in [&many[..1], &many[..]] {
            let builder = World::builder().broker(BrokerKind::Mosquitto).protocol(protocol).function(willing());
            let builder = builder.set("mapping.topic_filter", &filters.join(","));
            let world = builder.without_bridge().await.unwrap();
            let mut process = world.spawn_bridge().unwrap();
            assert!(process.logged("bridge.ready", PATIENCE).await, "{:#?}", process.log());
            let last = publish_to(&world, filters.last().unwrap(), 5).await;
            nothing_lost(&world, &last).await;
            resident.push(process.usage().unwrap().resident);
        }
        let more = resident[1].saturating_sub(resident[0]);
        eprintln!("MQTT {protocol}: {} KiB for one filter, {} KiB more for 500", resident[0] >> 10, more >> 10);
        assert!(more <= 2 << 20, "{resident:?}");
    }
}
