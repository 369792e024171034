//! Promise: throttling, server errors, timeouts, broken connections and failing functions are retried by policy, and
//! none of them loses or acknowledges a message.

use std::time::Duration;

use crate::common::{acknowledged, ended, eventually, everywhere, fault, nothing_lost, publish, willing};
use sandbox::lambda::{Action, Outcome, Refusal, When};
use sandbox::oracle;
use sandbox::world::WorldBuilder;

const MESSAGES: u64 = 40;

/// Every third invocation meets the fault; in the end all is handled, and each record kept its id.
async fn survives(builder: WorldBuilder, action: Action) {
    let told = action.clone();
    let world = builder
        .function(willing())
        .set("mapping.timeout", "1s")
        .set("mapping.retry.max_attempts", "20")
        .start()
        .await
        .unwrap();
    fault(&world, When::Every(3), action);
    let sensors = publish(&world, MESSAGES, |_| {}).await;
    let fate = nothing_lost(&world, &sensors).await;
    acknowledged(&world, MESSAGES).await;
    assert_eq!(fate.dead.len(), 0, "{told:?}");
    assert!(world.counters().retries.get() > 0, "{told:?}: nothing was tried again");
    let invocations = world.lambda.log().invocations();
    let mut ids: Vec<_> = invocations.iter().flat_map(|invocation| invocation.record_ids.iter().cloned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as u64, MESSAGES, "{told:?}: a retry changed a record id");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_and_server_errors() {
    everywhere(|builder| async move {
        survives(builder.clone(), Action::throttle(None)).await;
        survives(builder.clone(), Action::status(500)).await;
        survives(builder.clone(), Action::status(502)).await;
        survives(builder, Action::status(503)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections() {
    everywhere(|builder| async move {
        survives(builder.clone(), Action::Cut).await;
        survives(builder, Action::RunThenCut).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_never_come_or_break_off() {
    everywhere(|builder| async move {
        survives(builder.clone(), Action::Hang).await;
        survives(builder, Action::Stall).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_error_is_never_a_success() {
    everywhere(|builder| async move {
        survives(builder, Action::function_error("Boom", "no")).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_reach_the_function_costs_no_attempt() {
    everywhere(|builder| async move {
        let world = builder
            .function(willing())
            .set("mapping.retry.max_attempts", "1")
            .set("mapping.retry.backoff", "1ms..5ms")
            .start()
            .await
            .unwrap();
        for action in [Action::throttle(None), Action::status(503), Action::Cut] {
            let (before, done) = (world.counters().retries.get(), world.counters().acknowledged.get());
            fault(&world, When::Always, action.clone());
            publish(&world, 5, |_| {}).await;
            eventually("many retries", || world.counters().retries.get() >= before + 50).await;
            assert_eq!(world.counters().acknowledged.get(), done, "{action:?}");
            world.lambda.faults().clear();
            acknowledged(&world, done + 5).await;
            assert_eq!(world.dead_letters().unwrap(), [], "{action:?}: an outage is no fault of the message");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured() {
    everywhere(|builder| async move {
        let world = builder.function(willing()).start().await.unwrap();
        fault(&world, When::Nth(1), Action::throttle(Some(Duration::from_secs(1))));
        publish(&world, 1, |_| {}).await;
        acknowledged(&world, 1).await;
        let invocations = world.lambda.log().invocations();
        assert_eq!(invocations.len(), 2);
        assert!(invocations[1].at - invocations[0].ended.unwrap() >= Duration::from_secs(1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_misconfiguration_holds_everything_and_recovers_by_itself() {
    everywhere(|builder| async move {
        let world = builder.function(willing()).set("mapping.retry.max_attempts", "1").start().await.unwrap();
        for refusal in [Refusal::AccessDenied, Refusal::NotFound, Refusal::ExpiredToken] {
            let before = ended(&world, |outcome| matches!(outcome, Outcome::Refused { .. }));
            let acknowledged_before = world.counters().acknowledged.get();
            fault(&world, When::Always, Action::Refuse(refusal.clone()));
            publish(&world, 5, |_| {}).await;
            eventually("many refusals", || {
                ended(&world, |outcome| matches!(outcome, Outcome::Refused { .. })) >= before + 20
            })
            .await;
            assert!(world.bridge().unwrap().troubles()[0].contains("configuration"), "ready in spite of {refusal}");
            assert_eq!(world.counters().acknowledged.get(), acknowledged_before);
            assert_eq!(world.dead_letters().unwrap(), [], "a missing permission is no fault of the message");
            world.lambda.faults().clear();
            acknowledged(&world, acknowledged_before + 5).await;
            assert!(world.bridge().unwrap().troubles().is_empty());
        }
        assert_eq!(oracle::handled_ids(&world.lambda.log().invocations()).len(), 15);
    })
    .await;
}
