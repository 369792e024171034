//! Promise: a variable that the SDK cannot use ends the bridge at its start, by name, and one that is empty counts as absent.

use std::time::Duration;

use crate::common::{PATIENCE, eventually, fault, publish, willing};
use sandbox::lambda::{Action, Refusal, When};
use sandbox::world::{BridgeProcess, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_cannot_be_used_is_named_with_exit_code_2() {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    for (name, value) in [
        ("AWS_ENDPOINT_URL", "localhost:4566"),
        ("AWS_ENDPOINT_URL", "http://local host:4566"),
        ("AWS_ENDPOINT_URL", " "),
        ("AWS_ENDPOINT_URL_LAMBDA", "127.0.0.1"),
        ("AWS_ENDPOINT_URL_SQS", "https://"),
        ("AWS_ENDPOINT_URL_S3", "file:///tmp"),
        ("AWS_ACCESS_KEY_ID", "hidden\n"),
        ("AWS_SECRET_ACCESS_KEY", "hidden\n"),
        ("AWS_SESSION_TOKEN", "hid\r\nden"),
        ("AWS_REGION", "eu west 1"),
    ] {
        let mut command = world.command().unwrap();
        let ended = command.arg("run").env(name, value).output();
        let output = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {text}");
        assert!(text.contains(&format!("\"message\":\"{name}: ")), "{name}: {text}");
        assert!(!text.contains("hid") && !text.contains("panicked"), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_variable_counts_as_absent() {
    for empty in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA", "AWS_SESSION_TOKEN", "AWS_PROFILE"] {
        let world = World::builder().function(willing()).without_bridge().await.unwrap();
        let endpoint = world.lambda.endpoint();
        let named = match empty {
            "AWS_ENDPOINT_URL" => format!("AWS_ENDPOINT_URL_LAMBDA={endpoint}"),
            _ => format!("AWS_ENDPOINT_URL={endpoint}"),
        };
        let process = with(&world, &[&named, &format!("{empty}=")]).await;
        publish(&world, 3, |_| {}).await;
        eventually(empty, || world.lambda.log().totals().succeeded == 3).await;
        assert_eq!(process.count("panicked"), 0, "{empty}: {:#?}", process.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_does_not_exist_is_named_and_holds() {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    let gone =
        ["AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_PROFILE=nowhere", "AWS_EC2_METADATA_DISABLED=true"];
    let mut process = with(&world, &gone).await;
    assert!(process.logged("nowhere", PATIENCE).await, "{:#?}", process.log());
    let admin = admin(&mut process).await;
    eventually("not ready, with the name", || get(&admin, "/readyz").contains("nowhere")).await;
    publish(&world, 3, |_| {}).await;
    assert_eq!(world.dead_letters().unwrap(), []);
}

/// Where the admin endpoint listens, as the bridge says at its start.
async fn admin(process: &mut BridgeProcess) -> String {
    assert!(process.logged("started", PATIENCE).await, "{:#?}", process.log());
    let log = process.log();
    let mut said = log.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    said.find_map(|line| line["admin"].as_str().map(str::to_owned)).unwrap()
}

fn get(admin: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(admin).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

async fn with(world: &World, variables: &[&str]) -> BridgeProcess {
    let wrapper: Vec<_> = ["/usr/bin/env"].iter().chain(variables).copied().collect();
    let mut process = world.spawn_bridge_under(&wrapper).unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn f42_a_credentials_endpoint_that_hangs_dead_letters_nothing() {
    let world = World::builder()
        .function(willing())
        .set("mapping.timeout", "3s")
        .set("mapping.retry.max_attempts", "1")
        .without_bridge()
        .await
        .unwrap();
    // Accepts connections, and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://{}/", silent.local_addr().unwrap());
    let keys = ["AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_EC2_METADATA_DISABLED=true", &uri];
    let mut process = with(&world, &keys).await;
    let admin = admin(&mut process).await;
    // Not ready even before the first message.
    eventually("not ready", || get(&admin, "/readyz").contains("credentials")).await;
    publish(&world, 3, |_| {}).await;
    tokio::time::timeout(Duration::from_secs(12), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(world.dead_letters().unwrap(), []);
    assert!(get(&admin, "/readyz").contains("credentials"));
    assert_eq!(world.lambda.log().totals().invoked, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f42_credentials_of_a_process_are_used() {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    let (answer, file) = (world.directory().join("answer.json"), world.directory().join("aws-config"));
    let keys = serde_json::json!({"Version": 1, "AccessKeyId": "of-the-process", "SecretAccessKey": "local"});
    std::fs::write(&answer, keys.to_string()).unwrap();
    std::fs::write(&file, format!("[default]\ncredential_process = /bin/cat {}\n", answer.display())).unwrap();
    let config = format!("AWS_CONFIG_FILE={}", file.display());
    let keys = ["AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_EC2_METADATA_DISABLED=true", &config];
    let process = with(&world, &keys).await;
    publish(&world, 3, |_| {}).await;
    eventually("invoked", || world.lambda.log().totals().succeeded == 3).await;
    assert_eq!(process.count("invocations refused"), 0, "{:#?}", process.log());
}

/// They name no end, so nothing but the refusal says that they are not the right ones any more.
#[tokio::test(flavor = "multi_thread")]
async fn f42_credentials_that_aws_refuses_are_asked_for_again() {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    let (script, runs) = (world.directory().join("keys.sh"), world.directory().join("runs"));
    let keys = r#"{"Version": 1, "AccessKeyId": "of-the-process", "SecretAccessKey": "local"}"#;
    std::fs::write(&script, format!("echo >> {}\necho '{keys}'\n", runs.display())).unwrap();
    let file = world.directory().join("aws-config");
    std::fs::write(&file, format!("[default]\ncredential_process = /bin/sh {}\n", script.display())).unwrap();
    let config = format!("AWS_CONFIG_FILE={}", file.display());
    let variables = ["AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_EC2_METADATA_DISABLED=true", &config];
    fault(&world, When::Always, Action::Refuse(Refusal::ExpiredToken));
    let process = with(&world, &variables).await;
    let asked = || std::fs::read_to_string(&runs).unwrap_or_default().lines().count();
    publish(&world, 3, |_| {}).await;
    eventually("the refusal is told", || process.count("\"event\":\"lambda.refused\"") > 0).await;
    eventually("the process is asked again", || asked() >= 2).await;
    world.lambda.faults().clear();
    eventually("invoked", || world.lambda.log().totals().succeeded == 3).await;
}
