//! Promises about the flow of messages: filters, rate limits, adaptation to throttling, asynchronous invocation,
//! message expiry, several sessions of one shared subscription.

use crate::common;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{acknowledged, eventually, everywhere, fault, nothing_lost, publish, willing};
use bridge::config::Protocol;
use sandbox::lambda::{Action, Kind, When};
use sandbox::oracle;
use sandbox::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_no_filter_matches_is_acknowledged_and_not_invoked() {
    everywhere(|builder| async move {
        let filter = r#"[{"payload":{"device_id":["sensor-01"]}},{"payload":{"temperature":[{"prefix":"brok"}]}}]"#;
        let world = builder.set("mapping.filter", filter).function(willing()).start().await.unwrap();
        publish(&world, 40, |options| (options.count, options.rate, options.bad_every) = (4, 100.0, Some(8))).await;
        acknowledged(&world, 40).await;
        let (counters, log) = (world.counters(), world.lambda.log().invocations());
        assert_eq!(counters.filtered.get() + counters.delivered.get(), 40);
        assert_eq!(counters.delivered.get(), log.len() as u64);
        assert!(counters.filtered.get() > 0 && counters.delivered.get() > 0);
        for invocation in log {
            let payload = String::from_utf8_lossy(&invocation.payload).into_owned();
            assert!(payload.contains("sensor-01") || payload.contains("broken"), "{payload}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_that_is_none_is_refused_before_anything_is_connected() {
    let builder = sandbox::world::World::builder().function(willing());
    let mut world = builder.set("mapping.filter", r#"{"payload":{"temperature":30}}"#).without_bridge().await.unwrap();
    let error = world.launch_bridge().await.unwrap_err().to_string();
    assert!(error.contains("mapping `sensor-data`: filter") && error.contains("payload.temperature"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_spreads_invocations() {
    everywhere(|builder| async move {
        let world = builder.set("mapping.rate_limit", "25/s").function(willing()).start().await.unwrap();
        publish(&world, 100, |_| {}).await;
        acknowledged(&world, 100).await;
        let log = world.lambda.log().invocations();
        let took = log[99].at.saturating_duration_since(log[0].at);
        // Four seconds, of which the first may lose some on a loaded machine; without a limit it is a few milliseconds.
        assert!(took >= Duration::from_secs(2), "100 messages at 25/s took {took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_defeat_each_other_are_warned_of() {
    type Settings = &'static [(&'static str, &'static str)];
    let cases: [(Settings, Option<&str>); 6] = [
        (&[("mapping.rate_limit", "20/m")], Some("mapping.slow_rate")),
        (&[("mapping.rate_limit", "50/s")], None),
        (&[("mapping.timeout", "15m")], Some("mapping.short_age")),
        (&[("mapping.timeout", "15m"), ("mapping.retry.max_age", "1h")], None),
        (&[("mapping.batch.max_records", "257"), ("mapping.batch.max_window", "1s")], Some("mapping.small_window")),
        (&[("mapping.batch.max_records", "256"), ("mapping.batch.max_window", "1s")], None),
    ];
    for (settings, expected) in cases {
        let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
        settings.iter().for_each(|(key, value)| world.set(key, value));
        let mut process = world.spawn_bridge().unwrap();
        assert!(process.logged("bridge.started", common::PATIENCE).await, "{:#?}", process.log());
        for event in ["mapping.slow_rate", "mapping.short_age", "mapping.small_window"] {
            let said = process.logged(&format!("\"event\":\"{event}\""), Duration::ZERO).await;
            assert_eq!(said, expected == Some(event), "{settings:?}: {:#?}", process.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_lowers_the_concurrency_and_it_recovers() {
    everywhere(|builder| async move {
        let builder = builder.set("mapping.concurrency", "32").set("mapping.retry.max_attempts", "1000");
        let world = builder.function(willing()).start().await.unwrap();
        fault(&world, When::Always, Action::throttle(None));
        let sensors = publish(&world, 200, |_| {}).await;
        eventually("the concurrency falls", || (1..=16).contains(&world.counters().concurrency.get())).await;
        assert_eq!(world.counters().acknowledged.get(), 0);
        world.lambda.faults().clear();
        nothing_lost(&world, &sensors).await;
        let fallen = world.counters().concurrency.get();
        let more = publish(&world, 300, |_| {}).await;
        nothing_lost(&world, &more).await;
        assert!(world.counters().concurrency.get() > fallen.min(31), "{fallen} and no recovery");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_invocation_succeeds_with_its_acceptance() {
    everywhere(|builder| async move {
        let world = builder.set("mapping.invocation", "event").function(willing()).start().await.unwrap();
        fault(&world, When::Every(4), Action::throttle(None));
        let sensors = publish(&world, 20, |_| {}).await;
        acknowledged(&world, 20).await;
        nothing_lost(&world, &sensors).await;
        let log = world.lambda.log().invocations();
        assert!(log.iter().all(|invocation| invocation.kind == Kind::Event));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_event_has_the_smaller_limit() {
    everywhere(|builder| async move {
        let world = builder.set("mapping.invocation", "event").function(willing()).start().await.unwrap();
        publish(&world, 1, |options| options.padding = 1024 * 1024).await;
        acknowledged(&world, 1).await;
        assert_eq!(world.dead_letters().unwrap()[0].error_type, "TooLarge");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_is_held_where_there_is_no_destination_and_keeps_no_lane() {
    let builder = World::builder().function(willing()).set("mapping.invocation", "event");
    let mut world = builder.set("mapping.concurrency", "1").without_bridge().await.unwrap();
    world.unset("mapping.on_failure.file");
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("subscribed", common::PATIENCE).await, "{:#?}", process.log());
    publish(&world, 1, |options| options.padding = 1024 * 1024).await;
    assert!(process.logged("message.not_readable", common::PATIENCE).await, "{:#?}", process.log());
    let others = publish(&world, 10, |_| {}).await;
    eventually("those behind it are invoked", || common::Fate::of(&world).lost(&others).is_empty()).await;
    assert_eq!(process.count("message.not_readable"), 1, "{:#?}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_publishers_own_id_names_the_record() {
    everywhere(|builder| async move {
        let builder = builder.set("mapping.message_id", "payload:/message_id").set("mapping.retry.max_attempts", "2");
        let world = builder.function(willing()).start().await.unwrap();
        fault(&world, When::Next(1), Action::function_error("Boom", "no"));
        let sensors = publish(&world, 3, |_| {}).await;
        acknowledged(&world, 3).await;
        let sent: BTreeSet<_> =
            world.lambda.log().invocations().iter().flat_map(|i| i.record_ids.iter().cloned()).collect();
        let expected: BTreeSet<_> = (1..=3).map(|number| sensors.registry().id(number)).collect();
        assert_eq!(sent, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_one_shared_subscription_share_the_messages() {
    everywhere(|builder| async move {
        let builder = builder.set("mapping.topic_filter", "$share/bridge/sensor/data").set("mapping.sessions", "3");
        let mut world = builder.function(willing()).start().await.unwrap();
        let sensors = publish(&world, 300, |options| options.count = 3).await;
        acknowledged(&world, 300).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.extra()), (300, 0));
        assert_eq!(world.counters().connects.get(), 3);
        assert!(world.drain_bridge(common::PATIENCE).await);
    })
    .await;
}

/// With `mosquitto_pub`; false where there is none.
async fn publish_short_lived(world: &World) -> bool {
    let Some(tool) = sandbox::tools::require("mosquitto_pub") else { return false };
    let files = &world.files;
    let status = tokio::process::Command::new(tool)
        .args(["-h", "localhost", "-p", &world.url().port.to_string(), "-V", "5", "-q", "1", "-t", "sensor/data"])
        .args(["-D", "publish", "message-expiry-interval", "1", "-m", "{\"message_id\":\"short-lived\"}"])
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
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_expires_while_it_waits_is_not_invoked() {
    let builder = World::builder().protocol(Protocol::V5).function(willing());
    let world = builder.set("mapping.retry.backoff", "200ms..500ms").set("mapping.retry.max_attempts", "1000");
    let world = world.start().await.unwrap();
    fault(&world, When::Always, Action::status(500));
    if !publish_short_lived(&world).await {
        return;
    }
    acknowledged(&world, 1).await;
    assert_eq!(world.counters().expired.get(), 1);
    assert_eq!(oracle::handled_ids(&world.lambda.log().invocations()), Vec::<String>::new());
    assert_eq!(world.dead_letters().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_expires_while_it_waits_for_its_rate_is_not_invoked() {
    let builder = World::builder().protocol(Protocol::V5).function(willing()).set("mapping.rate_limit", "20/m");
    let world = builder.start().await.unwrap();
    publish(&world, 1, |_| {}).await;
    if !publish_short_lived(&world).await {
        return;
    }
    acknowledged(&world, 2).await;
    assert_eq!((world.counters().expired.get(), world.lambda.log().totals().invoked), (1, 1));
}
