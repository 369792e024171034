//! Foreign texts reach the operator, but never with a secret in them, and only up to a limit.

use std::os::unix::fs::PermissionsExt;

use bridge::config::Protocol;
use sandbox::lambda::{Action, Answer, When};
use sandbox::scripted::{ConnAck, Message, Packet, Peer, ScriptError};
use sandbox::world::{BridgeProcess, World};

use crate::common::{PATIENCE, answering, eventually, fault, nothing_lost, publish, willing};
use crate::stage::{Played, Stage};

/// Not ASCII, and different in every spelling.
const PASSWORD: &str = "grün\"ß\\-hørse-51d0e2";
/// In each of them, as ASCII needs no escape.
const PART: &str = "rse-51d0e2";
/// The longest that a line of the log may be: several texts of 512 bytes, and our words around them.
const LONGEST_LINE: usize = 3000;

fn echo() -> String {
    format!("user bridge-name has no password {PASSWORD}")
}

fn endless() -> String {
    "z".repeat(65_535)
}

/// The next connection of the session; the publisher's are answered with these reasons, one a message.
async fn session(stage: &Stage, connack: &ConnAck) -> Result<Peer, ScriptError> {
    loop {
        let mut peer = stage.broker.accept().await?;
        if !peer.connect().await?.client_id.ends_with("-publisher") {
            peer.bytes(&connack.bytes(stage.protocol)).await?;
            return Ok(peer);
        }
        peer.bytes(&ConnAck::fresh().bytes(stage.protocol)).await?;
        tokio::spawn(async move {
            let mut reasons = [(0x97, echo()), (0x97, endless())].into_iter();
            while let Ok(Packet::Publish { packet_id, .. }) = peer.next("PUBLISH").await {
                let (code, words) = reasons.next().unwrap_or_else(|| (0x87, echo()));
                let _ = peer.puback_because(packet_id, code, &words).await;
            }
        });
    }
}

/// Every packet with which a broker can give a reason that the bridge repeats.
async fn provoke(stage: &Stage, process: &mut BridgeProcess) -> Played {
    for words in [echo(), endless()] {
        session(stage, &ConnAck::refused(0x86).reason(&words)).await?.end().await?;
        let mut peer = session(stage, &ConnAck::fresh()).await?;
        peer.grant(1).await?;
        peer.publish(&Message::new(1, "{}")).await?;
        assert_eq!(peer.ack().await?.packet_id, 1, "its answer was refused, so it is dead-lettered");
        peer.disconnect_because(0x98, &words).await?;
        peer.end().await?;
    }
    session(stage, &ConnAck::refused(0x87).reason(&echo())).await?.end().await?;
    assert!(process.logged("not authorized", PATIENCE).await, "{:#?}", process.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_a_broker_repeats_is_nowhere_and_a_long_reason_is_cut() {
    let function = answering(|_| Answer::json(&serde_json::json!({ "publish": [{ "topic": "a/b", "payload": 1 }] })));
    let adjust = |b: sandbox::world::WorldBuilder| {
        let b = b.function(function).set("mapping.response.allow", "a/+").set("mqtt.username", "bridge-name");
        b.set("mapping.retry.max_attempts", "3")
    };
    let mut stage = Stage::new(Protocol::V5, adjust).await;
    let file = stage.world.directory().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    stage.world.set("mqtt.password_file", &file.display().to_string());
    let mut process = stage.world.spawn_bridge_under(&["/usr/bin/env", "RUST_LOG=trace"]).unwrap();
    provoke(&stage, &mut process).await.unwrap();
    let readyz = readyz(&process);
    assert!(readyz.contains("not authorized") && readyz.len() < LONGEST_LINE, "{readyz}");
    let letters = std::fs::read_to_string(stage.world.dead_letter_file()).unwrap();
    assert_eq!(letters.matches("Function.RefusedResponse").count(), 2, "{letters}");
    for line in process.log().iter().map(String::as_str).chain([readyz.as_str()]).chain(letters.lines()) {
        assert!(!line.contains(PART), "{line}");
        // rustls logs long lines about a handshake at the level trace, without these words.
        let foreign = line.contains("\"target\":\"rustls");
        assert!(foreign || line.len() < LONGEST_LINE, "{} bytes: {line}", line.len());
    }
    let lines = process.log();
    let said = |packet: &str, what: &str| lines.iter().any(|line| line.contains(packet) && line.contains(what));
    for packet in ["CONNECT as", "the broker disconnects", "answers not published"] {
        assert!(said(packet, "not shown, as it holds a secret"), "{packet}: {lines:#?}");
        // Of failures that repeat within a minute only the first is logged.
        let is_summarised = packet == "answers not published";
        assert!(is_summarised || said(packet, "… (65535 bytes)"), "{packet}: {lines:#?}");
    }
}

fn readyz(process: &BridgeProcess) -> String {
    use std::io::{Read, Write};
    let log = process.log();
    let mut lines = log.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let address = lines.find_map(|line| line["admin"].as_str().map(str::to_owned)).expect("an admin endpoint");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn five_megabytes_of_function_error_over_fifty_records_are_small_letters() {
    let builder = World::builder().function(willing()).set("mapping.retry.max_attempts", "1");
    let world = builder.set("mapping.batch.max_records", "50").start().await.unwrap();
    let long = "z".repeat(5_000_000);
    fault(&world, When::Always, Action::function_error(&long[..500_000], &long));
    let sensors = publish(&world, 50, |_| {}).await;
    let fate = nothing_lost(&world, &sensors).await;
    assert_eq!(fate.dead.len(), 50);
    eventually("written", || world.dead_letters().unwrap().len() == 50).await;
    for letter in world.dead_letters().unwrap() {
        assert!(letter.error_message.len() <= 4096 && letter.error_message.ends_with("z… (5000000 bytes)"));
        assert_eq!(letter.error_type, "Function.Unhandled", "a type has a name");
    }
}
