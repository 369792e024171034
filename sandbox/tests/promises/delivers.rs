//! Promise: every message on `sensor/data` reaches the function once, with its topic, QoS and payload.

use crate::common::{acknowledged, everywhere, nothing_lost, publish, willing};
use bridge::config::Protocol;
use event::{Event, Payload};
use sandbox::sensors::mosquitto_pub;
use sandbox::world::MAPPING;

const MESSAGES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn every_message_once_to_the_real_function() {
    everywhere(|builder| async move {
        let world = builder.start().await.unwrap();
        let sensors = publish(&world, MESSAGES as u64, |_| {}).await;
        acknowledged(&world, MESSAGES as u64).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.dead.len(), fate.extra()), (MESSAGES, 0, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_is_the_contract() {
    everywhere(|builder| async move {
        let world = builder.function(willing()).start().await.unwrap();
        publish(&world, 1, |_| {}).await;
        acknowledged(&world, 1).await;
        let invocation = world.lambda.log().invocations().remove(0);
        let event: Event = serde_json::from_slice(&invocation.payload).unwrap();
        assert_eq!((event.event_source.as_str(), event.mapping.as_str(), event.records.len()), ("mqtt", MAPPING, 1));
        let record = &event.records[0];
        assert_eq!((record.topic.as_str(), record.qos, record.retain, record.dup), ("sensor/data", 1, false, false));
        assert!(matches!(record.payload(), Ok(Payload::Json(json)) if json.get().contains("\"message_id\"")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_publisher_is_served_too() {
    let Some(tool) = sandbox::tools::require("mosquitto_pub") else { return };
    let tool = &tool;
    everywhere(|builder| async move {
        let world = builder.function(willing()).start().await.unwrap();
        let lines: Vec<_> = (1..=20).map(|n| format!("{{\"foreign\":{n}}}")).collect();
        mosquitto_pub(tool, world.url().port, &world.files, Protocol::V5, "sensor/data", &lines).await.unwrap();
        acknowledged(&world, 20).await;
        let payloads = world.lambda.log().invocations();
        for line in lines {
            let sent = payloads.iter().filter(|i| i.payload.windows(line.len()).any(|w| w == line.as_bytes())).count();
            assert_eq!(sent, 1, "{line}");
        }
    })
    .await;
}
