//! The log of the real process: every line is one, and no payload is in it.

use bridge::config::Protocol;
use rumqttc::mqttbytes::v5::PublishProperties;
use sandbox::lambda::{Answer, Call};
use sandbox::scripted::{ConnAck, Message, Packet, Peer, ScriptError};
use sandbox::world::BridgeProcess;

use crate::common::{PATIENCE, answering, eventually};
use crate::stage::{Played, Stage};

/// A part of every payload, which must be in no log line.
const MARK: &str = "payload-7f3a9c";
const FORGED: &str = "\n{\"level\":\"ERROR\",\"fields\":{\"message\":\"forged\"}}\r\n\u{1b}[31mred\u{9b}0m";

/// Looks like an access key.
fn secrets() -> String {
    let begin = "-----BEGIN ".to_owned();
    format!("{MARK} {begin}PRIVATE KEY----- AKIAIOSFODNN7EXAMPLE password=hunter2 Authorization: Bearer abc{FORGED}")
}

/// Succeeds, throws, or fails a record, with the payload in every word it can say.
fn talkative(call: Call) -> Answer {
    let event = call.event().expect("an event");
    let record = &event.records[0];
    let text = String::from_utf8_lossy(&record.payload().expect("a payload").into_bytes()).into_owned();
    match text.split_once(' ').map(|(kind, _)| kind) {
        Some("throw") => Answer::error("Boom", &text),
        Some("fail") => Answer::json(&serde_json::json!({
            "batchItemFailures": [{ "itemIdentifier": record.id, "retry": false, "reason": text }]
        })),
        Some("unknown") => Answer::json(&serde_json::json!({ "batchItemFailures": [{ "itemIdentifier": text }] })),
        Some("publish") => Answer::json(&serde_json::json!({ "publish": [{ "topic": FORGED, "payload": text }] })),
        Some("reply") => Answer::json(&serde_json::json!({
            "reply": [{ "itemIdentifier": record.id, "payload": text, "encoding": "text" }]
        })),
        _ => Answer::null(),
    }
}

/// The next connection of the session, greeted. The publisher of the answers comes to the same broker, for which each is
/// a success.
async fn session(stage: &Stage, connack: &ConnAck) -> Result<Peer, ScriptError> {
    loop {
        let mut peer = stage.broker.accept().await?;
        if !peer.connect().await?.client_id.ends_with("-publisher") {
            peer.bytes(&connack.bytes(stage.protocol)).await?;
            return Ok(peer);
        }
        peer.bytes(&ConnAck::fresh().bytes(stage.protocol)).await?;
        tokio::spawn(async move {
            while let Ok(Packet::Publish { packet_id, .. }) = peer.next("PUBLISH").await {
                let _ = peer.puback(packet_id, 0).await;
            }
        });
    }
}

/// Every way in which foreign text can reach the log.
async fn provoke(stage: &Stage, process: &mut BridgeProcess) -> Played {
    session(stage, &ConnAck::refused(0x97).reason(FORGED)).await?;
    let mut peer = session(stage, &ConnAck::fresh()).await?;
    peer.grant(1).await?;
    let properties = PublishProperties {
        user_properties: vec![(secrets(), secrets())],
        content_type: Some(secrets()),
        response_topic: Some(FORGED.into()),
        correlation_data: Some(secrets().into()),
        ..PublishProperties::default()
    };
    let kinds = ["fine", "throw", "fail", "unknown", "publish", "reply", "{\"x\":\""];
    for (id, kind) in (1..).zip(kinds) {
        let message = Message::new(id, format!("{kind} {}", secrets())).topic(format!("topic{FORGED}"));
        peer.publish(&message.properties(properties.clone())).await?;
        assert_eq!(peer.ack().await?.packet_id, id);
    }
    peer.disconnect_because(0x98, FORGED).await?;
    peer.end().await?;
    let mut peer = session(stage, &ConnAck::resumed()).await?;
    peer.bytes(&[0, 0]).await?;
    peer.end().await?;
    session(stage, &ConnAck::resumed()).await?.reset();
    assert!(process.logged("administrative action", PATIENCE).await, "{:#?}", process.log());
    process.signal("TERM").await.unwrap();
    assert!(process.exited(PATIENCE).await.unwrap().is_some_and(|status| status.success()));
    Ok(())
}

async fn log(format: &str) -> Vec<String> {
    let adjust = |b: sandbox::world::WorldBuilder| {
        let b = b.function(answering(talkative)).set("log", format).set("mapping.retry.max_attempts", "2");
        let b = b.set("mapping.response.allow", "devices/+").set("mapping.reply", "true");
        b.set("mapping.reply_topics", "devices/{topic[0]}")
    };
    let stage = Stage::new(Protocol::V5, adjust).await;
    let mut process = stage.world.spawn_bridge_under(&["/usr/bin/env", "RUST_LOG=info,bridge=trace"]).unwrap();
    provoke(&stage, &mut process).await.unwrap();
    let lines = || process.log();
    eventually("its last line", || lines().iter().any(|line| line.contains("drained"))).await;
    lines()
}

fn assert_tells_no_payload(line: &str) {
    for word in [MARK, "hunter2", "AKIA", "PRIVATE KEY", "Bearer"] {
        assert!(!line.contains(word), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_json_and_none_is_forged_or_holds_a_payload() {
    for line in log("json").await {
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(parsed["timestamp"].is_string() && parsed["level"].is_string(), "{line}");
        assert_ne!(parsed["fields"]["message"], "forged", "{line}");
        assert_tells_no_payload(&line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_text_begins_with_its_time_and_moves_no_cursor() {
    for line in log("text").await {
        let time = line.split_whitespace().next().unwrap_or_default();
        assert!(time.starts_with("20") && time.ends_with('Z'), "a line that is none: {line:?}");
        assert!(!line.contains(char::is_control), "{line:?}");
        assert_tells_no_payload(&line);
    }
}
