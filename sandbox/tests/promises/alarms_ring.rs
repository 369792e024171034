//! Promise: the metrics that the bridge writes for CloudWatch trigger the alarms of `terraform/modules/bridge` when
//! they should, and not otherwise. The alarms of the log are in `faults/rings.rs` and in the tests of the faults.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bridge::config::Protocol;
use event::{ItemFailure, Response};
use sandbox::certs::{Leaf, PkiOptions, Validity};
use sandbox::lambda::{Action, Answer, When};
use sandbox::world::World;
use serde_json::Value;

use crate::alarms;
use crate::common::{answering, eventually, fault, publish, willing};
use crate::replica::{Replica, SHORT, broker, events, mapping};

/// The thresholds as Terraform has them.
fn usual(name: &str) -> f64 {
    match name {
        "oldest_in_flight_seconds" => 300.0,
        "certificate_days" => 14.0,
        "revocation_list_days" => 2.0,
        _ => panic!("{name}"),
    }
}

/// The same, except that a message need not be five minutes old.
fn impatient(name: &str) -> f64 {
    match name {
        "oldest_in_flight_seconds" => 1.0,
        _ => usual(name),
    }
}

/// A configuration with a line of metrics each second.
fn config(world: &World, mappings: &str) -> String {
    let crl = world.files.crl.display();
    let config = broker(world.url(), &world.files, Protocol::V5, "b", SHORT)
        .replace(" }\n", &format!(", crl_file = \"{crl}\" }}\n"));
    format!(
        "cloudwatch = {{ namespace = \"plant\", interval = \"1s\" }}\nadmin.degraded_after = \"1s\"\n{config}{mappings}"
    )
}

fn lines(bridge: &Replica) -> Vec<Value> {
    events(&bridge.process).filter(|line| line.get("_aws").is_some()).collect()
}

/// Starts a bridge, and says since when it is ready: a start that takes seconds on a busy machine rings, too.
async fn ready(world: &World, config: &str) -> (Replica, SystemTime) {
    (Replica::start(world, "bridge", config).await, SystemTime::now())
}

fn since(moment: SystemTime, lines: &[Value]) -> Vec<Value> {
    let moment = moment.duration_since(UNIX_EPOCH).unwrap().as_millis();
    let is_later = |line: &&Value| u128::from(line["_aws"]["Timestamp"].as_u64().unwrap()) >= moment;
    lines.iter().filter(is_later).cloned().collect()
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

async fn rings<const N: usize>(bridge: &Replica, expected: [&str; N]) {
    let expected = names(expected);
    let what = format!("{expected:?} ring");
    eventually(&what, || alarms::rung(&lines(bridge), impatient).is_superset(&expected)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_is_well_nothing_rings() {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    let (mut bridge, begun) = ready(&world, &config(&world, &mapping("m", "sensor/data", ""))).await;
    let sensors = publish(&world, 20, |_| {}).await;
    let sum = |bridge: &Replica, name: &str| lines(bridge).iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
    eventually("all of it is told", || sum(&bridge, "Delivered") == sensors.published()).await;
    let until = lines(&bridge).len() + 24;
    eventually("ten rounds more are told", || lines(&bridge).len() >= until).await;
    bridge.process.signal("TERM").await.unwrap();
    bridge.ended().await;
    let all = lines(&bridge);
    assert_eq!(alarms::rung(&since(begun, &all), usual), names([]), "{all:#?}");
    assert_eq!((sum(&bridge, "Received"), sum(&bridge, "Delivered")), (20, 20), "each message is counted once");
    let written: BTreeSet<String> = all.iter().flat_map(|line| line.as_object().unwrap().keys().cloned()).collect();
    let missing: Vec<_> = alarms::metrics().into_iter().filter(|metric| !written.contains(metric)).collect();
    assert!(missing.is_empty(), "alarms look at {missing:?}, which the bridge does not write");
    assert!(all.iter().all(|line| line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "plant"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_fails_rings_and_dates_ring_before_they_are_over() {
    let soon = Leaf { validity: Validity::EndsSoon, ..Leaf::client("bridge") };
    let pki = PkiOptions { bridge: soon, crl: Validity::EndsSoon, ..PkiOptions::default() };
    let world = World::builder().pki(pki).function(willing()).without_bridge().await.unwrap();
    fault(&world, When::Always, Action::status(500));
    let mapping = mapping("m", "sensor/data", "receive_maximum = 5");
    let (bridge, begun) = ready(&world, &config(&world, &mapping)).await;
    publish(&world, 10, |_| {}).await;
    rings(&bridge, ["degraded", "window-full", "oldest-in-flight", "certificates", "revocation-list"]).await;
    let by_the_usual = alarms::rung(&since(begun, &lines(&bridge)), usual);
    assert!(by_the_usual.is_superset(&names(["certificates", "revocation-list"])), "{by_the_usual:?}");
    assert!(!by_the_usual.contains("not-ready") && !by_the_usual.contains("dead-lettered"), "{by_the_usual:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_given_up_ring_and_those_that_nobody_takes_ring_too() {
    let refuses = answering(|call| {
        let failures =
            call.event().unwrap().records.iter().map(|record| ItemFailure::give_up(&record.id, "bad")).collect();
        Answer::json(&Response { batch_item_failures: failures, ..Response::default() })
    });
    let world = World::builder().function(refuses).without_bridge().await.unwrap();
    let (good, gone) = (world.directory().join("letters.jsonl"), world.directory().join("gone"));
    std::fs::create_dir(&gone).unwrap();
    let to = |name, path: &std::path::Path| {
        mapping(name, "sensor/data", &format!("on_failure = {{ file = \"{}\" }}", path.display()))
    };
    let mappings = to("taken", &good) + &to("held", &gone.join("letters.jsonl"));
    let (bridge, begun) = ready(&world, &config(&world, &mappings)).await;
    std::fs::remove_dir_all(&gone).unwrap();
    publish(&world, 3, |_| {}).await;
    rings(&bridge, ["dead-lettered", "dead-letters-held", "degraded"]).await;
    assert!(!alarms::rung(&since(begun, &lines(&bridge)), usual).contains("not-ready"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_rings_until_it_is_back() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let bridge = Replica::start(&world, "bridge", &config(&world, &mapping("m", "sensor/data", ""))).await;
    world.broker.as_mut().unwrap().stop().await.unwrap();
    rings(&bridge, ["not-ready"]).await;
    world.broker.as_mut().unwrap().restart().await.unwrap();
    bridge.ready().await;
    let is_ready = |bridge: &Replica| lines(bridge).iter().rev().find_map(|line| line["NotReady"].as_u64()) == Some(0);
    eventually("it says that it is ready", || is_ready(&bridge)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_ring() {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    let mut bridge = Replica::start(&world, "bridge", &config(&world, &mapping("m", "sensor/data", ""))).await;
    std::fs::write(&world.files.crl, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").unwrap();
    bridge.process.signal("HUP").await.unwrap();
    assert!(bridge.process.logged("tls.refused", Duration::from_mins(1)).await, "{:#?}", bridge.process.log());
    assert!(alarms::raised(&bridge.logged("tls.refused")[0]).contains(&"tls-refused".to_owned()));
}
