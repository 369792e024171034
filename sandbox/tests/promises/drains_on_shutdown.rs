//! Promise: a bridge that is told to stop finishes the messages it has admitted, acknowledges them and exits within its
//! time; messages that it cannot finish stay unacknowledged for the next start. Matrix rows F2 and F3, on the real
//! binary.

use crate::common;
use std::time::Duration;

use crate::common::{everywhere, fault, nothing_lost, publish, willing};
use sandbox::lambda::{Action, When};

#[tokio::test(flavor = "multi_thread")]
async fn f2_sigterm_with_invocations_under_way_loses_and_repeats_nothing() {
    everywhere(|builder| async move {
        let builder = builder.function(willing()).set("mapping.concurrency", "20");
        let mut world = builder.without_bridge().await.unwrap();
        let mut process = world.spawn_bridge().unwrap();
        assert!(process.logged("subscribed", common::PATIENCE).await, "{:#?}", process.log());
        fault(&world, When::Always, Action::Delay(Duration::from_secs(2)));
        let sensors = publish(&world, 20, |_| {}).await;
        world.lambda.log().wait_for(common::PATIENCE, |log| log.totals().in_flight >= 20).await.unwrap();
        process.signal("TERM").await.unwrap();
        let status = process.exited(common::PATIENCE).await.unwrap().expect("ends within its drain time");
        assert_eq!(status.code(), Some(0), "{:#?}", process.log());
        assert_eq!(process.count("un-acknowledged"), 0, "{:#?}", process.log());
        world.lambda.faults().clear();
        world.start_bridge().await.unwrap();
        let last = publish(&world, 1, |_| {}).await;
        nothing_lost(&world, &last).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.extra()), (21, 0), "the restart brought something again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_function_that_never_answers_does_not_hold_the_exit() {
    everywhere(|builder| async move {
        let mut world = builder.function(willing()).set("drain_timeout", "1s").without_bridge().await.unwrap();
        let mut process = world.spawn_bridge().unwrap();
        assert!(process.logged("subscribed", common::PATIENCE).await, "{:#?}", process.log());
        fault(&world, When::Always, Action::Hang);
        let sensors = publish(&world, 5, |_| {}).await;
        world.lambda.log().wait_for(common::PATIENCE, |log| log.totals().in_flight >= 5).await.unwrap();
        process.signal("INT").await.unwrap();
        let status = process.exited(common::PATIENCE).await.unwrap().expect("ends at the deadline");
        assert_eq!(status.code(), Some(0));
        assert!(process.logged("un-acknowledged for the next start", Duration::ZERO).await, "{:#?}", process.log());
        assert!(process.logged("\"unacknowledged\":5", Duration::ZERO).await, "{:#?}", process.log());
        world.lambda.faults().clear();
        world.start_bridge().await.unwrap();
        assert_eq!(nothing_lost(&world, &sensors).await.handled.len(), 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_between_attempts_is_cut_short() {
    everywhere(|builder| async move {
        let mut world = builder
            .function(willing())
            .set("mapping.retry.backoff", "10m..10m")
            .set("mapping.retry.max_age", "1h")
            .start()
            .await
            .unwrap();
        fault(&world, When::Always, Action::status(500));
        let sensors = publish(&world, 3, |_| {}).await;
        common::eventually("all wait", || world.counters().failed.get() >= 3).await;
        assert!(world.drain_bridge(common::PATIENCE).await, "the back-off of ten minutes is slept through");
        world.lambda.faults().clear();
        world.start_bridge().await.unwrap();
        assert_eq!(nothing_lost(&world, &sensors).await.handled.len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_answer_does_not_hold_the_exit() {
    let builder = sandbox::world::World::builder().function(willing()).set("mqtt.connect_timeout", "5m");
    let mut world = builder.without_bridge().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.set("mqtt.url", &format!("mqtts://localhost:{}", listener.local_addr().unwrap().port()));
    world.launch_bridge().await.unwrap();
    let _held = tokio::time::timeout(common::PATIENCE, listener.accept()).await.unwrap().unwrap();
    assert!(world.drain_bridge(common::PATIENCE).await, "waits for a broker with nothing to tell it");
}
