//! Whatever needs an operator at night triggers the shipped health check, or an alarm of the shipped patterns.

use std::fs;
use std::path::Path;
use std::process::Command;

use bridge::config::Protocol;
use sandbox::binaries;
use sandbox::world::World;

use crate::alarms::{self, raised};
use crate::common::{PATIENCE, eventually, willing};
use crate::replica::{Replica, SHORT, broker, events, mapping};

fn shipped(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The arguments behind the program's name in the health check that a file ships.
fn health_check(path: &str, before: &str) -> Vec<String> {
    let text = shipped(path);
    let check = text.lines().find(|line| line.contains(before) && line.contains("\"health\"")).unwrap();
    let list = &check[check.find('[').unwrap()..=check.rfind(']').unwrap()];
    let words: Vec<String> = serde_json::from_str(list).unwrap();
    words.into_iter().skip_while(|word| !word.ends_with("mqtt-lambda-bridge")).skip(1).collect()
}

/// Whether the bridge that listens there is healthy by the shipped check.
fn is_healthy(check: &[String], replica: &Replica) -> bool {
    let program = &binaries::build().unwrap().bridge;
    let asked = Command::new(program).args(check).env("BRIDGE_ADMIN_LISTEN", replica.admin().to_string()).output();
    asked.unwrap().status.success()
}

#[test]
fn every_place_ships_the_same_check() {
    let shipped = [
        health_check("docker/bridge.Dockerfile", "HEALTHCHECK"),
        health_check("docker/compose.yaml", "test:"),
        health_check("terraform/modules/bridge/main.tf", "command"),
    ];
    assert_eq!(shipped, [["health", "--started"]; 3].map(|words| words.map(str::to_owned).to_vec()));
}

#[test]
fn every_alarm_counts_events_that_the_bridge_has() {
    let page = shipped("docs/security.md");
    let alarms = alarms::events();
    assert_eq!(alarms.len(), 4, "{alarms:?}");
    for (alarm, events) in alarms {
        for event in events {
            // A test compares that table with the source.
            assert!(page.contains(&format!("`{event}`")), "{alarm}: `{event}` is no event of the bridge");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_broker_is_unhealthy_and_rings_after_a_minute() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let config = broker(world.url(), &world.files, Protocol::V5, "b", SHORT) + &mapping("m", "a", "");
    world.broker.as_mut().unwrap().stop().await.unwrap();
    let mut bridge = Replica::launch(&world, "bridge", &config).await;
    let check = health_check("docker/bridge.Dockerfile", "HEALTHCHECK");
    eventually("it has failed to connect", || bridge.process.count("\"event\":\"broker.lost\"") > 0).await;
    assert!(!is_healthy(&check, &bridge), "healthy without ever having been ready");
    assert!(bridge.ask("GET", "/startedz").await.1.starts_with("never ready yet\nmapping `m`: "));

    let refused = bridge.reload(&(config.clone() + "nonsense = 1\n")).await;
    assert_eq!(raised(&refused), ["configuration", "errors"]);

    assert!(bridge.process.logged("bridge.not_ready", 2 * PATIENCE).await, "{:#?}", bridge.process.log());
    let line = bridge.logged("bridge.not_ready").remove(0);
    assert_eq!((&line["level"], raised(&line)), (&"ERROR".into(), vec!["errors".to_owned()]));
    assert!(line["reason"].as_str().unwrap().starts_with("mapping `m`: "), "{line}");
    assert!(events(&bridge.process).filter(|line| line["level"] == "INFO").all(|line| raised(&line).is_empty()));

    world.broker.as_mut().unwrap().restart().await.unwrap();
    bridge.ready().await;
    eventually("recovery is said", || !bridge.logged("bridge.ready_again").is_empty()).await;
    assert!(is_healthy(&check, &bridge));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_away_later_leaves_the_bridge_healthy() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let config = broker(world.url(), &world.files, Protocol::V5, "b", SHORT) + &mapping("m", "a", "");
    let bridge = Replica::start(&world, "bridge", &config).await;
    let check = health_check("docker/bridge.Dockerfile", "HEALTHCHECK");
    bridge.until("it has started", "/startedz", |answer| answer == "started\n").await;
    assert!(is_healthy(&check, &bridge));
    world.broker.as_mut().unwrap().stop().await.unwrap();
    eventually("it has lost its broker", || bridge.process.count("\"event\":\"broker.lost\"") > 0).await;
    assert_eq!(bridge.ask("GET", "/readyz").await.0, 503);
    assert!(is_healthy(&check, &bridge), "a restart would not bring the broker back");
}
