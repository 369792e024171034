//! Promise: the function's answers are published, to allowed topics only, and confirmed before the message that caused
//! them is acknowledged. A hub publishes to `devices/iot-hub-001/data`, and a high temperature is answered with a
//! command to `devices/iot-hub-001/command`.

use crate::common;

use crate::common::{PATIENCE, acknowledged, answering, eventually, everywhere, nothing_lost, publish, tapped};
use crate::subscriber::{Subscriber, Want};
use bridge::config::Protocol;
use event::{Publish, Reply, Response};
use sandbox::lambda::{Answer, Call};
use sandbox::wiretap::Packet;
use sandbox::world::{World, WorldBuilder};
use serde_json::value::RawValue;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// Answers each message with a command to its device, by the levels of its topic.
fn commands(call: Call) -> Answer {
    let topic = "devices/{topic[1]}/command".to_owned();
    let payload = raw(&format!(r#"{{"set":"idle","after":{}}}"#, call.event().unwrap().records.len()));
    let publish =
        Publish { item_identifier: None, topic, payload, encoding: event::Encoding::Json, qos: None, retain: false };
    Answer::json(&Response { publish: vec![publish], ..Response::default() })
}

fn hub(builder: WorldBuilder) -> WorldBuilder {
    builder
        .set("mapping.topic_filter", "devices/+/data")
        .set("mapping.response.allow", "devices/+/command")
        .set("mapping.timeout", "5s")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_high_temperature_is_answered_with_a_command_to_its_hub() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let world = hub(builder).function(answering(commands)).start().await.unwrap();
        let port = world.url().port;
        let want = Want { protocol, qos: 1, receive_maximum: 100 };
        let mut device = Subscriber::start(port, &world.files, want, "devices/iot-hub-001/command").await;
        publish(&world, 3, |options| options.topic = "devices/iot-hub-001/data".into()).await;
        for _ in 0..3 {
            assert_eq!(device.next().await.payload(), r#"{"set":"idle","after":1}"#);
        }
        acknowledged(&world, 3).await;
        assert_eq!(world.counters().published.get(), 3);
    })
    .await;
}

/// The real function, told a threshold that every sensor passes.
#[tokio::test(flavor = "multi_thread")]
async fn the_real_function_commands_a_hub_that_is_too_warm() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let world = hub(builder).environment("TEMPERATURE_MAX", "14").start().await.unwrap();
        let want = Want { protocol, qos: 1, receive_maximum: 100 };
        let mut device = Subscriber::start(world.url().port, &world.files, want, "devices/+/command").await;
        publish(&world, 1, |options| options.topic = "devices/{device}/data".into()).await;
        let command: serde_json::Value = serde_json::from_str(&device.next().await.payload()).unwrap();
        assert_eq!((&command["command"], &command["limit"]), (&"cool".into(), &14.0.into()), "{command}");
        acknowledged(&world, 1).await;
        assert_eq!(world.counters().published.get(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_before_its_answer_is_confirmed() {
    everywhere(|builder| async move {
        // The publisher's connection goes through the tap as well as the session's.
        let (world, tap) = tapped(hub(builder).function(answering(commands))).await;
        publish(&world, 1, |options| options.topic = "devices/a/data".into()).await;
        acknowledged(&world, 1).await;
        eventually("the acknowledgement is on the wire", || common::acks(&tap.seen()).len() == 2).await;
        let seen = tap.seen();
        let is_answer =
            |packet: &Packet| matches!(packet, Packet::Publish { payload, .. } if payload.starts_with(b"{\"set\""));
        let publisher = seen.iter().find(|seen| is_answer(&seen.packet)).unwrap().connection;
        let acks = seen.iter().filter(|seen| matches!(seen.packet, Packet::Ack { .. }));
        let connections: Vec<_> = acks.map(|seen| seen.connection == publisher).collect();
        assert_eq!(connections, [true, false], "first the broker confirms the answer, then the session acknowledges");
    })
    .await;
}

/// Answers each record with a command of its own, number 7 with one that no broker takes.
fn commands_of_records(bad: &'static str) -> impl Fn(Call) -> Answer + Clone + Send + Sync + 'static {
    move |call| {
        let command = |(number, record): (usize, event::Record)| Publish {
            item_identifier: Some(record.id),
            topic: if number == 7 { bad.to_owned() } else { "devices/{topic[1]}/command".to_owned() },
            payload: raw("1"),
            encoding: event::Encoding::Json,
            qos: None,
            retain: false,
        };
        let publish = (0..).zip(call.event().unwrap().records).map(command).collect();
        Answer::json(&Response { publish, ..Response::default() })
    }
}

/// F37.
#[tokio::test(flavor = "multi_thread")]
async fn f37_one_bad_topic_among_the_answers_of_a_batch_touches_one_record() {
    everywhere(|builder| async move {
        let builder = hub(builder)
            .set("mapping.batch.max_records", "20")
            .set("mapping.batch.max_window", "5s")
            .function(answering(commands_of_records("elsewhere")));
        let world = builder.start().await.unwrap();
        publish(&world, 20, |options| options.topic = "devices/a/data".into()).await;
        acknowledged(&world, 20).await;
        let letters = world.dead_letters().unwrap();
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!((letters[0].error_type.as_str(), letters[0].attempts), ("Function.RefusedResponse", 1));
        assert!(letters[0].error_message.contains("response.allow"), "{}", letters[0].error_message);
        assert!(letters[0].topic == "devices/a/data" && !letters[0].is_answer(), "the record itself");
        assert_eq!(letters[0].id, world.lambda.log().invocations()[0].record_ids[7], "and no other");
        assert_eq!((world.counters().published.get(), world.lambda.log().invocations().len()), (19, 1));
    })
    .await;
}

/// F36, the kind that has no reason: the broker closes the connection.
#[tokio::test(flavor = "multi_thread")]
async fn f36_an_answer_that_the_broker_refuses_is_dead_lettered_and_the_function_not_invoked_again() {
    if sandbox::tools::require("mosquitto").is_none() {
        return;
    }
    // More levels than Mosquitto follows: it closes the connection.
    let deep: &'static str = Box::leak("deep/".repeat(300).into_boxed_str());
    let builder = sandbox::world::World::builder().protocol(Protocol::V5).broker(sandbox::world::BrokerKind::Mosquitto);
    let builder = hub(builder)
        .set("mapping.response.allow", "devices/+/command,deep/#")
        .set("mapping.batch.max_records", "20")
        .set("mapping.batch.max_window", "5s")
        .function(answering(commands_of_records(deep)));
    let world = builder.start().await.unwrap();
    publish(&world, 20, |options| options.topic = "devices/a/data".into()).await;
    acknowledged(&world, 20).await;
    let letters = world.dead_letters().unwrap();
    assert_eq!((letters.len(), letters[0].topic.as_str()), (1, "devices/a/data"));
    assert!(letters[0].error_message.contains("the connection broke"), "{}", letters[0].error_message);
    assert_eq!((world.counters().published.get(), world.lambda.log().invocations().len()), (19, 1));
    assert_eq!(world.counters().answers_dead_lettered.get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_asks_for_no_answers_ignores_them_with_one_warning() {
    let command = |call: Call| {
        let id = call.event().unwrap().records[0].id.clone();
        let about = serde_json::json!({ "topic": "devices/a/command", "payload": "on", "itemIdentifier": id });
        let about_none = serde_json::json!({ "topic": "devices/a/command", "payload": "on" });
        Answer::json(&serde_json::json!({ "publish": [about, about_none] }))
    };
    let world = World::builder().function(answering(command)).without_bridge().await.unwrap();
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    let sensors = publish(&world, 5, |_| {}).await;
    let fate = nothing_lost(&world, &sensors).await;
    assert_eq!((fate.handled.len(), world.dead_letters().unwrap()), (5, vec![]));
    assert!(process.logged("function.answers_ignored", PATIENCE).await, "{:#?}", process.log());
    assert_eq!(process.count("function.answers_ignored"), 1, "{:#?}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_no_record_is_the_dead_letter_itself_or_is_dropped() {
    for (way, dropped) in [("dead-letter", 0), ("drop", 1)] {
        everywhere(|builder| async move {
            let builder = hub(builder).set("mapping.response.allow", "other/+").set("mapping.on_refused_answer", way);
            let world = builder.function(answering(commands)).start().await.unwrap();
            publish(&world, 1, |options| options.topic = "devices/a/data".into()).await;
            acknowledged(&world, 1).await;
            let (letters, counters) = (world.dead_letters().unwrap(), world.counters());
            assert_eq!((counters.delivered.get(), counters.answers_dropped.get()), (1, dropped));
            assert_eq!(letters.len() as u64, 1 - dropped);
            if let [letter] = letters.as_slice() {
                assert!(letter.is_answer(), "{letter:?}");
                assert_eq!(letter.topic, "devices/{topic[1]}/command", "as the function wrote it");
                assert_eq!(letter.payload, r#"{"set":"idle","after":1}"#);
                assert!(letter.error_message.contains("response.allow"), "{}", letter.error_message);
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_at_its_response_topic_with_its_correlation_data() {
    let Some(tool) = sandbox::tools::require("mosquitto_rr") else { return };
    let reply = |call: Call| {
        let record = call.event().unwrap().records.remove(0);
        let reply = Reply { item_identifier: record.id, payload: raw("\"pong\""), encoding: event::Encoding::Text };
        Answer::json(&Response { reply: vec![reply], ..Response::default() })
    };
    let builder = hub(sandbox::world::World::builder().protocol(Protocol::V5)).set("mapping.reply", "true");
    let world =
        builder.set("mapping.reply_topics", "replies/{topic[1]}").function(answering(reply)).start().await.unwrap();
    let (files, port) = (&world.files, world.url().port.to_string());
    let request = tokio::process::Command::new(tool)
        .args([
            "-h",
            "localhost",
            "-p",
            &port,
            "-V",
            "5",
            "-q",
            "1",
            "-t",
            "devices/a/data",
            "-e",
            "replies/a",
            "-m",
            "ping",
        ])
        .args(["-D", "publish", "correlation-data", "c-1", "-W", "10"])
        .arg("--cafile")
        .arg(&files.ca)
        .arg("--cert")
        .arg(&files.device.cert)
        .arg("--key")
        .arg(&files.device.key)
        .output();
    let output = tokio::time::timeout(PATIENCE, request).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "pong", "{}", String::from_utf8_lossy(&output.stderr));
    acknowledged(&world, 1).await;
}
