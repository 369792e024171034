//! Promise: at SIGHUP a running bridge reads its configuration again. Unchanged mappings keep running, changed ones
//! lose nothing, and an invalid configuration changes nothing. On the real binary.

use crate::common;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{Fate, eventually, everywhere, fault, nothing_lost, publish, sized, willing};
use crate::replica::{AT_ONCE, Replica, SHORT, broker, mapping};
use bridge::config::Protocol;
use sandbox::lambda::{Action, When};
use sandbox::oracle;
use sandbox::sensors::Sensors;
use sandbox::world::{World, WorldBuilder};
use serde_json::json;

/// A world and the first part of each configuration in it, `[mqtt]` with more lines.
async fn scene(builder: WorldBuilder) -> (World, impl Fn(&str) -> String) {
    let protocol = builder.protocol_spoken();
    let world = builder.function(willing()).without_bridge().await.unwrap();
    let (url, files) = (world.url().clone(), world.files.clone());
    (world, move |more: &str| broker(&url, &files, protocol, "b", &format!("{SHORT}\n{AT_ONCE}\n{more}")))
}

/// Publishes to a topic as [`publish`] does.
async fn publish_to(world: &World, topic: &str, total: u64) -> Sensors {
    publish(world, total, |options| topic.clone_into(&mut options.topic)).await
}

/// The publisher's ids of these that the function has taken.
fn handled(world: &World, sensors: &Sensors) -> usize {
    let ids: BTreeSet<_> = oracle::handled_ids(&world.lambda.log().invocations()).into_iter().collect();
    (1..=sensors.published()).filter(|number| ids.contains(&sensors.registry().id(*number))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_does_not_notice_and_the_rest_starts_changes_and_goes() {
    everywhere(|builder| async move {
        let (world, mqtt) = scene(builder).await;
        fault(&world, When::Always, Action::Delay(Duration::from_millis(20)));
        let first = mqtt("") + &mapping("stays", "a", "") + &mapping("changes", "b", "") + &mapping("goes", "c", "");
        let mut bridge = Replica::start(&world, "bridge", &first).await;
        let total = sized(300, 5_000);
        let load = |topic: &str| {
            let topic = topic.to_owned();
            world.sensors(|options| (options.topic, options.rate, options.total) = (topic, 100.0, Some(total))).unwrap()
        };
        let (mut to_stays, mut to_changes) = (load("a"), load("b"));
        eventually("both flow", || to_stays.acked().min(to_changes.acked()) > 50).await;

        let changed = mapping("changes", "b", "batch.max_records = 10");
        let said =
            bridge.reload(&(mqtt("") + &mapping("stays", "a", "") + &changed + &mapping("comes", "d", ""))).await;
        assert_eq!(said["event"], "configuration.reloaded");
        assert_eq!((&said["added"], &said["changed"]), (&json!("[\"comes\"]"), &json!("[\"changes\"]")));
        assert_eq!((&said["removed"], &said["unchanged"]), (&json!("[\"goes\"]"), &json!(1)));
        let all = "changes: ready\ncomes: ready\nstays: ready\n";
        let sorted = |answer: &str| {
            let mut lines: Vec<_> = answer.split_inclusive('\n').collect();
            lines.sort_unstable();
            lines.concat()
        };
        bridge.until("the old ones are gone and the new ones are there", "/mappings", |is| sorted(is) == all).await;
        bridge.ready().await;

        tokio::time::timeout(common::PATIENCE, to_stays.finished()).await.unwrap();
        tokio::time::timeout(common::PATIENCE, to_changes.finished()).await.unwrap();
        nothing_lost(&world, &to_stays).await;
        nothing_lost(&world, &to_changes).await;
        let fate = Fate::of(&world);
        assert_eq!((fate.handled.len() as u64, fate.extra()), (2 * total, 0));
        eventually("the changed one goes on with its session", || bridge.connected("b-changes") == [false, true]).await;
        assert_eq!(bridge.connected("b-stays"), [false], "the unchanged mapping has connected again");
        assert!(world.lambda.log().invocations().iter().any(|invocation| invocation.record_ids.len() > 1));
        assert_eq!(bridge.metric("mqtt_lambda_bridge_redelivered_total{mapping=\"stays\"}").await, Some(0.0));
        assert_eq!(
            bridge.metric("mqtt_lambda_bridge_ready{mapping=\"goes\"}").await,
            None,
            "who is gone is still shown"
        );

        let to_comes = publish_to(&world, "d", 5).await;
        nothing_lost(&world, &to_comes).await;
        // Had the broker kept the session, or its subscription, this would come with it.
        let to_nobody = publish_to(&world, "c", 5).await;
        // Under MQTT 3.1.1 one more connection made the broker delete the session.
        let before = bridge.connected("b-goes").len();
        assert_eq!(bridge.reload(&first).await["event"], "configuration.reloaded");
        eventually("it is back", || bridge.connected("b-goes").len() > before).await;
        assert_eq!(bridge.connected("b-goes"), vec![false; before + 1]);
        bridge.ready().await;
        assert_eq!(handled(&world, &to_nobody), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong_changes_nothing_and_is_told_with_its_place() {
    let (world, mqtt) = scene(World::builder()).await;
    let good = mqtt("") + &mapping("one", "a", "");
    let mut bridge = Replica::start(&world, "bridge", &good).await;
    assert_eq!(bridge.metric("mqtt_lambda_bridge_last_reload_successful").await, Some(1.0));
    let line = |config: &str, key: &str| config.lines().position(|line| line.contains(key)).unwrap() + 1;
    let other = mapping("other", "b", "");
    // The valid parts of the file must not be applied either.
    let changed = mqtt("") + &mapping("one", "a", "timeout = \"20s\"") + &other;
    let cases = [
        ("qos = 3", format!("{changed}qos = 3\n"), "mapping.qos: out of bounds"),
        ("nonsense", format!("{changed}nonsense = 1\n"), "mapping.nonsense: unknown key"),
        ("filter", format!("{changed}filter = [{{ payload = {{ a = 1 }} }}]\n"), "mapping `other`: filter"),
        ("", format!("{changed}on_failure.file = \"/nowhere/at/all\"\n"), "mapping `other`: failure destination"),
    ];
    for (refused, (key, config, reason)) in (1..).zip(cases) {
        let said = bridge.reload(&config).await;
        assert_eq!((&said["event"], &said["level"]), (&json!("configuration.refused"), &json!("ERROR")));
        let told = said["reason"].as_str().unwrap();
        assert!(told.contains(reason), "{told}");
        if reason.starts_with("mapping.") {
            assert!(told.contains(&format!("bridge.toml:{}: ", line(&config, key))), "{told}");
        }
        assert_eq!(bridge.metric("mqtt_lambda_bridge_last_reload_successful").await, Some(0.0));
        assert_eq!(
            bridge.metric("mqtt_lambda_bridge_reloads_total{result=\"refused\"}").await,
            Some(f64::from(refused))
        );
        assert_eq!(bridge.ask("GET", "/mappings").await.1, "one: ready\n");
        let other = bridge.metric("mqtt_lambda_bridge_ready{mapping=\"other\"}").await;
        assert_eq!(other, None, "a mapping that is not there is shown, as one that is not ready: {reason}");
    }
    assert_eq!(bridge.connected("b-one"), [false]);
    let sensors = publish_to(&world, "a", 5).await;
    nothing_lost(&world, &sensors).await;
    assert_eq!(bridge.reload(&(good + &other)).await["event"], "configuration.reloaded");
    assert_eq!(bridge.metric("mqtt_lambda_bridge_last_reload_successful").await, Some(1.0));
    assert_eq!(bridge.metric("mqtt_lambda_bridge_reloads_total{result=\"succeeded\"}").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named_and_refuses_the_whole_reload() {
    let (world, mqtt) = scene(World::builder()).await;
    let first = mqtt("") + &mapping("one", "a", "");
    let mut bridge = Replica::start(&world, "bridge", &first).await;
    let second =
        (mqtt("keep_alive = \"77s\"") + &mapping("two", "b", "")).replace("\"b\"\nprotocol", "\"c\"\nprotocol");
    let said = bridge.reload(&second).await;
    let reason = said["reason"].as_str().unwrap();
    assert_eq!(reason, "mqtt.client_id, mqtt.keep_alive: cannot change while the bridge runs; restart it");
    assert_eq!(bridge.ask("GET", "/mappings").await.1, "one: ready\n");
    assert_eq!(bridge.connected("b-one"), [false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_topic_filter_takes_over_from_the_old_one_without_a_gap() {
    everywhere(|builder| async move {
        let (world, mqtt) = scene(builder).await;
        let config = |filter: &str| mqtt("") + &mapping("m", filter, "");
        let mut bridge = Replica::start(&world, "bridge", &config("sensor/data")).await;
        let total = sized(300, 5_000);
        let mut sensors = world.sensors(|options| (options.rate, options.total) = (100.0, Some(total))).unwrap();
        eventually("messages flow", || sensors.acked() > 50).await;
        bridge.reload(&config("sensor/+")).await;
        eventually("the old filter is given up", || bridge.logged("session.unsubscribed").len() == 1).await;
        tokio::time::timeout(common::PATIENCE, sensors.finished()).await.unwrap();
        nothing_lost(&world, &sensors).await;
        assert_eq!(bridge.connected("b-m"), [false, true]);

        bridge.reload(&config("other")).await;
        eventually("this one too", || bridge.logged("session.unsubscribed").len() == 2).await;
        let (old, new) = (publish_to(&world, "sensor/data", 5).await, publish_to(&world, "other", 5).await);
        nothing_lost(&world, &new).await;
        assert_eq!(handled(&world, &old), 0, "the old subscription is still there");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_sessions_lose_nothing_and_leave_nothing_behind() {
    everywhere(|builder| async move {
        let (world, mqtt) = scene(builder).await;
        fault(&world, When::Always, Action::Delay(Duration::from_millis(30)));
        let config = |sessions| mqtt("") + &mapping("m", "$share/g/sensor/data", &format!("sessions = {sessions}"));
        let mut bridge = Replica::start(&world, "bridge", &config(3)).await;
        let total = sized(400, 10_000);
        let mut sensors = world.sensors(|options| (options.rate, options.total) = (100.0, Some(total))).unwrap();
        eventually("messages flow", || sensors.acked() > 100).await;
        bridge.reload(&config(1)).await;
        eventually("two have left", || bridge.logged("session.retired").len() == 2).await;
        bridge.until("one is left", "/mappings", |answer| answer == "m: ready\n").await;
        tokio::time::timeout(common::PATIENCE, sensors.finished()).await.unwrap();
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len() as u64, fate.extra()), (total, 0));

        // Under MQTT 3.1.1 one more connection made the broker delete the session.
        let before = bridge.connected("b-m-2").len();
        bridge.reload(&config(2)).await;
        eventually("the second is new", || bridge.connected("b-m-2").len() > before).await;
        assert_eq!(bridge.connected("b-m-2")[before..], [false], "the broker had kept its session");
        assert!(bridge.connected("b-m").iter().skip(1).all(|present| *present));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_reloads_of_others_and_of_the_mapping_itself() {
    everywhere(|builder| async move {
        let (world, mqtt) = scene(builder).await;
        let held = |more: &str| mapping("held", "a", more);
        let mut bridge = Replica::start(&world, "bridge", &(mqtt("") + &held(""))).await;
        assert_eq!(bridge.ask("POST", "/mappings/held/pause").await.0, 200);
        bridge.reload(&(mqtt("") + &held("") + &mapping("other", "b", ""))).await;
        let both = "held: paused\nother: ready\n";
        bridge.until("the other is there, this one is held", "/mappings", |answer| answer == both).await;
        assert_eq!(bridge.connected("b-held"), [false]);
        // More than a session may hold at once: a paused session must not read them.
        let sensors = publish_to(&world, "a", 300).await;
        bridge.reload(&(mqtt("") + &held("timeout = \"20s\""))).await;
        eventually("it is back", || bridge.connected("b-held") == [false, true]).await;
        bridge.until("it is held still", "/mappings", |answer| answer == "held: paused\n").await;
        // For another filter it has to hear SUBACK and UNSUBACK, and reads what stands before them, but never more than
        // it may hold.
        bridge.reload(&(mqtt("") + &mapping("held", "+", ""))).await;
        eventually("it is back again", || bridge.connected("b-held").len() == 3).await;
        let heard = || !bridge.logged("session.unsubscribed").is_empty();
        let full = "mqtt_lambda_bridge_outstanding{mapping=\"held\"} 256\n";
        bridge.until("it has read what it must", "/metrics", |metrics| heard() || metrics.contains(full)).await;
        let outstanding = bridge.metric("mqtt_lambda_bridge_outstanding{mapping=\"held\"}").await.unwrap();
        assert!(outstanding <= 256.0, "{outstanding} read while held");
        assert_eq!(world.lambda.log().totals().invoked, 0, "invoked while paused");
        assert_eq!(bridge.ask("POST", "/mappings/held/resume").await.0, 200);
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.extra()), (300, 0));
        assert_eq!(bridge.connected("b-held").len(), 3, "connected again over it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_while_another_one_is_under_way_leads_to_the_last() {
    everywhere(|builder| async move {
        let (world, mqtt) = scene(builder).await;
        fault(&world, When::Always, Action::Delay(Duration::from_secs(2)));
        let config = |more: &str| mqtt("") + &mapping("m", "sensor/data", more);
        let mut bridge = Replica::start(&world, "bridge", &config("")).await;
        let sensors = publish(&world, 5, |_| {}).await;
        world.lambda.log().wait_for(common::PATIENCE, |log| log.totals().in_flight >= 5).await.unwrap();
        bridge.reload(&config("timeout = \"20s\"")).await;
        assert_eq!(bridge.ask("GET", "/readyz").await.1, "mapping `m`: draining for its new settings\n");
        bridge.reload(&(mqtt("") + &mapping("other", "b", ""))).await;
        bridge.until("it is gone", "/mappings", |answer| answer == "other: ready\n").await;
        // Another thread writes the log.
        eventually("it says so", || bridge.logged("session.retired").len() == 1).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.extra()), (5, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_for_new_settings_has_its_time_and_no_more() {
    everywhere(|builder| async move {
        let (world, mqtt) = scene(builder).await;
        fault(&world, When::Always, Action::Hang);
        let config = |more: &str| format!("drain_timeout = \"1s\"\n{}{}", mqtt(""), mapping("m", "sensor/data", more));
        let mut bridge = Replica::start(&world, "bridge", &config("")).await;
        let sensors = publish(&world, 5, |_| {}).await;
        world.lambda.log().wait_for(common::PATIENCE, |log| log.totals().in_flight >= 5).await.unwrap();
        bridge.reload(&config("timeout = \"20s\"")).await;
        eventually("it is cut", || bridge.logged("mapping.cut").len() == 1).await;
        world.lambda.faults().clear();
        assert_eq!(nothing_lost(&world, &sensors).await.handled.len(), 5);
        let none = "mqtt_lambda_bridge_invocations_in_flight{mapping=\"m\"} 0\n";
        bridge.until("those that were cut are counted out", "/metrics", |metrics| metrics.contains(none)).await;
        bridge.process.signal("TERM").await.unwrap();
        bridge.ended().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_publisher_connects_when_the_first_mapping_needs_it() {
    let (world, mqtt) = scene(World::builder().protocol(Protocol::V5)).await;
    let config = |more: &str| mqtt("") + &mapping("m", "sensor/data", more);
    let mut bridge = Replica::start(&world, "bridge", &config("")).await;
    assert_eq!(bridge.ask("GET", "/mappings").await.1, "m: ready\n");
    fault(&world, When::Always, Action::function_error("Boom", "no"));
    bridge.reload(&config("retry.max_attempts = 1\non_failure.topic = \"dead\"")).await;
    bridge.until("it is there", "/mappings", |answer| answer == "m: ready\n(publisher): ready\n").await;
    publish(&world, 3, |_| {}).await;
    let dead = "mqtt_lambda_bridge_settled_total{mapping=\"m\",outcome=\"dead_lettered\"} 3\n";
    bridge.until("dead letters are published", "/metrics", |metrics| metrics.contains(dead)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f49_a_circle_through_two_mappings_is_warned_of() {
    let (world, mqtt) = scene(World::builder()).await;
    let there = mapping("there", "a", "response.allow = [\"b\"]");
    let back = mapping("back", "b", "response.allow = [\"a\"]");
    let mut bridge = Replica::start(&world, "bridge", &(mqtt("") + &there)).await;
    assert_eq!(bridge.logged("mapping.circle"), Vec::<serde_json::Value>::new());
    bridge.reload(&(mqtt("") + &there + &back)).await;
    let said = bridge.logged("mapping.circle");
    assert_eq!(said.iter().map(|line| &line["mappings"]).collect::<Vec<_>>(), ["there, back"]);

    let refused = mapping("back", "b", "response.allow = [\"a\", \"+\"]");
    let said = bridge.reload(&(mqtt("") + &there + &refused)).await;
    let reason = said["reason"].as_str().unwrap();
    assert!(reason.contains("own topic filter `b` matches topics of `+`, so answers would come back"), "{reason}");
}
