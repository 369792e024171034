//! Promise: messages share an event up to the limits; only the failed records of a batch are retried; a poison record
//! is found by bisection, and the others succeed.

use crate::common;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::common::{
    Fate, PATIENCE, acknowledged, answering, eventually, everywhere, fault, nothing_lost, publish, willing,
};
use event::{ItemFailure, Response};
use sandbox::lambda::{Action, Answer, Call, Function, When};
use sandbox::oracle;
use sandbox::world::{FUNCTION, World};
use tokio::sync::watch;
use tokio::time::timeout;

/// Fails the records whose message numbers are multiples of `every`.
fn fails_some(every: u64) -> impl Fn(Call) -> Answer + Clone + Send + Sync + 'static {
    move |call| {
        let event = call.event().unwrap();
        let failures = event.records.iter().filter(|record| number(record.payload.get()).is_multiple_of(every));
        let failures = failures.map(|record| ItemFailure::retry(&record.id, "a multiple")).collect();
        Answer::json(&Response { batch_item_failures: failures, ..Response::default() })
    }
}

/// The publisher's number of a message.
fn number(payload: &str) -> u64 {
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
    payload["message_id"].as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap()
}

/// How many records each invocation carried.
fn sizes(world: &sandbox::world::World) -> Vec<usize> {
    world.lambda.log().read(|log| log.invocations().map(|invocation| invocation.record_ids.len()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn by_count_and_by_window() {
    everywhere(|builder| async move {
        let builder = builder.set("mapping.batch.max_records", "10").set("mapping.batch.max_window", "300ms");
        let world = builder.function(willing()).start().await.unwrap();
        publish(&world, 95, |_| {}).await;
        acknowledged(&world, 95).await;
        let sizes = sizes(&world);
        assert_eq!(sizes.iter().sum::<usize>(), 95);
        assert!(sizes.iter().all(|size| *size <= 10), "{sizes:?}");
        assert!(sizes.len() <= 95 / 2, "the window was not used: {sizes:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_failed_is_tried_again_and_then_dead_lettered_with_its_bytes() {
    everywhere(|builder| async move {
        let world = builder
            .set("mapping.batch.max_records", "100")
            .set("mapping.batch.max_window", "500ms")
            .set("mapping.retry.max_attempts", "3")
            .function(answering(fails_some(33)))
            .start()
            .await
            .unwrap();
        let sensors = publish(&world, 100, |_| {}).await;
        acknowledged(&world, 100).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.dead.len(), fate.extra()), (97, 3, 0));

        let mut sent: BTreeMap<String, usize> = BTreeMap::new();
        for invocation in world.lambda.log().invocations() {
            for id in invocation.record_ids.iter() {
                *sent.entry(id.clone()).or_default() += 1;
            }
        }
        let letters = world.dead_letters().unwrap();
        for (id, times) in sent {
            let is_dead = letters.iter().any(|letter| letter.id == id);
            assert_eq!(times, if is_dead { 3 } else { 1 }, "{id}");
        }
        for letter in letters {
            assert_eq!((letter.attempts, letter.error_message.as_str()), (3, "a multiple"));
            let bytes = letter.payload_bytes().unwrap();
            let log = world.lambda.log().invocations();
            assert!(log.iter().any(|i| i.payload.windows(bytes.len()).any(|window| window == bytes)));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_names_strangers_fails_the_whole_batch() {
    everywhere(|builder| async move {
        let strangers = |_| {
            Answer::json(&Response {
                batch_item_failures: vec![ItemFailure::retry("nobody", "")],
                ..Response::default()
            })
        };
        let builder = builder.set("mapping.batch.max_records", "10").set("mapping.batch.max_window", "300ms");
        let world =
            builder.set("mapping.retry.max_attempts", "2").function(answering(strangers)).start().await.unwrap();
        publish(&world, 10, |_| {}).await;
        acknowledged(&world, 10).await;
        let letters = world.dead_letters().unwrap();
        assert_eq!(letters.len(), 10);
        assert!(letters.iter().all(|letter| letter.error_type == "Function.MalformedResponse" && letter.attempts == 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_whose_division_takes_long_let_others_through_and_are_finished_by_a_drain() {
    const FIRST: u64 = 100;
    const SECOND: u64 = 20;
    let (hurry, hurried) = watch::channel(false);
    let picky = Function::inline(FUNCTION, move |call| {
        let mut hurried = hurried.clone();
        async move {
            if !call.payload.windows(8).any(|window| window == b"\"broken\"") {
                return Answer::null();
            }
            // 199 invocations of the first take longer than anything else here, until all has been seen.
            let _ = timeout(Duration::from_secs(1), hurried.wait_for(|hurried| *hurried)).await;
            Answer::error("SensorError", "cannot")
        }
    });
    let builder = World::builder().set("mapping.batch.max_records", "100").set("mapping.batch.max_window", "300ms");
    let builder = builder.set("mapping.retry.max_attempts", "1").set("mapping.concurrency", "1");
    let mut world = builder.function(picky).start().await.unwrap();
    let first = publish(&world, FIRST, |options| options.bad_every = Some(1)).await;
    eventually("the first batch is being divided", || sizes(&world).len() > 2).await;
    let good = publish(&world, 5, |_| {}).await;
    eventually("those behind it are handled", || Fate::of(&world).lost(&good).is_empty()).await;
    let given_up = world.dead_letters().unwrap().len() as u64;
    assert!(given_up < FIRST, "only once nothing was left of the batch");

    let second = publish(&world, SECOND, |options| options.bad_every = Some(1)).await;
    let id = second.registry().id(1);
    let carries = |payload: &[u8]| payload.windows(id.len()).any(|window| window == id.as_bytes());
    let invoked = || world.lambda.log().invocations().iter().filter(|i| carries(&i.payload)).count();
    eventually("the second is being divided while the first waits", || invoked() >= 2).await;
    hurry.send_replace(true);
    assert!(world.drain_bridge(PATIENCE).await, "nothing is left");
    assert!(Fate::of(&world).lost(&first).is_empty() && Fate::of(&world).lost(&second).is_empty());
    assert_eq!(world.dead_letters().unwrap().len() as u64, FIRST + SECOND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_stuck_with_what_it_set_aside_keeps_no_other_from_the_queue() {
    /// Before a failed record of a divided batch is tried again; so long a lane takes other batches.
    const WAIT: Duration = Duration::from_secs(6);
    let (gate, open) = watch::channel(false);
    let (stuck, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(OnceLock::new()));
    let is_stuck = Arc::clone(&stuck);
    let picky = Function::inline(FUNCTION, move |call| {
        let (mut open, stuck, begun) = (open.clone(), Arc::clone(&stuck), Arc::clone(&begun));
        async move {
            if !call.payload.windows(8).any(|window| window == b"\"broken\"") {
                return Answer::null();
            }
            if begun.get_or_init(Instant::now).elapsed() >= WAIT && !stuck.swap(true, Ordering::Relaxed) {
                let _ = open.wait_for(|open| *open).await;
            }
            Answer::error("SensorError", "cannot")
        }
    });
    let builder = World::builder().set("mapping.batch.max_records", "2").set("mapping.batch.max_window", "1s");
    let builder = builder.set("mapping.retry.backoff", "6s..6s").set("mapping.retry.max_attempts", "5");
    let builder = builder.set("mapping.concurrency", "2").set("mapping.timeout", "10m");
    let world = builder.function(Function { timeout: 2 * PATIENCE, ..picky }).start().await.unwrap();
    let bad = publish(&world, 2, |options| options.bad_every = Some(1)).await;
    eventually("a later turn of the divided batch is stuck", || is_stuck.load(Ordering::Relaxed)).await;
    for _ in 0..4 {
        let good = publish(&world, 2, |_| {}).await;
        eventually("what comes meanwhile is handled", || Fate::of(&world).lost(&good).is_empty()).await;
    }
    gate.send_replace(true);
    eventually("the batch ends", || Fate::of(&world).lost(&bad).is_empty()).await;
    assert_eq!(world.dead_letters().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_throws_is_asked_again_by_halves() {
    everywhere(|builder| async move {
        let throws = |call: Call| {
            let event = call.event().unwrap();
            let poison = event.records.iter().any(|record| number(record.payload.get()) == 21);
            if poison { Answer::error("Poison", "in here") } else { Answer::null() }
        };
        let world = builder
            .set("mapping.batch.max_records", "100")
            .set("mapping.batch.max_window", "30s")
            .set("mapping.retry.max_attempts", "1")
            .function(answering(throws))
            .start()
            .await
            .unwrap();
        let sensors = publish(&world, 100, |_| {}).await;
        acknowledged(&world, 100).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.dead.len(), fate.extra()), (99, 1, 0));
        let sizes = sizes(&world);
        assert!(sizes.len() <= 2 * 7 + 1, "one in 100 is found in 15 invocations: {sizes:?}");
        assert_eq!(oracle::message_id(&world.dead_letters().unwrap()[0]), Some(sensors.registry().id(21)));
    })
    .await;
}

/// Records that fail alone wait for their next attempts at the same time: one after the other they would block the lane
/// for the sum of the waits.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_alone_waits_while_the_others_are_tried() {
    everywhere(|builder| async move {
        let world = builder
            .set("mapping.batch.max_records", "8")
            .set("mapping.batch.max_window", "10s")
            .set("mapping.concurrency", "1")
            .set("mapping.retry.max_attempts", "2")
            .function(answering(|_| Answer::error("Broken", "every time")))
            .start()
            .await
            .unwrap();
        publish(&world, 8, |_| {}).await;
        acknowledged(&world, 8).await;
        let invocations = world.lambda.log().invocations();
        let alone: Vec<_> =
            invocations.iter().filter(|i| i.record_ids.len() == 1).map(|i| i.record_ids[0].clone()).collect();
        assert_eq!((invocations.len(), alone.len()), (2 * 8 - 1 + 8, 2 * 8), "each twice alone");
        let first: std::collections::BTreeSet<_> = alone[..8].iter().collect();
        assert_eq!(first.len(), 8, "none alone a second time before all were once: {alone:?}");
        assert!(world.dead_letters().unwrap().iter().all(|letter| letter.attempts == 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_too_large_is_a_dead_letter_and_the_others_flow() {
    everywhere(|builder| async move {
        let world = builder
            .set("mapping.batch.max_records", "100")
            .set("mapping.batch.max_window", "20ms")
            .function(willing())
            .start()
            .await
            .unwrap();
        let before = publish(&world, 150, |_| {}).await;
        let large = publish(&world, 1, |options| options.padding = 6 * 1024 * 1024).await;
        let after = publish(&world, 150, |_| {}).await;
        acknowledged(&world, 301).await;
        let letters = world.dead_letters().unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].error_type, "TooLarge");
        assert_eq!(oracle::message_id(&letters[0]), Some(large.registry().id(1)));
        assert!(letters[0].payload_bytes().unwrap().len() > 6 * 1024 * 1024);
        nothing_lost(&world, &before).await;
        nothing_lost(&world, &after).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lambda_that_rejects_a_batch_is_asked_again_by_halves() {
    everywhere(|builder| async move {
        let world = builder
            .set("mapping.batch.max_records", "16")
            .set("mapping.batch.max_window", "300ms")
            .function(willing())
            .start()
            .await
            .unwrap();
        fault(&world, When::Nth(1), Action::status(413));
        let sensors = publish(&world, 16, |_| {}).await;
        acknowledged(&world, 16).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.dead.len()), (16, 0));
    })
    .await;
}

/// Binary grows by a third in an event: 4.7 MB are 6.3 MB there, above the limit, though the message itself is below it.
#[tokio::test(flavor = "multi_thread")]
async fn binary_that_grows_above_the_limit_is_a_dead_letter_with_its_bytes() {
    let Some(tool) = sandbox::tools::require("mosquitto_pub") else { return };
    let tool = &tool;
    everywhere(|builder| async move {
        let builder = builder.set("mapping.batch.max_records", "100").set("mapping.batch.max_window", "20ms");
        let world = builder.function(willing()).start().await.unwrap();
        let binary: Vec<u8> = (0..4_720_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let file = world.directory().join("binary");
        std::fs::write(&file, &binary).unwrap();
        let before = publish(&world, 150, |_| {}).await;
        let (files, port) = (&world.files, world.url().port.to_string());
        let status = tokio::process::Command::new(tool)
            .args(["-h", "localhost", "-p", &port, "-V", "5", "-q", "1", "-t", "sensor/data", "-f"])
            .arg(&file)
            .arg("--cafile")
            .arg(&files.ca)
            .arg("--cert")
            .arg(&files.device.cert)
            .arg("--key")
            .arg(&files.device.key)
            .status()
            .await
            .unwrap();
        assert!(status.success());
        let after = publish(&world, 150, |_| {}).await;
        acknowledged(&world, 301).await;
        let letters = world.dead_letters().unwrap();
        assert_eq!((letters.len(), letters[0].error_type.as_str()), (1, "TooLarge"));
        assert!(letters[0].payload_bytes().unwrap() == binary, "not the bytes that were published");
        let fate = common::Fate { handled: handled(&world), ..common::Fate::default() };
        assert!(fate.lost(&before).is_empty() && fate.lost(&after).is_empty());
    })
    .await;
}

fn handled(world: &sandbox::world::World) -> BTreeMap<String, usize> {
    oracle::handled_ids(&world.lambda.log().invocations()).into_iter().map(|id| (id, 1)).collect()
}
