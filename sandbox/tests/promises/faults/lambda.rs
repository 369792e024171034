//! F9, F10, F12, F15: what Lambda can do to an invocation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bridge::config::Protocol;
use sandbox::lambda::{Action, Answer, Invocation, When};
use sandbox::world::WorldBuilder;

use crate::common::{acknowledged, acks, answering, eventually, fault, nothing_lost, publish, sized, tapped, willing};
use crate::faults::scene::{both_protocols, check_acks, settled, world};

/// The invocations of each record, in order.
fn attempts(invocations: &[Invocation]) -> BTreeMap<String, Vec<Invocation>> {
    let mut attempts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for invocation in invocations {
        for id in invocation.record_ids.iter() {
            attempts.entry(id.clone()).or_default().push(invocation.clone());
        }
    }
    attempts
}

fn patient(builder: WorldBuilder) -> WorldBuilder {
    builder.set("mapping.retry.max_attempts", "100000").set("mapping.retry.max_age", "1h")
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_throttled_with_retry_after() {
    const RETRY_AFTER: Duration = Duration::from_secs(2);
    both_protocols(|builder| async move {
        let builder = patient(builder).set("mapping.concurrency", "32").set("mapping.retry.backoff", "500ms..2s");
        let (world, tap) = tapped(builder.function(willing())).await;
        fault(&world, When::Always, Action::throttle(Some(RETRY_AFTER)));
        let begun = Instant::now();
        let sensors = publish(&world, sized(500, 10_000), |_| {}).await;
        eventually("the concurrency falls", || (1..=16).contains(&world.counters().concurrency.get())).await;
        tokio::time::sleep_until((begun + Duration::from_secs(sized(6, 60))).into()).await;
        assert_eq!(acks(&tap.seen()), [], "acknowledged while Lambda refused everything");
        let throttled = world.lambda.log().totals().throttled;
        world.lambda.faults().clear();
        let fallen = world.counters().concurrency.get();
        let fate = settled(&world, "F9", &sensors, 1).await;
        assert_eq!((fate.dead.len(), fate.extra()), (0, 0));
        eventually("the concurrency recovers", || world.counters().concurrency.get() > fallen).await;
        check_acks(&world, &tap).await;

        let attempts = attempts(&world.lambda.log().invocations());
        assert!(attempts.values().flatten().count() as u64 > throttled, "{throttled} throttled");
        let waits: Vec<_> = attempts
            .values()
            .filter_map(|tries| Some(tries.get(1)?.at.saturating_duration_since(tries[0].ended?)))
            .collect();
        // That they are spread is a unit test of `bridge/src/lambda/retry.rs`: a busy machine spreads them by itself.
        let least = waits.iter().min().unwrap();
        assert!(*least >= RETRY_AFTER, "asked again after {least:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_server_errors_on_one_in_five() {
    for (status, seed) in [(500, 1), (502, 2), (503, 3)] {
        let (world, tap) = tapped(patient(world(Protocol::V5)).function(willing())).await;
        fault(&world, When::Chance { probability: 0.2, seed }, Action::status(status));
        let messages = sized(500, 10_000);
        let sensors = publish(&world, messages, |_| {}).await;
        let fate = settled(&world, "F10", &sensors, 1).await;
        assert_eq!((fate.handled.len() as u64, fate.dead.len(), fate.extra()), (messages, 0, 0));
        assert!(world.lambda.log().totals().refused >= messages / 10, "the fault has hardly struck");
        acknowledged(&world, messages).await;
        check_acks(&world, &tap).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_function_ran_and_then_the_connection_broke() {
    // An idempotent function: the effect of a record is its id in this set.
    let (effects, runs) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(Mutex::new(0)));
    let (kept, counted) = (Arc::clone(&effects), Arc::clone(&runs));
    let function = answering(move |call| {
        for record in call.event().unwrap().records {
            *counted.lock().unwrap() += 1;
            kept.lock().unwrap().insert(record.id);
        }
        Answer::null()
    });
    let (world, tap) = tapped(patient(world(Protocol::V5)).function(function)).await;
    fault(&world, When::Every(5), Action::RunThenCut);
    let messages = sized(500, 10_000);
    let sensors = publish(&world, messages, |_| {}).await;
    settled(&world, "F12", &sensors, 1).await;
    acknowledged(&world, messages).await;
    check_acks(&world, &tap).await;
    let broken = world.lambda.log().totals().unanswered;
    assert!(broken >= messages / 10, "the fault has hardly struck");
    assert_eq!(*runs.lock().unwrap(), messages + broken, "each broken invocation had run, and ran again");
    assert_eq!(effects.lock().unwrap().len() as u64, messages, "a record came again under another id");
    for (id, tries) in attempts(&world.lambda.log().invocations()) {
        assert!(tries.iter().all(|one| one.payload == tries[0].payload), "{id} came again with another event");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_response_that_stalls_meets_the_timeout() {
    let answer = answering(|_| Answer::json(&"x".repeat(10_000)));
    let builder = patient(world(Protocol::V5)).set("mapping.timeout", "1s").function(answer);
    let (world, tap) = tapped(builder).await;
    fault(&world, When::Every(10), Action::Stall);
    let messages = sized(200, 2_000);
    let sensors = publish(&world, messages, |_| {}).await;
    nothing_lost(&world, &sensors).await;
    acknowledged(&world, messages).await;
    let fate = settled(&world, "F15", &sensors, 1).await;
    check_acks(&world, &tap).await;
    let stalled = world.lambda.log().totals().unanswered;
    assert!(stalled > 0, "nothing stalled");
    // A busy machine may answer too late by itself: then the function has run, and runs once more.
    let failed = stalled + fate.extra() as u64;
    assert_eq!(world.counters().failed.get(), failed, "each stalled answer is a failed attempt");
    let metrics = world.bridge().unwrap().metrics().render();
    let by_timeout =
        |line: &&str| line.starts_with("mqtt_lambda_bridge_failures_total{") && line.contains("reason=\"Timeout\"");
    let timeouts = metrics.lines().find(by_timeout).and_then(|line| line.rsplit(' ').next()?.parse().ok());
    assert_eq!(timeouts, Some(failed), "by the timeout, and by nothing else");
}
