//! Promise: `check` walks the whole way of a message and says of each step whether it would work, against a right set-up and against
//! wrong ones; a bridge that runs does not notice.

use std::process::Output;
use std::time::Duration;

use crate::common::{acknowledged, publish, side_by_side, willing};
use sandbox::lambda::{Action, Fault, Function, Kind, Refusal, When};
use sandbox::queue::{Queue, Trouble};
use sandbox::world::World;
use serde_json::Value;

/// A set-up, and what must be said of it. By default all is well.
#[derive(Clone)]
struct Case {
    name: &'static str,
    keys: &'static [(&'static str, &'static str)],
    variables: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    /// What becomes of the function.
    function: fn(&mut Function),
    fault: Option<Refusal>,
    code: i32,
    /// Parts of the output, or of the errors.
    says: &'static [&'static str],
}

const CASE: Case =
    Case { name: "", keys: &[], variables: &[], arguments: &[], function: |_| {}, fault: None, code: 1, says: &[] };

fn right() -> Vec<Case> {
    let right = Case { code: 0, ..CASE };
    vec![
        Case {
            name: "all is well",
            says: &[
                "ok   tls files",
                "certificate until 2",
                "ok   dns",
                "ok   connect",
                "TLSv1_3",
                "ok   subscribe of `sensor-data`",
                "granted with QoS 1",
                "ok   credentials",
                "ok   function of `sensor-data`",
                "may be invoked",
                "ok   failure destination",
                "can be written",
                "all steps work",
            ],
            ..right.clone()
        },
        Case { name: "a probe", arguments: &["--probe"], says: &["ok   probe", "and it came back"], ..right.clone() },
        Case {
            name: "wildcards and a probe without a topic",
            keys: &[("mapping.topic_filter", "sensor/+")],
            arguments: &["--probe"],
            says: &["warn probe", "--probe-topic"],
            ..right.clone()
        },
        Case {
            name: "wildcards and a topic",
            keys: &[("mapping.topic_filter", "sensor/+")],
            arguments: &["--probe", "--probe-topic", "sensor/data"],
            says: &["ok   probe", "and it came back"],
            ..right.clone()
        },
        Case {
            name: "a shared subscription is not joined",
            keys: &[("mapping.topic_filter", "$share/group/sensor/data")],
            says: &["ok   subscribe of `sensor-data`", "`sensor/data` granted"],
            ..right.clone()
        },
        Case {
            name: "a timeout below the function's",
            keys: &[("mapping.timeout", "1s")],
            function: |function| function.timeout = Duration::from_mins(1),
            says: &["warn function", "mapping.timeout is 1s", "set it above 60s"],
            ..right.clone()
        },
        Case {
            name: "less reserved concurrency than ours",
            function: |function| function.concurrency = 2,
            says: &["warn function", "mapping.concurrency is 10, and Lambda runs 2 at once"],
            ..right.clone()
        },
        Case {
            name: "settings that may not be read",
            function: |function| function.configuration_readable = false,
            says: &["ok   function", "its settings are not known (HTTP 403)"],
            ..right
        },
    ]
}

fn wrong_at_the_broker() -> Vec<Case> {
    vec![
        Case {
            name: "nobody listens",
            keys: &[("mqtt.url", "mqtts://127.0.0.1:1")],
            says: &["FAIL connect", "Connection refused", "ok   function"],
            ..CASE
        },
        Case {
            name: "no such name",
            keys: &[("mqtt.url", "mqtts://broker.invalid:8883")],
            says: &["FAIL dns", "broker.invalid: no address found", "hint: check mqtt.url"],
            ..CASE
        },
        Case {
            name: "another name than the certificate's",
            keys: &[("mqtt.tls.server_name", "other.example")],
            says: &["FAIL connect", "other.example"],
            ..CASE
        },
        Case {
            name: "no client certificate",
            keys: &[("mqtt.tls.cert_file", ""), ("mqtt.tls.key_file", "")],
            says: &["FAIL connect", "certificate"],
            ..CASE
        },
        Case {
            name: "a probe that does not come back",
            arguments: &["--probe", "--probe-topic", "elsewhere"],
            says: &["FAIL probe", "did not come back", "hint: the broker confirmed it and sent nothing"],
            ..CASE
        },
        Case {
            name: "a missing file of keys",
            keys: &[("mqtt.tls.ca_file", "/nowhere/ca.crt")],
            code: 2,
            says: &["error: ", "/nowhere/ca.crt"],
            ..CASE
        },
    ]
}

fn wrong_at_aws() -> Vec<Case> {
    vec![
        Case {
            name: "no credentials",
            variables: &[
                ("AWS_ACCESS_KEY_ID", ""),
                ("AWS_SECRET_ACCESS_KEY", ""),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ],
            says: &["ok   connect", "FAIL credentials", "hint: set AWS_ACCESS_KEY_ID"],
            ..CASE
        },
        Case {
            name: "no region",
            variables: &[("AWS_REGION", ""), ("AWS_EC2_METADATA_DISABLED", "true")],
            says: &["FAIL aws", "set AWS_REGION"],
            ..CASE
        },
        Case {
            name: "no such function",
            keys: &[("mapping.function", "nobody")],
            says: &["FAIL function", "no such function, version or alias", "hint: check mapping.function, AWS_REGION"],
            ..CASE
        },
        Case {
            name: "no such alias",
            keys: &[("mapping.function", "sensor-handler:live")],
            says: &["FAIL function", "no such function, version or alias"],
            ..CASE
        },
        Case {
            name: "a denied invocation",
            fault: Some(Refusal::AccessDenied),
            says: &["FAIL function", "the permission lambda:InvokeFunction is missing"],
            ..CASE
        },
        Case {
            name: "expired credentials",
            fault: Some(Refusal::ExpiredToken),
            says: &["FAIL function", "the credentials have expired"],
            ..CASE
        },
        Case {
            name: "no concurrency",
            function: |function| function.concurrency = 0,
            says: &["FAIL function", "its reserved concurrency is 0"],
            ..CASE
        },
        Case {
            name: "a queue that is not there",
            keys: &[("mapping.on_failure.sqs", "http://127.0.0.1:1/000000000000/letters")],
            says: &["ok   function", "FAIL failure destination", "127.0.0.1:1"],
            ..CASE
        },
        Case {
            name: "a directory that is not there",
            keys: &[("mapping.on_failure.file", "/nowhere/letters.jsonl")],
            says: &["FAIL failure destination", "/nowhere/letters.jsonl", "No such file"],
            ..CASE
        },
        Case {
            name: "an endpoint where nobody listens",
            variables: &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")],
            says: &["FAIL function", "Connection refused"],
            ..CASE
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_set_up_is_ok_step_by_step() {
    play(right()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_on_the_way_to_the_broker_has_its_line() {
    play(wrong_at_the_broker()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_aws_has_its_line() {
    play(wrong_at_aws()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_runs_does_not_notice() {
    let world = World::builder().function(willing()).start().await.unwrap();
    let output = walk(&world, &[], &["--json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["ok"]), (Some(0), &true.into()), "{report:#}");
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["verdict"] == "ok" && step["seconds"].is_number()), "{report:#}");
    publish(&world, 5, |_| {}).await;
    acknowledged(&world, 5).await;
    let counters = world.counters();
    assert_eq!((counters.connects.get(), counters.taken_over.get()), (1, 0));
    assert_eq!(world.lambda.log().totals().succeeded, 5, "the function was invoked by the check");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_asked_for_its_attributes_and_not_written_to() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let queue = Queue::start().await.unwrap();
    world.unset("mapping.on_failure.file");
    world.set("mapping.on_failure.sqs", &queue.url());
    let says = async |parts: &[&str]| {
        let output = walk(&world, &[], &[]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && parts.iter().all(|part| text.contains(part)), "{text}");
    };
    says(&["ok   failure destination of `sensor-data`", "the queue tells its attributes"]).await;
    queue.trouble(Some(Trouble::AccessDenied));
    says(&["warn failure destination of `sensor-data`", "not known", "hint: the first dead letter will show it"]).await;
    assert_eq!(queue.attempts(), 0);
}

async fn play(cases: Vec<Case>) {
    let cases = cases.into_iter().map(|case| (case.name.to_owned(), Box::pin(wrong_or_right(case))));
    side_by_side(cases.collect()).await;
}

async fn wrong_or_right(case: Case) {
    let mut function = willing();
    (case.function)(&mut function);
    let mut world = World::builder().function(function).without_bridge().await.unwrap();
    for (key, value) in case.keys {
        if key.starts_with("mapping.on_failure") {
            world.unset("mapping.on_failure.file");
        }
        if value.is_empty() { world.unset(key) } else { world.set(key, value) }
    }
    if let Some(refusal) = case.fault {
        world.lambda.faults().add(Fault::new(When::Always, Action::Refuse(refusal)).kind(Kind::DryRun));
    }
    let Output { status, stdout, stderr } = walk(&world, case.variables, case.arguments).await;
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert_eq!(status.code(), Some(case.code), "{}: {text}", case.name);
    for part in case.says {
        assert!(text.contains(part), "{}: `{part}` is missing in\n{text}", case.name);
    }
}

async fn walk(world: &World, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = world.command().unwrap();
    command.envs(variables.iter().copied()).arg("check").args(arguments).output().await.unwrap()
}
