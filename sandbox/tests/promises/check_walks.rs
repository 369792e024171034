//! Promise: `check` tests each step that a message takes and reports whether it works, with a correct configuration and
//! with wrong ones; a running bridge is not affected.

mod account;
mod scripted;
mod table;
mod ways;

use std::process::Output;
use std::sync::Arc;

use self::table::Case;
use crate::common::{acknowledged, publish, side_by_side, willing};
use bridge::config::Protocol;
use sandbox::bucket::{Bucket, Trouble as BucketTrouble};
use sandbox::lambda::{Action, Fault, Kind, When};
use sandbox::queue::{Queue, Trouble};
use sandbox::world::World;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread")]
async fn a_right_set_up_is_ok_step_by_step() {
    play([table::right(), account::right_accounts()].concat()).await;
    play_by(Protocol::V311, table::right()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_files_has_its_line() {
    play(table::wrong_files()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_on_the_way_to_the_broker_has_its_line() {
    for protocol in [Protocol::V5, Protocol::V311] {
        play_by(protocol, [ways::wrong_ways(), ways::wrong_ports()].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_aws_has_its_line() {
    play([account::wrong_accounts(), account::wrong_functions()].concat()).await;
}

#[test]
fn there_are_more_than_thirty_wrong_set_ups() {
    let (ways, account) =
        ([ways::wrong_ways(), ways::wrong_ports()], [account::wrong_accounts(), account::wrong_functions()]);
    let tables = [table::wrong_files(), ways.concat(), account.concat()];
    let all: usize = tables.iter().map(Vec::len).sum();
    assert!(all + scripted::brokers().iter().filter(|row| row.code != 0).count() > 30);
    for case in tables.iter().flatten() {
        assert!(case.code != 0 && case.says.iter().any(|part| part.len() > 10), "{}", case.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_runs_does_not_notice() {
    let world = World::builder().function(willing()).start().await.unwrap();
    let output = walk(&world, &[], &["--json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["ok"]), (Some(0), &true.into()), "{report:#}");
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["verdict"] == "ok" && step["seconds"].is_number()), "{report:#}");
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    let expected = [
        "configuration",
        "tls files",
        "dns",
        "tcp",
        "tls",
        "connect",
        "subscribe",
        "region",
        "credentials",
        "identity",
        "function",
        "failure destination",
    ];
    assert_eq!(names, expected);
    // The duration of the handshake is reported with its own step.
    assert!(steps.iter().any(|step| step["step"] == "tls" && step["seconds"].as_f64() > Some(0.0)), "{report:#}");
    publish(&world, 5, |_| {}).await;
    acknowledged(&world, 5).await;
    let counters = world.counters();
    assert_eq!((counters.connects.get(), counters.taken_over.get()), (1, 0));
    assert_eq!(world.lambda.log().totals().succeeded, 5, "the function was invoked by the check");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_brokers_is_walked_to() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let good = world.url().to_string();
    world.set("mqtt.url", &format!("mqtts://127.0.0.1:1,{good}"));
    let output = walk(&world, &[], &["--json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["ok"]), (Some(1), &false.into()), "{report:#}");
    let steps: Vec<_> = report["steps"].as_array().unwrap().iter().collect();
    let places: Vec<_> = (0..steps.len()).filter(|place| steps[*place]["step"] == "broker").collect();
    let [first, second] = places[..] else { panic!("{report:#}") };
    assert_eq!(steps[first]["found"], "mqtts://127.0.0.1:1, number 1 of 2");
    assert_eq!(steps[second]["found"], format!("{good}, number 2 of 2"));
    let verdict = |name: &str, within: std::ops::Range<usize>| {
        let found = steps[within].iter().find(|step| step["step"] == name);
        found.map(|step| step["verdict"].as_str().unwrap().to_owned())
    };
    assert_eq!(verdict("tcp", first..second).as_deref(), Some("failed"));
    assert_eq!(verdict("connect", first..second), None);
    for name in ["tcp", "tls", "connect", "subscribe", "function"] {
        assert_eq!(verdict(name, second..steps.len()).as_deref(), Some("ok"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_asked_for_its_attributes_and_not_written_to() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let queue = Queue::start().await.unwrap();
    world.unset("mapping.on_failure.file");
    world.set("mapping.on_failure.sqs", &queue.url());
    says(&world, 0, &["ok   failure destination of `sensor-data`", "the queue tells its attributes"]).await;
    queue.trouble(Some(Trouble::AccessDenied));
    let known = ["warn failure destination of `sensor-data`", "not known", "hint: the first dead letter will show it"];
    says(&world, 0, &known).await;
    assert_eq!(queue.attempts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_takes_a_test_line_and_is_as_it_was() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let (there, missing) = (world.directory().join("there.jsonl"), world.directory().join("missing.jsonl"));
    std::fs::write(&there, "{}\n").unwrap();
    for file in [&there, &missing] {
        world.set("mapping.on_failure.file", file.to_str().unwrap());
        says(&world, 0, &["ok   failure destination", "a test line was written and removed"]).await;
    }
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "{}\n");
    let names = std::fs::read_dir(world.directory()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with("missing")));
    let link = world.directory().join("link.jsonl");
    std::os::unix::fs::symlink(&there, &link).unwrap();
    world.set("mapping.on_failure.file", link.to_str().unwrap());
    says(&world, 1, &["FAIL failure destination", "it is a symbolic link, which is not followed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_listed_and_not_written_to() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let bucket = Bucket::start().await.unwrap();
    world.unset("mapping.on_failure.file");
    world.set("mapping.on_failure.s3", &bucket.url());
    says(&world, 0, &["ok   failure destination of `sensor-data`", "the bucket can be listed"]).await;
    for (trouble, code, parts) in [
        (BucketTrouble::AccessDenied, 0, ["warn failure destination", "not known"]),
        (BucketTrouble::NoSuchBucket, 1, ["FAIL failure destination", "NoSuchBucket"]),
        (
            BucketTrouble::OtherRegion,
            1,
            ["FAIL failure destination", "the bucket is in eu-west-1: write `https://s3.eu-west-1"],
        ),
    ] {
        bucket.trouble(Some(trouble));
        says(&world, code, &parts).await;
    }
    assert_eq!(bucket.objects().len(), 0);
}

async fn says(world: &World, code: i32, parts: &[&str]) {
    let output = walk(world, &[], &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
}

/// Most rows share a world, as each brings its configuration along.
async fn play(cases: Vec<Case>) {
    play_by(Protocol::V5, cases).await;
}

async fn play_by(protocol: Protocol, cases: Vec<Case>) {
    let world = World::builder().protocol(protocol).function(willing()).without_bridge().await.unwrap();
    // More at once only wait for a processor, and a handshake has a deadline.
    let turns = Arc::new(Semaphore::new(4));
    let row = |(number, case): (usize, Case)| {
        let (name, world, turns) = (case.name.to_owned(), &world, turns.clone());
        let row = async move {
            let _turn = turns.acquire().await.unwrap();
            right_or_wrong(world, protocol, number, case).await;
        };
        (name, Box::pin(row))
    };
    side_by_side(cases.into_iter().enumerate().map(row).collect()).await;
}

async fn right_or_wrong(shared: &World, protocol: Protocol, number: usize, case: Case) {
    let mut function = willing();
    let own = if case.has_own_world() {
        (case.function)(&mut function);
        Some(World::builder().protocol(protocol).function(function).without_bridge().await.unwrap())
    } else {
        None
    };
    let world = own.as_ref().unwrap_or(shared);
    if let Some(refusal) = case.fault {
        world.lambda.faults().add(Fault::new(When::Always, Action::Refuse(refusal)).kind(Kind::DryRun));
    }
    let mut command = asking(world);
    // Clients with one id would throw each other out.
    command.env("BRIDGE_MQTT_CLIENT_ID", format!("row-{number}"));
    let keys = case.keys.iter().map(|(key, value)| (*key, (*value).to_owned())).chain((case.with)(world));
    for (key, value) in keys {
        if key.starts_with("mapping.on_failure") {
            command.env_remove("BRIDGE_MAPPING_ON_FAILURE_FILE");
        }
        let variable = format!("BRIDGE_{}", key.replace('.', "_").to_uppercase());
        if value.is_empty() {
            command.env_remove(variable)
        } else {
            command.env(variable, value)
        };
    }
    let Output { status, stdout, stderr } = checked(command, case.variables, case.arguments).await;
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert_eq!(status.code(), Some(case.code), "{}: {text}", case.name);
    for part in case.says {
        assert!(text.contains(part), "{}: `{part}` is missing in\n{text}", case.name);
    }
}

/// A world asks no function by a dry run unless told to.
fn asking(world: &World) -> Command {
    let mut command = world.command().unwrap();
    command.env("BRIDGE_LAMBDA_DRY_RUN", "true");
    command
}

async fn walk(world: &World, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    checked(asking(world), variables, arguments).await
}

async fn checked(mut command: Command, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    command.envs(variables.iter().copied()).arg("check").args(arguments).output().await.unwrap()
}
