//! Promise: the log of the real binary has every event of an audit under a stable name, with the details to follow it
//! up, and without a payload.

use std::process::{Output, Stdio};

use crate::common::{PATIENCE, answering, eventually, fault, publish, willing};
use crate::stage::{Played, Stage};
use bridge::config::Protocol;
use sandbox::certs::{Leaf, PkiOptions, SignedBy, Validity};
use sandbox::lambda::{Action, Answer, When};
use sandbox::queue::{Queue, Trouble};
use sandbox::scripted::ConnAck;
use sandbox::world::{BridgeProcess, World, WorldBuilder};
use serde_json::Value;

/// The lines of a log that tell this event.
fn told(log: &[String], event: &str) -> Vec<Value> {
    let lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == event).collect()
}

/// Waits for this many of them.
async fn events(process: &BridgeProcess, event: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} {event}"), || told(&process.log(), event).len() >= count).await;
    told(&process.log(), event)
}

/// A bridge whose function rejects everything.
async fn refusing(adjust: impl FnOnce(WorldBuilder) -> WorldBuilder) -> (World, BridgeProcess) {
    let function = answering(|_| Answer::error("SensorError", "cannot"));
    let builder = World::builder().function(function).set("mapping.retry.max_attempts", "1");
    let world = adjust(builder).without_bridge().await.unwrap();
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    (world, process)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_dead_letter_is_told_once_with_its_place_and_without_its_payload() {
    for protocol in [Protocol::V5, Protocol::V311] {
        let (world, process) = refusing(|b| b.protocol(protocol)).await;
        publish(&world, 3, |_| {}).await;
        let told = events(&process, "dead_letter.written", 3).await;
        let letters = world.dead_letters().unwrap();
        assert_eq!((told.len(), letters.len()), (3, 3));
        for letter in letters {
            let mut of_it = told.iter().filter(|line| line["record"] == letter.id.as_str());
            let line = of_it.next().unwrap_or_else(|| panic!("{} is missing in {told:#?}", letter.id));
            assert!(of_it.next().is_none(), "told twice: {line}");
            assert_eq!((&line["mapping"], &line["destination"]), (&"sensor-data".into(), &"file".into()), "{line}");
            assert_eq!((&line["error_type"], &line["attempts"]), (&"SensorError".into(), &1.into()), "{line}");
        }
        assert_eq!(process.count("temperature"), 0, "{:#?}", process.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_finds_no_place_is_told_and_so_is_the_place_that_took_none() {
    let queue = Queue::start().await.unwrap();
    queue.trouble(Some(Trouble::Down));
    let (world, process) = refusing(|b| b.set("mapping.on_failure.sqs", &queue.url())).await;
    publish(&world, 1, |_| {}).await;
    let failing = events(&process, "dead_letter.destination_failing", 1).await;
    assert!(failing[0]["reason"].as_str().unwrap().contains(&queue.url()), "{}", failing[0]);
    let written = events(&process, "dead_letter.written", 1).await;
    assert_eq!(written[0]["destination"], "file", "the next one took it: {}", written[0]);
    queue.trouble(None);
    publish(&world, 1, |_| {}).await;
    events(&process, "dead_letter.destination_restored", 1).await;
    assert_eq!(events(&process, "dead_letter.written", 2).await[1]["destination"], "sqs");

    // Without another failure destination the message is held.
    let alone = World::builder().function(answering(|_| Answer::error("SensorError", "cannot")));
    let mut world = alone.set("mapping.retry.max_attempts", "1").without_bridge().await.unwrap();
    world.unset("mapping.on_failure.file");
    world.set("mapping.on_failure.sqs", &queue.url());
    queue.trouble(Some(Trouble::Down));
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    publish(&world, 1, |_| {}).await;
    let failed = events(&process, "dead_letter.failed", 1).await;
    assert!(failed[0]["record"].is_string() && failed[0]["mapping"] == "sensor-data", "{}", failed[0]);
    assert_eq!(failed[0]["error_type"], "SensorError");
    assert_eq!(told(&process.log(), "dead_letter.written").len(), 0);
    assert_eq!(failed[0]["failures"], 1);
    let before = queue.attempts();
    eventually("it is tried again and again", || queue.attempts() >= before + 3).await;
    queue.trouble(None);
    let written = events(&process, "dead_letter.written", 1).await;
    assert_eq!(written[0]["record"], failed[0]["record"]);
    let restored = events(&process, "dead_letter.restored", 1).await;
    assert_eq!(restored[0]["destination"], queue.url(), "{}", restored[0]);
    let said = told(&process.log(), "dead_letter.failed").len();
    assert_eq!(said, 1, "once, however often it was tried: {:#?}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_a_message_that_no_place_can_ever_take_is_told_and_so_is_the_window_that_it_fills() {
    let queue = Queue::start().await.unwrap();
    let alone = World::builder().function(answering(|_| Answer::error("SensorError", "cannot")));
    let adjusted = alone.set("mapping.retry.max_attempts", "1").set("mapping.receive_maximum", "2");
    let mut world = adjusted.without_bridge().await.unwrap();
    world.unset("mapping.on_failure.file");
    world.set("mapping.on_failure.sqs", &queue.url());
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    publish(&world, 1, |options| options.padding = 1024 * 1024).await;
    let impossible = events(&process, "dead_letter.impossible", 1).await;
    assert!(impossible[0]["record"].is_string() && impossible[0]["topic"].is_string(), "{}", impossible[0]);
    assert!(impossible[0]["cause"].as_str().unwrap().contains("bytes; the queue takes"), "{}", impossible[0]);
    assert_eq!(told(&process.log(), "dead_letter.window_full").len(), 0);
    publish(&world, 1, |_| {}).await;
    let full = events(&process, "dead_letter.window_full", 1).await;
    assert_eq!((&full[0]["mapping"], &full[0]["held"]), (&"sensor-data".into(), &1.into()), "{}", full[0]);
    assert_eq!(told(&process.log(), "dead_letter.impossible").len(), 1);
}

/// Runs a redrive of the world's file to its end.
async fn redrive(world: &World, from: &str) -> (Output, Vec<String>) {
    let mut command = world.command().unwrap();
    command.args(["redrive", "--from", from]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("an end").unwrap();
    let log = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
    (output, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_is_told_from_its_beginning_to_its_end() {
    let (world, mut process) = refusing(|b| b).await;
    publish(&world, 3, |_| {}).await;
    eventually("three letters", || world.dead_letters().unwrap().len() == 3).await;
    process.kill().await.unwrap();
    let from = format!("file:{}", world.dead_letter_file().display());
    let (output, log) = redrive(&world, &from).await;
    assert_eq!(output.status.code(), Some(1), "they fail again: {log:?}");
    let (started, ended) = (told(&log, "redrive.started"), told(&log, "redrive.ended"));
    assert_eq!((started.len(), ended.len()), (1, 1), "{log:?}");
    assert_eq!((&started[0]["from"], &started[0]["dry_run"]), (&from.as_str().into(), &false.into()));
    assert_eq!((&ended[0]["redriven"], &ended[0]["failed"]), (&0.into(), &3.into()), "{}", ended[0]);
    let failed = told(&log, "redrive.letter_failed");
    let mut named: Vec<_> = failed.iter().map(|line| line["record"].as_str().unwrap().to_owned()).collect();
    named.sort();
    let mut ids: Vec<_> = world.dead_letters().unwrap().into_iter().map(|letter| letter.id).collect();
    ids.sort();
    assert_eq!(named, ids);
    assert_eq!((&failed[0]["topic"], &failed[0]["error_type"]), (&"sensor/data".into(), &"SensorError".into()));
    assert_eq!((&failed[0]["attempts"], &failed[0]["reason"]), (&1.into(), &"the function failed it".into()));

    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    let nothing = format!("file:{}", world.directory().join("absent").display());
    let (output, log) = redrive(&world, &nothing).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(!log.iter().any(|line| line.contains("redrive.")), "there was none: {log:?}");
    let queue = Queue::start().await.unwrap();
    queue.trouble(Some(Trouble::AccessDenied));
    let (output, log) = redrive(&world, &format!("sqs:{}", queue.url())).await;
    assert_eq!(output.status.code(), Some(1));
    let (started, failed) = (told(&log, "redrive.started"), told(&log, "redrive.failed"));
    assert_eq!((started.len(), failed.len()), (1, 1), "{log:?}");
    assert!(failed[0]["reason"].as_str().unwrap().contains(&queue.url()), "{}", failed[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_denied_is_an_event_of_its_own() {
    for (protocol, code, reason) in [
        (Protocol::V5, 0x87, "not authorized"),
        (Protocol::V5, 0x00, "QoS 0 where QoS 1 was asked"),
        (Protocol::V311, 0x80, "unspecified"),
        (Protocol::V311, 0x00, "QoS 0 where QoS 1 was asked"),
    ] {
        denied(protocol, code, reason).await.unwrap();
    }
}

async fn denied(protocol: Protocol, code: u8, reason: &str) -> Played {
    let stage = Stage::new(protocol, |b| b.function(willing()).set("mqtt.backoff", "1ms..1h")).await;
    let process = stage.world.spawn_bridge().unwrap();
    let mut peer = stage.broker.accept().await?;
    peer.greet(&ConnAck::fresh()).await?;
    peer.grant(code).await?;
    let told = events(&process, "subscription.denied", 1).await;
    assert_eq!((&told[0]["mapping"], &told[0]["code"]), (&"sensor-data".into(), &code.into()), "{}", told[0]);
    assert_eq!((&told[0]["topic_filter"], &told[0]["asked"]), (&"sensor/data".into(), &1.into()), "{}", told[0]);
    assert!(told[0]["reason"].as_str().unwrap().contains(reason), "{}", told[0]);
    assert!(told[0]["client_id"].is_string());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_refused_is_told_by_subject_serial_and_reason() {
    let expired = Leaf { validity: Validity::Expired, ..Leaf::broker() };
    let stranger = Leaf { signed_by: SignedBy::Itself, ..Leaf::broker() };
    let elsewhere = Leaf { names: vec!["elsewhere.example".into()], ..Leaf::broker() };
    for (broker, reason) in [(expired, "expired"), (stranger, "unknown issuer"), (elsewhere, "elsewhere.example")] {
        let pki = PkiOptions { broker, ..PkiOptions::default() };
        let world = World::builder().function(willing()).pki(pki).without_bridge().await.unwrap();
        let process = world.spawn_bridge().unwrap();
        let told = events(&process, "broker.certificate_refused", 1).await;
        let line = &told[0];
        assert!(line["subject"].as_str().unwrap().contains("CN=localhost"), "{line}");
        assert!(line["reason"].as_str().unwrap().contains(reason), "{line}");
        if let Some(openssl) = sandbox::tools::require("openssl") {
            let mut command = std::process::Command::new(openssl);
            command.args(["x509", "-noout", "-serial", "-in"]).arg(&world.files.broker.cert);
            let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
            let serial = line["serial"].as_str().unwrap().replace(':', "").to_uppercase();
            assert_eq!(said.trim(), format!("serial={serial}"));
        }
        assert!(!events(&process, "broker.refused", 1).await.is_empty());
    }
}

/// Neither an accepted broker nor a broken connection is such an event.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_certificate_is_no_event() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    fault(&world, When::Nth(1), Action::status(500));
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    world.broker.as_mut().unwrap().stop().await.unwrap();
    events(&process, "broker.lost", 1).await;
    assert_eq!(told(&process.log(), "broker.certificate_refused").len(), 0);
}
