//! Promise: an answer that a real broker refuses affects only its own record: not the other answers, not the other
//! mappings, and never causes a second invocation.

use std::time::Duration;

use crate::common::{PATIENCE, answering, eventually, publish};
use crate::replica::{Replica, SHORT, broker, mapping};
use bridge::config::Protocol;
use event::{Publish, Response};
use sandbox::broker::BrokerOptions;
use sandbox::lambda::{Answer, Call};
use sandbox::world::{BrokerKind, World};
use serde_json::value::RawValue;

/// Mosquitto's limit for a packet.
const LARGEST: u32 = 2_000;

/// Answers each record at a topic of its device; the device `big` gets more than the broker takes.
fn commands(call: Call) -> Answer {
    let command = |record: event::Record| {
        let bytes = if record.topic.contains("big") { 3_000 } else { 10 };
        Publish {
            item_identifier: Some(record.id),
            topic: "devices/{topic[1]}/command".to_owned(),
            payload: RawValue::from_string(format!("\"{}\"", "y".repeat(bytes))).unwrap(),
            encoding: event::Encoding::Json,
            qos: None,
            retain: false,
        }
    };
    let publish = call.event().unwrap().records.into_iter().map(command).collect();
    Answer::json(&Response { publish, ..Response::default() })
}

/// Two mappings of one bridge, which share the connection that publishes.
async fn scene() -> Option<(World, Replica)> {
    sandbox::tools::require("mosquitto")?;
    let options = BrokerOptions {
        allowed: vec!["devices/+/data", "other/+/data", "devices/good/command", "devices/big/command"],
        max_packet_size: Some(LARGEST),
        ..BrokerOptions::default()
    };
    let builder = World::builder().protocol(Protocol::V5).broker(BrokerKind::Mosquitto).broker_options(options);
    let world = builder.function(answering(commands)).without_bridge().await.unwrap();
    let more = format!(
        "response.allow = [\"devices/+/command\"]\non_failure.file = \"{}\"\nretry.max_attempts = 3",
        world.dead_letter_file().display()
    );
    let config = broker(world.url(), &world.files, Protocol::V5, "b", SHORT)
        + &mapping("devices", "devices/+/data", &more)
        + &mapping("other", "other/+/data", "response.allow = [\"devices/+/command\"]");
    let bridge = Replica::start(&world, "bridge", &config).await;
    Some((world, bridge))
}

async fn send(world: &World, topic: &str, messages: u64) {
    publish(world, messages, |options| topic.clone_into(&mut options.topic)).await;
}

async fn counted(bridge: &Replica, metric: &str, mapping: &str) -> f64 {
    bridge.metric(&format!("mqtt_lambda_bridge_{metric}_total{{mapping=\"{mapping}\"}}")).await.unwrap_or_default()
}

/// F36, on the wire of a real broker: PUBACK 0x87, and Maximum Packet Size.
#[tokio::test(flavor = "multi_thread")]
async fn f36_what_mosquitto_refuses_costs_its_own_record_and_no_other_mapping_waits() {
    for (device, reason) in
        [("denied", "refused by the broker: not authorized"), ("big", "the broker takes 2000 at most")]
    {
        let Some((world, bridge)) = scene().await else { return };
        let topic = format!("devices/{device}/data");
        tokio::join!(
            send(&world, &topic, 30),
            send(&world, "devices/good/data", 30),
            send(&world, "other/good/data", 30)
        );
        bridge
            .until("all are acknowledged", "/metrics", |metrics| {
                let done = |mapping: &str, count: u32| {
                    let start = format!("mqtt_lambda_bridge_acknowledged_total{{mapping=\"{mapping}\"}} {count}");
                    metrics.lines().any(|line| line == start)
                };
                done("devices", 60) && done("other", 30)
            })
            .await;
        eventually("30 letters", || world.dead_letters().unwrap().len() == 30).await;
        for letter in world.dead_letters().unwrap() {
            assert_eq!((letter.topic.as_str(), letter.attempts), (topic.as_str(), 1), "{letter:?}");
            assert!(letter.error_message.contains(reason) && !letter.is_answer(), "{}", letter.error_message);
        }
        let totals = world.lambda.log().totals();
        assert_eq!(totals.invoked - totals.dry_runs, 90, "nothing is invoked again for an answer");
        let published = (counted(&bridge, "published", "devices").await, counted(&bridge, "published", "other").await);
        assert_eq!(published, (30.0, 30.0));
        assert_eq!(bridge.process.count("broker.lost"), 0, "{:#?}", bridge.process.log());
    }
}

/// What is refused for long and then taken has a line that says so.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_published_again_are_said() {
    let Some((world, mut bridge)) = scene().await else { return };
    send(&world, "devices/denied/data", 1).await;
    assert!(
        bridge.process.logged("\"event\":\"answers.not_published\"", PATIENCE).await,
        "{:#?}",
        bridge.process.log()
    );
    // Shorter troubles have no line of their own.
    tokio::time::sleep(Duration::from_secs(10)).await;
    send(&world, "devices/good/data", 1).await;
    assert!(bridge.process.logged("\"event\":\"answers.restored\"", PATIENCE).await, "{:#?}", bridge.process.log());
}
