//! Promise: with `format = "raw"` the event is the payload of one message and nothing else, and the function finds what else is
//! known of the message in its client context, where Lambda hands one over. Filters, ids, retries, dead letters and redrive are
//! those of any mapping.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{PATIENCE, answering, eventually};
use bridge::config::Protocol;
use sandbox::lambda::{Answer, Body, Call, Function, Outcome};
use sandbox::scripted::Message;
use sandbox::tools;
use sandbox::world::{FUNCTION, MAPPING, WorldBuilder};
use serde_json::{Value, json};

use crate::stage::{Played, Stage};

fn raw(b: WorldBuilder) -> WorldBuilder {
    b.set("mapping.format", "raw").set("mapping.message_id", "payload:/id")
}

/// What the function has returned to each invocation, in order.
fn answers(stage: &Stage) -> Vec<Value> {
    let answer = |outcome: &Option<Outcome>| match outcome {
        Some(Outcome::Answered(answer)) => serde_json::from_slice(answer).unwrap(),
        other => panic!("{other:?}"),
    };
    stage.world.lambda.log().invocations().iter().map(|invocation| answer(&invocation.outcome)).collect()
}

fn python() -> Option<Function> {
    let program = tools::require("python3")?;
    let found = Command::new(program).args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions/raw.py");
    let mut function = Function::process(FUNCTION, String::from_utf8(found.stdout).unwrap().trim());
    function.timeout = Duration::from_secs(30);
    if let Body::Process { args, .. } = &mut function.body {
        args.push(script.to_str().unwrap().to_owned());
    }
    Some(function)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_knows_nothing_of_the_bridge_gets_the_payload_and_finds_the_rest_in_its_context() -> Played {
    let Some(function) = python() else { return Ok(()) };
    for invocation in ["request-response", "event"] {
        let adjust = |b| raw(b).set("mapping.invocation", invocation).function(function.clone());
        let stage = Stage::start(Protocol::V5, adjust).await;
        let mut peer = stage.fresh().await?;
        let cases: [(&[u8], Value, &str); 5] = [
            (br#"{"id":"m-1","temperature":21.50}"#, json!({"id": "m-1", "temperature": 21.5}), "json"),
            (b"21,5 \xc2\xb0C", json!("21,5 °C"), "text"),
            (br#"{"id":"m-2","x":1e999}"#, json!(r#"{"id":"m-2","x":1e999}"#), "text"),
            (b"\x00\xff", json!("AP8="), "base64"),
            (b"", json!(""), "text"),
        ];
        for ((number, (payload, _, _)), id) in cases.iter().enumerate().zip(1..) {
            peer.publish(&Message::new(id, payload.to_vec())).await?;
            assert_eq!(peer.ack().await?.packet_id, id);
            let log = stage.world.lambda.log();
            log.wait_for(PATIENCE, |log| log.totals().succeeded > number as u64).await.unwrap();
        }
        for ((payload, event, encoding), seen) in cases.iter().zip(answers(&stage)) {
            assert_eq!(seen["event"], *event, "{}", payload.escape_ascii());
            let custom = &seen["custom"];
            if invocation == "event" {
                assert!(custom.is_null(), "Lambda hands none over");
                continue;
            }
            assert_eq!((&custom["mapping"], &custom["topic"]), (&MAPPING.into(), &"sensor/data".into()));
            assert_eq!((&custom["encoding"], &custom["qos"]), (&(*encoding).into(), &"1".into()));
            let id = custom["id"].as_str().unwrap();
            assert_eq!(id == "m-1", *encoding == "json", "its publisher's, where there is one: {id}");
        }
        assert_eq!(stage.world.lambda.log().totals().invoked, 5);
    }
    Ok(())
}

fn context(call: &Call) -> Value {
    serde_json::from_str::<Value>(call.client_context.as_deref().unwrap()).unwrap()["custom"].take()
}

/// A function that throws, one that lists its record as AWS's own event sources have it, and one that gives it up.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_retried_under_one_id_and_a_redrive_sends_the_same_once_more() -> Played {
    let broken = Arc::new(AtomicBool::new(true));
    let (seen, said) = (Arc::new(Mutex::new(Vec::new())), broken.clone());
    let taken = seen.clone();
    let function = answering(move |call| {
        taken.lock().unwrap().push((context(&call)["id"].as_str().unwrap().to_owned(), call.payload.to_vec()));
        match &call.payload[..] {
            _ if !said.load(Ordering::SeqCst) => Answer::json(&"fine"),
            br#"{"id":"throws"}"# => Answer::error("Broken", "thrown"),
            br#"{"id":"lists"}"# => Answer::json(&json!({"batchItemFailures": [{"itemIdentifier": "?"}]})),
            br#"{"id":"gives up"}"# => Answer::json(&json!({"batchItemFailures": [{"retry": false, "reason": "no"}]})),
            _ => Answer::json(&json!({"statusCode": 500, "publish": "nothing", "reply": 7})),
        }
    });
    let adjust = |b| {
        let b = raw(b)
            .set("mapping.retry.max_attempts", "2")
            .set("mapping.filter", r#"{"payload":{"id":[{"exists":true}]}}"#);
        b.function(function)
    };
    let stage = Stage::start(Protocol::V5, adjust).await;
    let mut peer = stage.fresh().await?;
    let cases = [("throws", 2), ("lists", 2), ("gives up", 1), ("is fine", 1)];
    for ((id, _), packet_id) in cases.iter().zip(1..) {
        peer.publish(&Message::new(packet_id, format!("{{\"id\":\"{id}\"}}"))).await?;
        assert_eq!(peer.ack().await?.packet_id, packet_id, "{id}");
    }
    peer.publish(&Message::new(9, "{\"other\":1}")).await?;
    assert_eq!(peer.ack().await?.packet_id, 9, "filtered");
    let times = |name: &str| {
        let payload = format!("{{\"id\":\"{name}\"}}").into_bytes();
        seen.lock().unwrap().iter().filter(|(id, event)| id == name && *event == payload).count()
    };
    assert_eq!(cases.map(|(id, _)| (id, times(id))), cases);
    assert_eq!(seen.lock().unwrap().len(), 6, "and nothing else");
    let letters = stage.world.dead_letters().unwrap();
    let told: Vec<_> = letters.iter().map(|l| (&*l.id, l.attempts, &*l.error_type, &*l.error_message)).collect();
    let item = "Function.ItemFailure";
    let listed = "reported in batchItemFailures";
    assert_eq!(told, [("throws", 2, "Broken", "thrown"), ("lists", 2, item, listed), ("gives up", 1, item, "no")]);

    broken.store(false, Ordering::SeqCst);
    let from = format!("file:{}", stage.world.dead_letter_file().display());
    let mut redrive = stage.world.command().unwrap();
    let output = redrive.args(["redrive", "--json", "--from", &from]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eventually("each letter has gone once more, as it was", || {
        [times("throws"), times("lists"), times("gives up")] == [3, 3, 2] && seen.lock().unwrap().len() == 9
    })
    .await;
    Ok(())
}
