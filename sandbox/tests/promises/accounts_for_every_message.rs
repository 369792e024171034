//! Promise: the demo's accounts are true. Messages that a bridge leaves unacknowledged are counted at the broker, are
//! not consumed by counting, and reach the next bridge.

use crate::common;
use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{everywhere, fault, nothing_lost, publish, willing};
use sandbox::broker::{Broker, BrokerOptions};
use sandbox::certs::Pki;
use sandbox::lambda::{Action, When};
use sandbox::leftovers;
use sandbox::world::MAPPING;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_found_at_the_broker_and_not_taken_away() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let mut world = builder.function(willing()).start().await.unwrap();
        fault(&world, When::Always, Action::Hang);
        let sensors = publish(&world, 30, |_| {}).await;
        world.lambda.log().wait_for(common::PATIENCE, |log| log.totals().in_flight >= 10).await.unwrap();
        world.crash_bridge();
        let look = || {
            let tls = Arc::new(world.files.client_config(&world.files.bridge).unwrap());
            let client_id = format!("sandbox-{MAPPING}");
            let url = world.url().clone();
            async move { leftovers::waiting(&url, tls, protocol, &client_id, common::PATIENCE).await }
        };
        let ids: BTreeSet<_> = (1..=30).map(|number| sensors.registry().id(number)).collect();
        assert_eq!(look().await, ids);
        assert_eq!(look().await, ids, "looking takes nothing away");
        world.lambda.faults().clear();
        world.start_bridge().await.unwrap();
        nothing_lost(&world, &sensors).await;
    })
    .await;
}

/// Runs the demo as a user does and returns its JSON. May press Ctrl-C so long after it says that it runs.
async fn demo(arguments: &[&str], interrupt_after: Option<Duration>) -> (Value, Option<i32>) {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(arguments)
        .arg("--json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut remarks = BufReader::new(child.stderr.take().unwrap()).lines();
    let running = async { while !remarks.next_line().await.unwrap().unwrap().starts_with("running") {} };
    tokio::time::timeout(common::PATIENCE, running).await.unwrap();
    tokio::spawn(async move { while let Ok(Some(_)) = remarks.next_line().await {} });
    if let Some(after) = interrupt_after {
        let id = child.id().unwrap().to_string();
        tokio::time::sleep(after).await;
        assert!(tokio::process::Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    }
    let output = tokio::time::timeout(common::PATIENCE * 2, child.wait_with_output()).await.unwrap().unwrap();
    let json = serde_json::from_slice(&output.stdout);
    (json.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stdout))), output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_balances_with_bad_readings_and_faults() {
    // Built first, so that the build does not count into the demo's duration.
    sandbox::binaries::build().unwrap();
    let arguments =
        ["--duration", "3s", "--rate", "200", "--bad-every", "10", "--fault", "throttle", "--fault-every", "7"];
    let (summary, code) = demo(&arguments, None).await;
    assert_eq!((code, summary["balanced"].as_bool()), (Some(0), Some(true)), "{summary}");
    let count = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("{name} in {summary}"));
    assert!(count("published") > 300, "{summary}");
    assert_eq!(count("handled") + count("dead_lettered"), count("published"), "{summary}");
    assert_eq!(count("dead_lettered"), count("published") / 10, "{summary}");
    assert!(count("failed_invocations") > 0 && summary["p99_ms"].as_f64().is_some(), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_scene_balances_too() {
    let (summary, code) = demo(&["--scene", "hub", "--duration", "2s", "--rate", "50", "--sensors", "4"], None).await;
    assert_eq!((code, summary["balanced"].as_bool()), (Some(0), Some(true)), "{summary}");
    assert!(summary["handled"].as_u64().unwrap() > 50, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_demo_in_good_order() {
    sandbox::binaries::build().unwrap();
    let (summary, code) = demo(&["--rate", "50", "--protocol", "3.1.1"], Some(Duration::from_secs(2))).await;
    assert_eq!((code, summary["balanced"].as_bool()), (Some(0), Some(true)), "{summary}");
    assert!(summary["handled"].as_u64().unwrap() > 0, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_the_users_own_is_used() {
    if sandbox::tools::require("mosquitto").is_none() {
        return;
    }
    sandbox::binaries::build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let files = Pki::generate().unwrap().write_to(dir.path()).unwrap();
    let broker = Broker::mosquitto(&files, BrokerOptions::default()).await.unwrap();
    let (url, path) = (broker.url().to_string(), |path: &std::path::Path| path.display().to_string());
    let (ca, cert, key) = (path(&files.ca), path(&files.bridge.cert), path(&files.bridge.key));
    let arguments = ["--duration", "2s", "--rate", "100", "--broker", &url, "--ca-file", &ca, "--cert-file", &cert];
    let (summary, code) = demo(&[&arguments[..], &["--key-file", &key]].concat(), None).await;
    assert_eq!((code, summary["balanced"].as_bool()), (Some(0), Some(true)), "{summary}");
    assert_eq!(summary["broker"].as_str(), Some(url.as_str()));
    assert!(summary["handled"].as_u64().unwrap() > 100, "{summary}");
}
