//! Promise: a topic of the same broker gets messages that the function rejects before they are acknowledged: under MQTT
//! 5 the message itself with the reason as properties, under MQTT 3.1.1 the dead letter in JSON.

use std::collections::HashMap;

use crate::common::{acknowledged, eventually, everywhere, fault, publish, willing};
use crate::messages::Messages;
use crate::subscriber::{Delivery, Subscriber, Want};
use bridge::config::Protocol;
use bridge::dead_letter::DeadLetter;
use bridge::message::Properties;
use bytes::Bytes;
use sandbox::lambda::{Action, When};
use sandbox::world::{BrokerKind, FUNCTION, MAPPING, World, WorldBuilder};

const TOPIC: &str = "dead/letters";

/// A function that rejects everything, and a reader of the topic.
async fn world(builder: WorldBuilder) -> (World, Subscriber) {
    let want = Want { protocol: builder.protocol_spoken(), qos: 1, receive_maximum: 1000 };
    let builder = builder.function(willing()).set("mapping.retry.max_attempts", "2");
    let mut world = builder.without_bridge().await.unwrap();
    let port = world.broker.as_ref().unwrap().port();
    let subscriber = Subscriber::start(port, &world.files, want, TOPIC).await;
    world.unset("mapping.on_failure.file");
    world.set("mapping.on_failure.topic", TOPIC);
    world.start_bridge().await.unwrap();
    fault(&world, When::Always, Action::function_error("SensorError", "cannot\n\u{0}"));
    (world, subscriber)
}

fn check_v5(publish: &rumqttc::Publish, payload: &Bytes, sent: &Properties) {
    assert_eq!(&publish.payload, payload);
    let properties = publish.properties.as_ref().unwrap();
    assert_eq!(properties.content_type, sent.content_type);
    assert_eq!(properties.response_topic, sent.response_topic);
    assert_eq!(properties.correlation_data, sent.correlation_data);
    assert!(properties.user_properties.starts_with(&sent.user), "{:?}", properties.user_properties);
    let user: HashMap<_, _> =
        properties.user_properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (name, value) in [
        ("mapping", MAPPING),
        ("function", FUNCTION),
        ("topic", "sensor/data"),
        ("error-type", "SensorError"),
        ("error-message", "cannot\\n\\0"),
        ("attempts", "2"),
    ] {
        assert_eq!(user[format!("dead-letter-{name}").as_str()], value);
    }
    let time = |name| user[format!("dead-letter-{name}-at").as_str()];
    assert!(time("received") <= time("first-attempt") && time("first-attempt") <= time("last-attempt"));
    assert!(!user["dead-letter-record-id"].is_empty());
}

fn check_v311(publish: &rumqttc_v4::Publish, payload: &Bytes) {
    let letter: DeadLetter = serde_json::from_slice(&publish.payload).unwrap();
    assert_eq!(&Bytes::from(letter.payload_bytes().unwrap()), payload);
    assert_eq!((letter.mapping.as_str(), letter.topic.as_str(), letter.attempts), (MAPPING, "sensor/data", 2));
    assert_eq!((letter.error_type.as_str(), letter.error_message.as_str()), ("SensorError", "cannot\\n\\0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_original_bytes_and_the_reason() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let (world, mut subscriber) = Box::pin(world(builder)).await;
        let messages = Messages::start(&world, protocol);
        let binary: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let properties = Properties {
            content_type: Some("application/octet-stream".into()),
            response_topic: Some("answers/1".into()),
            correlation_data: Some(Bytes::from_static(&[0, 255])),
            user: vec![("b".into(), "2".into()), ("a".into(), "1".into()), ("b".into(), "3".into())],
            ..Properties::default()
        };
        for (sent, payload) in (1..).zip([Bytes::from(binary), Bytes::from_static(b"{ \"a\" : 1 }"), Bytes::new()]) {
            messages.publish(payload.clone(), Some(properties.clone())).await;
            acknowledged(&world, sent).await;
            let delivery = subscriber.next().await;
            match &delivery {
                Delivery::V5(publish) => check_v5(publish, &payload, &properties),
                Delivery::V311(publish) => check_v311(publish, &payload),
                Delivery::Subscribed => panic!("no message"),
            }
            assert_eq!(matches!(delivery, Delivery::V5(_)), protocol == Protocol::V5);
            subscriber.ack(&delivery).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_before_it_is_acknowledged() {
    everywhere(|builder| async move {
        let (world, mut subscriber) = Box::pin(world(builder)).await;
        let sensors = publish(&world, 100, |_| {}).await;
        acknowledged(&world, 100).await;
        // All have been confirmed to the bridge, so all are on their way.
        let deliveries = subscriber.take(100).await;
        assert_eq!((deliveries.len(), sensors.published()), (100, 100));
        assert_eq!(world.counters().dead_letter_failures.get(), 0);
    })
    .await;
}

/// Mosquitto says at QoS 1 that nobody is subscribed (MQTT 5, 3.4.2.1), and drops the letter.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_nobody_reads_is_not_written() {
    if sandbox::tools::require("mosquitto").is_none() {
        return;
    }
    for (unread, is_held) in [("refuse", true), ("accept", false)] {
        let builder = World::builder().broker(BrokerKind::Mosquitto).function(willing());
        let builder = builder.set("mapping.retry.max_attempts", "1").set("mapping.on_unread_letter", unread);
        let mut world = builder.without_bridge().await.unwrap();
        world.unset("mapping.on_failure.file");
        world.set("mapping.on_failure.topic", TOPIC);
        world.start_bridge().await.unwrap();
        fault(&world, When::Always, Action::function_error("SensorError", "cannot"));
        publish(&world, 3, |_| {}).await;
        if is_held {
            eventually("it has been tried", || world.counters().dead_letter_failures.get() >= 3).await;
            assert_eq!(world.counters().acknowledged.get(), 0, "what nobody has read is acknowledged");
            let want = Want { protocol: Protocol::V5, qos: 1, receive_maximum: 1000 };
            let port = world.broker.as_ref().unwrap().port();
            let mut reader = Subscriber::start(port, &world.files, want, TOPIC).await;
            assert_eq!(reader.take(3).await.len(), 3);
        }
        acknowledged(&world, 3).await;
    }
}
