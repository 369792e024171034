//! Promise: no payload reaches any output of the bridge, at whatever level, whatever goes wrong: standard output and error,
//! `/readyz`, `/metrics`, and what stands beside the payload in a dead letter.

use crate::common::{PATIENCE, answering, eventually, publish, willing};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bridge::config::Protocol;
use bridge::lambda::ERRORS;
use sandbox::lambda::{Action, Answer, Fault, Refusal, When};
use sandbox::scripted::Scripted;
use sandbox::world::{BridgeProcess, World, WorldBuilder};

/// In every payload, 64 times, as the filling of a reading.
const MARK: &str = "x";
/// A session token, which goes with every request.
const TOKEN: &str = "session-token-7f3a9c-51d0e2";

/// The payload as it is, in base64 at each of its three offsets, and as the bytes that `Debug` shows.
fn markers() -> Vec<String> {
    let payload = MARK.repeat(64);
    let base64 =
        (0..3).map(|offset| BASE64_STANDARD.encode(format!("{}{payload}", " ".repeat(offset)))[8..40].to_owned());
    let debug = format!("{:?}", &payload.as_bytes()[..16]);
    let others = [payload[..32].to_owned(), debug.trim_matches(['[', ']']).to_owned(), TOKEN.to_owned()];
    others.into_iter().chain(base64).collect()
}

/// Fails where a payload, or the token, is in this text.
fn assert_clean(case: &str, text: &str) {
    for marker in markers() {
        let at = text.find(&marker);
        assert_eq!(at, None, "{case}: {:?}", at.map(|at| text[at.saturating_sub(2_000)..at].to_owned()));
    }
}

/// A bridge whose every output is read.
struct Watched {
    process: BridgeProcess,
    admin: String,
}

impl Watched {
    /// With these variables beside the world's; `-NAME` takes one away. What it writes to standard output is in its log.
    async fn start(world: &World, variables: &[&str]) -> Self {
        let mut wrapper = vec!["/usr/bin/env"];
        wrapper.extend(variables.iter().filter_map(|name| name.strip_prefix('-')).flat_map(|name| ["-u", name]));
        wrapper.extend(["RUST_LOG=trace", "RUST_BACKTRACE=1", "AWS_EC2_METADATA_DISABLED=true"]);
        wrapper.extend(variables.iter().filter(|variable| !variable.starts_with('-')));
        wrapper.extend(["/bin/sh", "-c", "exec \"$0\" \"$@\" 1>&2"]);
        let mut process = world.spawn_bridge_under(&wrapper).unwrap();
        assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
        let log = process.log();
        let mut lines = log.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let admin = lines.find_map(|line| line["admin"].as_str().map(str::to_owned)).unwrap();
        Self { process, admin }
    }

    fn get(&self, path: &str) -> String {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&self.admin).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until it has acknowledged so many, as its metrics say.
    async fn acknowledged(&self, case: &str, messages: u64) {
        eventually(case, || {
            let metrics = self.get("/metrics");
            let lines = metrics.lines().filter(|line| line.contains("acknowledged_total{"));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).any(|value| value >= messages)
        })
        .await;
    }

    /// What crates that see whole requests and responses have logged: nothing, as the bridge says itself what went wrong.
    fn talkative(&self) -> Vec<String> {
        let log = self.process.log();
        let lines = log.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let targets = lines.filter_map(|line| line["target"].as_str().map(str::to_owned));
        targets.filter(|target| ["aws_", "hyper", "h2"].iter().any(|crates| target.starts_with(crates))).collect()
    }

    fn assert_clean(&self, case: &str, world: &World) {
        for text in [self.get("/readyz"), self.get("/metrics"), self.get("/mappings"), self.process.log().join("\n")] {
            assert_clean(case, &text);
        }
        for mut letter in world.dead_letters().unwrap() {
            assert!(letter.is_answer() || letter.payload.contains(&MARK.repeat(64)), "the payload itself is kept");
            letter.payload.clear();
            assert_clean(case, &serde_json::to_string(&letter).unwrap());
        }
    }
}

fn world() -> WorldBuilder {
    let builder = World::builder().set("mapping.timeout", "1s").set("mapping.retry.max_attempts", "2");
    builder.set("mapping.retry.backoff", "1ms..5ms")
}

fn raw(status: u16, code: Option<&'static str>, body: &'static str) -> Action {
    Action::Refuse(Refusal::Raw { status, code, body })
}

/// Each error code, each status without one, and every kind of line that breaks or does not speak.
fn errors() -> Vec<Action> {
    let rows = ERRORS.iter().map(|row| raw(row.status, Some(row.code), r#"{"Message":"words of the service"}"#));
    let pages = [301, 400, 401, 403, 404, 407, 408, 413, 429, 500, 502, 503].map(|status| raw(status, None, "<html>"));
    let breaks = [Action::Hang, Action::Stall, Action::Cut, Action::RunThenCut, raw(204, None, ""), raw(202, None, "")];
    rows.chain(pages).chain(breaks).collect()
}

/// What a function can answer that fails the event, or some record of it.
fn answers() -> Vec<Action> {
    let bodies = [
        "no json",
        "<html>",
        "\u{feff}{\"batchItemFailures\":",
        "[{\"batchItemFailures\":[]}]",
        r#""{\"batchItemFailures\":[{\"itemIdentifier\":\"a\"}]}""#,
        r#"{"batchItemFailures":7}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":"nobody"}]}"#,
        r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
        r#"{"publish":true,"reply":{}}"#,
        r#"{"publish":[{"topic":"elsewhere","payload":1}],"reply":[{"itemIdentifier":"nobody","payload":1}]}"#,
    ];
    let errors = [Action::function_error("Boom", "no"), Action::FunctionError("not json".into())];
    bodies.into_iter().map(|body| raw(200, None, body)).chain(errors).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_of_lambda_and_every_bad_answer_keeps_the_payload_to_itself() {
    let world = world().function(willing()).without_bridge().await.unwrap();
    let mut bridge = Watched::start(&world, &[&format!("AWS_SESSION_TOKEN={TOKEN}")]).await;
    for (number, action) in (1..).zip(errors().into_iter().chain(answers())) {
        let case = action.to_string();
        world.lambda.faults().add(Fault::new(When::Next(2), action));
        publish(&world, 1, |options| options.padding = 64).await;
        bridge.acknowledged(&case, number).await;
        world.lambda.faults().clear();
    }
    for said in ["invocation failed", "invocations refused", "function failed", "dead-lettered"] {
        let was_said = bridge.process.logged(said, PATIENCE).await;
        assert!(was_said, "`{said}` was never said, so this proved nothing");
    }
    bridge.assert_clean("all", &world);
    assert_eq!(bridge.talkative(), Vec::<String>::new(), "whoever sees whole requests says nothing");
    assert!(world.dead_letters().unwrap().len() > 5);
}

/// A function that quotes its event in every part of its response.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_function_quotes_is_in_its_dead_letter_and_in_no_output() {
    let quoting = answering(|call| {
        let payload = String::from_utf8_lossy(&call.payload).into_owned();
        Answer::error(&payload, &payload)
    });
    let world = world().function(quoting).without_bridge().await.unwrap();
    let mut bridge = Watched::start(&world, &[]).await;
    publish(&world, 3, |options| options.padding = 64).await;
    bridge.acknowledged("quoted", 3).await;
    assert!(bridge.process.logged("function failed", PATIENCE).await);
    for text in [bridge.get("/readyz"), bridge.get("/metrics"), bridge.process.log().join("\n")] {
        assert_clean("quoted", &text);
    }
    let letters = world.dead_letters().unwrap();
    assert!(letters.iter().all(|letter| letter.error_message.contains(&MARK.repeat(64))), "there it is the reason");
}

/// The way to Lambda is wrong in itself: a bridge of its own for each, as they differ in their environment.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_way_to_lambda_keeps_the_payload_to_itself() {
    let world = world().function(willing()).without_bridge().await.unwrap();
    let untrusted = Scripted::start(&world.files, Protocol::V5).await.unwrap();
    let file = |name: &str, text: &str| {
        let path = world.directory().join(name);
        std::fs::write(&path, text).unwrap();
        format!("AWS_CONFIG_FILE={}", path.display())
    };
    let answer = world.directory().join("answer.json");
    let keys = serde_json::json!({"Version": 1, "AccessKeyId": "of-the\nprocess", "SecretAccessKey": "local"});
    std::fs::write(&answer, keys.to_string()).unwrap();
    let no_scheme = file("no-scheme", "[default]\nendpoint_url = localhost:4566\n");
    let process = file("process", &format!("[default]\ncredential_process = /bin/cat {}\n", answer.display()));
    let no_keys = ["-AWS_ACCESS_KEY_ID", "-AWS_SECRET_ACCESS_KEY"];
    let plain = format!("AWS_ENDPOINT_URL=https://{}", world.lambda.address());
    let unknown = format!("AWS_ENDPOINT_URL=https://localhost:{}", untrusted.url().port);
    let with = |client: &'static str| [&no_keys[..], &[process.as_str(), client]].concat();
    for (case, said, variables) in [
        ("an endpoint without scheme", "invocations refused", vec![no_scheme.as_str(), "-AWS_ENDPOINT_URL"]),
        ("no TLS", "invocations refused", vec![plain.as_str()]),
        ("a certificate of an unknown authority", "invocations refused", vec![unknown.as_str()]),
        ("nobody listens", "invocation failed", vec!["AWS_ENDPOINT_URL=http://127.0.0.1:1"]),
        ("a panic of the SDK", "\"event\":\"process.panicked\"", with("BRIDGE_LAMBDA_CLIENT=sdk")),
        ("a key that can stand in no header", "invocations refused", with("BRIDGE_LAMBDA_CLIENT=lean")),
        ("no credentials", "invocations refused", [&no_keys[..], &["AWS_PROFILE=nowhere"]].concat()),
    ] {
        let mut bridge = Watched::start(&world, &variables).await;
        publish(&world, 2, |options| options.padding = 64).await;
        assert!(bridge.process.logged(said, PATIENCE).await, "{case}: {:#?}", bridge.process.log());
        bridge.assert_clean(case, &world);
        bridge.process.kill().await.unwrap();
    }
    assert_eq!(world.dead_letters().unwrap(), [], "none of it was about a message");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_destination_that_fails_keeps_the_payload_to_itself() {
    let fails = || {
        answering(|call| {
            let id = call.event().unwrap().records[0].id.clone();
            let item = serde_json::json!({ "itemIdentifier": id, "retry": false, "reason": "no" });
            Answer::json(&serde_json::json!({ "batchItemFailures": [item] }))
        })
    };
    for (key, place, endpoint) in [
        ("mapping.on_failure.sqs", "https://sqs.us-east-1.amazonaws.com/123456789012/letters", "AWS_ENDPOINT_URL_SQS"),
        ("mapping.on_failure.s3", "s3://letters/of-the-bridge/", "AWS_ENDPOINT_URL_S3"),
    ] {
        let mut world = world().function(fails()).without_bridge().await.unwrap();
        world.unset("mapping.on_failure.file");
        world.set(key, place);
        let at = |url: &str| vec![format!("{endpoint}={url}")];
        let file = world.directory().join("no-scheme");
        std::fs::write(&file, "[default]\nendpoint_url = localhost:4566\n").unwrap();
        let lambda_alone = format!("AWS_ENDPOINT_URL_LAMBDA={}", world.lambda.endpoint());
        let no_scheme = vec!["-AWS_ENDPOINT_URL".into(), lambda_alone, format!("AWS_CONFIG_FILE={}", file.display())];
        for (case, variables) in [
            ("nobody listens", at("http://127.0.0.1:1")),
            ("no TLS", at(&format!("https://{}", world.lambda.address()))),
            ("another service", at(&world.lambda.endpoint())),
            ("no scheme", no_scheme),
        ] {
            let case = format!("{key}: {case}");
            let variables: Vec<_> = variables.iter().map(String::as_str).collect();
            let mut bridge = Watched::start(&world, &variables).await;
            publish(&world, 2, |options| options.padding = 64).await;
            assert!(
                bridge.process.logged("dead letter not written", PATIENCE).await,
                "{case}: {:#?}",
                bridge.process.log()
            );
            bridge.assert_clean(&case, &world);
            bridge.process.kill().await.unwrap();
        }
    }
}
