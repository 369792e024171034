//! One message that some functions could not read, in an event with 99 others, through functions that read their events as most
//! do: with `json.loads`, with `JSON.parse`, and into a `serde_json::Value`. The function sees the bad one as text, and the 99
//! are handled with it, in one invocation.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bridge::config::Protocol;
use event::{ItemFailure, Response};
use sandbox::lambda::{Answer, Body, Call, Function, Outcome};
use sandbox::scripted::Message;
use sandbox::tools;
use sandbox::world::FUNCTION;
use serde_json::Value;

use crate::common::answering;
use crate::stage::{Played, Stage};

/// How many messages share an event.
const BATCH: u16 = 100;

/// Payloads that stand in the way of some parser when they are put into an event as they are.
fn poisons() -> Vec<(&'static str, Vec<u8>)> {
    let bytes = |text: String| text.into_bytes();
    let nested = |open: &str, levels: usize, close: &str| format!("{}{}", open.repeat(levels), close.repeat(levels));
    vec![
        ("61 levels", bytes(format!("{{\"a\":{}}}", nested("[", 60, "]")))),
        ("3,000 brackets", bytes(format!("{{\"a\":{}}}", nested("[", 3_000, "]")))),
        ("10,000 objects", bytes(format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)))),
        ("an integer of 5,000 digits", bytes(format!("{{\"a\":{}}}", "9".repeat(5_000)))),
        ("a fraction of 5,000 digits", bytes(format!("{{\"a\":0.{}}}", "9".repeat(5_000)))),
        ("1e999", bytes("{\"a\":1e999}".into())),
        ("-1e999 deep inside", bytes("{\"a\":[[{\"b\":-1e999}]]}".into())),
        ("half a surrogate pair", bytes("{\"a\":\"\\ud800\"}".into())),
        ("half a surrogate pair in a name", bytes("{\"\\udc00\":1}".into())),
        ("surrogates the wrong way round", bytes("{\"a\":\"\\udc00\\ud800\"}".into())),
        ("a name of 60,000 bytes", bytes(format!("{{\"{}\":1}}", "x".repeat(60_000)))),
        ("a byte order mark", bytes("\u{feff}{\"a\":1}".into())),
        ("NaN", bytes("{\"a\":NaN}".into())),
        ("a control character", bytes("{\"a\":\"\u{1}\"}".into())),
        ("a list that never ends", bytes("[".repeat(3_000))),
        ("what would end the event", bytes("1}],\"mapping\":\"other\",\"records\":[{\"payload\":2".into())),
        ("not UTF-8", b"{\"a\":\"\xff\"}".to_vec()),
        ("nothing", Vec::new()),
    ]
}

/// Publishes all of them, each in an event of its own.
async fn innocents_are_handled_beside(function: Function) -> Played {
    let adjust = |b: sandbox::world::WorldBuilder| {
        let b = b.set("mapping.batch.max_records", "100").set("mapping.batch.max_window", "1m");
        b.set("mapping.concurrency", "1").set("mapping.batch.bisect_on_error", "false").function(function)
    };
    let stage = Stage::start(Protocol::V5, adjust).await;
    let mut peer = stage.fresh().await?;
    for (round, (name, poison)) in poisons().into_iter().enumerate() {
        // Never the first record, and not always the same one, so that the bridge has to read the whole response.
        let bad = 1 + u16::try_from(round).unwrap() * 5;
        for id in 1..=BATCH {
            let payload = if id == bad + 1 { poison.clone() } else { format!("{{\"n\":{id}}}").into_bytes() };
            peer.publish(&Message::new(id, payload)).await?;
        }
        for id in 1..=BATCH {
            assert_eq!(peer.ack().await?.packet_id, id, "{name}");
        }
        let invocations = stage.world.lambda.log().invocations();
        assert_eq!(invocations.len(), round + 1, "{name}: one invocation");
        let last = invocations.last().unwrap();
        assert_eq!(last.record_ids.len(), usize::from(BATCH), "{name}");
        let Some(Outcome::Answered(answer)) = &last.outcome else { panic!("{name}: {:?}", last.outcome) };
        let failures = serde_json::from_slice::<Response>(answer).unwrap().batch_item_failures;
        let failed: Vec<_> = failures.into_iter().filter_map(|failure| failure.item_identifier).collect();
        assert_eq!(failed, [last.record_ids[usize::from(bad)].clone()], "{name}: 99 are handled");
        let letters = stage.world.dead_letters().unwrap();
        assert_eq!(letters.len(), round + 1, "{name}");
        assert_eq!(letters[round].payload_bytes().unwrap(), poison, "{name}");
    }
    Ok(())
}

/// A script of `tests/functions` as a function of real processes; `None` where its interpreter is not installed. The
/// interpreter says itself where it is: a version manager's shim needs an environment that a function does not have.
fn script(interpreter: &str, where_it_is: &[&str], file: &str) -> Option<Function> {
    let program = tools::require(interpreter)?;
    let found = Command::new(program).args(where_it_is).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions").join(file);
    let mut function = Function::process(FUNCTION, found.trim());
    function.timeout = Duration::from_secs(30);
    if let Body::Process { args, .. } = &mut function.body {
        args.push(script.to_str().unwrap().to_owned());
    }
    Some(function)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_python() -> Played {
    match script("python3", &["-c", "import sys; print(sys.executable)"], "reader.py") {
        Some(function) => innocents_are_handled_beside(function).await,
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_node() -> Played {
    match script("node", &["-p", "process.execPath"], "reader.mjs") {
        Some(function) => innocents_are_handled_beside(function).await,
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_rust() -> Played {
    let read = |call: Call| {
        let Ok(event) = serde_json::from_slice::<Value>(&call.payload) else {
            return Answer::error("Error", "the event cannot be read");
        };
        let records = event["records"].as_array().unwrap().iter();
        let failed = records.filter(|record| !record["payload"].is_object());
        let failures = failed.map(|record| ItemFailure::give_up(record["id"].as_str().unwrap(), "no object")).collect();
        Answer::json(&Response { batch_item_failures: failures, ..Response::default() })
    };
    innocents_are_handled_beside(answering(read)).await
}
