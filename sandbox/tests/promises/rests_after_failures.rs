//! Promise: the bridge backs off from a broker that accepts a connection and ends it at once. Only a connection that
//! lasted resets the back-off.

use std::time::Duration;

use crate::common::{PATIENCE, eventually, willing};
use crate::stage::{Played, Stage};
use bridge::config::Protocol;
use sandbox::certs::Pki;
use sandbox::scripted::ConnAck;
use sandbox::world::{BridgeProcess, World};

/// What a row of failures begins with: the first wait is drawn from up to twice the lower bound.
const BACKOFF: &str = "1ms..1h";
const FIRST: f64 = 0.002;
/// Enough that all waits could hardly be short by chance.
const YOUNG: usize = 10;
/// A little more than what counts as having lived, which is ten seconds.
const LIFE: Duration = Duration::from_millis(10_500);

/// The waits that the log has told, in seconds, once there are so many.
async fn waits(process: &BridgeProcess, count: usize) -> Vec<f64> {
    eventually(&format!("{count} failures"), || process.count("broker.lost") >= count).await;
    let lines = process.log();
    let lost = lines.iter().filter(|line| line.contains("broker.lost"));
    lost.map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = line["retry_in"].as_str().unwrap();
        let (number, unit) = match text.strip_suffix("ms") {
            Some(number) => (number, 0.001),
            None => (text.strip_suffix('s').unwrap(), 1.0),
        };
        number.parse::<f64>().unwrap() * unit
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_connection_that_has_lived_ends_a_row_of_failures() -> Played {
    const SERVER_BUSY: u8 = 0x89;
    let stage = Stage::new(Protocol::V5, |b| b.function(willing()).set("mqtt.backoff", BACKOFF)).await;
    // The same failure is logged once a minute, and each time at the level debug.
    let process = stage.world.spawn_bridge_under(&["env", "RUST_LOG=info,bridge::mqtt::failing=debug"]).unwrap();
    for nth in 0..YOUNG {
        let mut peer = stage.broker.accept().await?;
        peer.greet(&ConnAck::fresh()).await?;
        peer.grant(1).await?;
        peer.disconnect(SERVER_BUSY).await?;
        peer.end().await?;
        waits(&process, nth + 1).await;
    }
    let before = waits(&process, YOUNG).await;
    assert!(before.iter().any(|wait| *wait > FIRST), "each was taken for a success: {before:?}");
    let mut peer = stage.broker.accept().await?;
    peer.greet(&ConnAck::fresh()).await?;
    peer.grant(1).await?;
    // No event to wait for: the connection only has to last for this time.
    tokio::time::sleep(LIFE).await;
    peer.disconnect(SERVER_BUSY).await?;
    peer.end().await?;
    let after = waits(&process, YOUNG + 1).await[YOUNG];
    assert!(after <= FIRST, "{after} s after a connection that has lived; before: {before:?}");
    Ok(())
}

/// Under TLS 1.3 the handshake succeeds for who shows no certificate, and the refusal comes after it.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_after_the_handshake_rests_longest() {
    let builder = World::builder().function(willing()).set("mqtt.backoff", BACKOFF);
    let mut world = builder.without_bridge().await.unwrap();
    world.unset("mqtt.tls.cert_file");
    world.unset("mqtt.tls.key_file");
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("wants a certificate of ours", PATIENCE).await, "{:#?}", process.log());
    let log = process.log();
    let refused = log.iter().find(|line| line.contains("wants a certificate of ours")).unwrap();
    assert!(refused.contains("broker.refused") && rests_long(refused), "{refused}");
}

/// Whether a line says that the bridge waits for about the longest time, which has some jitter.
fn rests_long(line: &str) -> bool {
    let seconds = line.split("\"retry_in\":\"").nth(1).and_then(|rest| rest.split(['.', 's']).next());
    seconds.and_then(|seconds| seconds.parse::<u64>().ok()).is_some_and(|seconds| (2880..=3600).contains(&seconds))
}

/// The fault is fixed, and the bridge notices by itself.
#[tokio::test(flavor = "multi_thread")]
async fn new_tls_files_end_the_longest_rest() {
    let builder = World::builder().function(willing()).set("mqtt.backoff", BACKOFF);
    let mut world = builder.without_bridge().await.unwrap();
    let ca = world.directory().join("trusted.crt");
    std::fs::write(&ca, Pki::generate().unwrap().ca_pem()).unwrap();
    world.set("mqtt.tls.ca_file", &ca.display().to_string());
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("\"retry_in\":", PATIENCE).await, "{:#?}", process.log());
    assert!(process.log().iter().any(|line| rests_long(line)), "{:#?}", process.log());
    std::fs::copy(&world.files.ca, &ca).unwrap();
    assert!(process.logged("broker.connected", PATIENCE).await, "{:#?}", process.log());
}
