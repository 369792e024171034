//! Promise: a replica that retires loses nothing. It unsubscribes, finishes what the broker still has for it, and has
//! the broker delete its session. The last part of matrix row F25, on the real binary.

use crate::common;
use std::time::Duration;

use crate::common::{Fate, eventually, everywhere, fault, nothing_lost, publish, sized, willing};
use crate::replica::{AT_ONCE, Replica, SHORT, broker, mapping};
use sandbox::lambda::{Action, When};
use sandbox::wiretap::Wiretap;
use sandbox::world::{World, WorldBuilder};

const SHARED: &str = "$share/bridge/sensor/data";

/// A world, and the configuration of a replica of this name in it.
async fn scene(builder: WorldBuilder, more: &'static str) -> (World, impl Fn(&str, &str) -> String) {
    let protocol = builder.protocol_spoken();
    let world = builder.function(willing()).without_bridge().await.unwrap();
    let (url, files) = (world.url().clone(), world.files.clone());
    let config = move |client_id: &str, filter: &str| {
        broker(&url, &files, protocol, client_id, &format!("{SHORT}\n{AT_ONCE}")) + &mapping("m", filter, more)
    };
    (world, config)
}

#[tokio::test(flavor = "multi_thread")]
async fn f25_scaling_from_two_replicas_to_one_under_load_loses_nothing() {
    everywhere(|builder| async move {
        let (world, config) = scene(builder, "").await;
        fault(&world, When::Always, Action::Delay(Duration::from_millis(30)));
        let mut goes = Replica::start(&world, "goes", &config("goes", SHARED)).await;
        let stays = Replica::start(&world, "stays", &config("stays", SHARED)).await;
        let part = sized(40, 3_000);
        // Slow enough for a busy machine: a queue that grows is fetched before a replica leaves.
        let mut sensors = world.sensors(|options| options.rate = 20.0).unwrap();
        eventually("both have had a part", || sensors.acked() > part).await;
        assert_eq!(goes.ask("POST", "/retire").await.0, 202);
        assert!(goes.ask("GET", "/readyz").await.1.starts_with("retiring\n"));
        goes.ended().await;
        let with_both = sensors.acked();
        eventually("the other has gone on alone", || sensors.acked() > with_both + part).await;
        assert_eq!(sensors.stop(common::PATIENCE).await, 0);
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len() as u64, fate.extra()), (sensors.published(), 0), "nobody was restarted");
        assert_eq!(goes.logged("session.retired").len(), 1);
        assert_eq!(stays.connected("stays-m"), [false], "the other one has not noticed");
        // The broker has deleted the session.
        let again = Replica::start(&world, "again", &config("goes", SHARED)).await;
        assert_eq!(again.sessions("goes-m").await, [false]);
    })
    .await;
}

/// The configuration with these replicas named as those that leave.
fn with_retiring(config: &str, names: &str) -> String {
    config.replace(AT_ONCE, &format!("{AT_ONCE}\nretiring = [{names}]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_the_configuration_names_leaves_without_loss_and_then_waits_for_its_end() {
    everywhere(|builder| async move {
        let (world, one) = scene(builder, "").await;
        // Two mappings, each with a session of its own.
        let config = |client_id: &str| one(client_id, SHARED) + &mapping("n", "$share/bridge/devices/+/data", "");
        fault(&world, When::Always, Action::Delay(Duration::from_millis(30)));
        let mut goes = Replica::start(&world, "goes", &config("goes")).await;
        let mut stays = Replica::start(&world, "stays", &config("stays")).await;
        let part = sized(40, 3_000);
        let mut sensors = world.sensors(|options| options.rate = 20.0).unwrap();
        eventually("both have had a part", || sensors.acked() > part).await;
        // All replicas are given the same list.
        for (replica, name) in [(&mut stays, "stays"), (&mut goes, "goes")] {
            // The second mapping is paused until the first has left.
            if name == "goes" {
                assert_eq!(replica.ask("POST", "/mappings/n/pause").await.0, 200);
            }
            let taken = replica.reload(&with_retiring(&config(name), "\"another\", \"goes\"")).await;
            assert_eq!(taken["event"], "configuration.reloaded");
        }
        eventually("the first mapping has left", || goes.logged("session.retired").len() == 1).await;
        assert_eq!(goes.ask("GET", "/mappings").await.1, "n: paused\n");
        assert!(goes.ask("GET", "/readyz").await.1.starts_with("retiring\n"));
        assert!(goes.logged("bridge.retired").is_empty(), "a mapping has not left yet");
        assert_eq!(goes.ask("POST", "/mappings/n/resume").await.0, 200);
        goes.until("it has retired", "/readyz", |answer| answer == "retired\n").await;
        assert_eq!(goes.ask("GET", "/readyz").await.0, 200, "nobody is to restart it");
        let without = sensors.acked();
        eventually("the other has gone on alone", || sensors.acked() > without + part).await;
        assert_eq!(sensors.stop(common::PATIENCE).await, 0);
        goes.process.signal("TERM").await.unwrap();
        goes.ended().await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len() as u64, fate.extra()), (sensors.published(), 0));
        assert_eq!((goes.logged("session.retired").len(), goes.logged("bridge.retired").len()), (2, 1));
        // The broker has deleted both sessions and queues nothing for them.
        let again = Replica::start(&world, "again", &config("goes")).await;
        for mapping in ["m", "n"] {
            assert_eq!(stays.connected(&format!("stays-{mapping}")), [false], "the other one has not noticed");
            assert_eq!(again.sessions(&format!("goes-{mapping}")).await, [false]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_starts_as_one_that_leaves_fetches_what_is_left_and_subscribes_to_nothing() {
    everywhere(|builder| async move {
        let (world, config) = scene(builder, "receive_maximum = 10").await;
        let config = config("goes", "sensor/data");
        let mut before = Replica::start(&world, "before", &config).await;
        before.process.signal("TERM").await.unwrap();
        before.ended().await;
        let sensors = publish(&world, 100, |_| {}).await;
        let leaving = with_retiring(&config, "\"goes\"");
        let mut goes = Replica::launch(&world, "goes", &leaving).await;
        assert_eq!(goes.ask("GET", "/startedz").await, (200, "started\n".into()), "a deployment of it does not fail");
        goes.until("it has retired", "/readyz", |answer| answer == "retired\n").await;
        let fate = Fate::of(&world);
        assert_eq!((fate.lost(&sensors).len(), fate.handled.len(), fate.extra()), (0, 100, 0));
        // A container that is started again finds nothing left to do, and makes no new session.
        goes.process.signal("TERM").await.unwrap();
        goes.ended().await;
        let restarted = Replica::launch(&world, "restarted", &leaving).await;
        restarted.until("it has retired again", "/readyz", |answer| answer == "retired\n").await;
        // Twice under MQTT 3.1.1: the second connection has the broker forget the session.
        assert!(restarted.sessions("goes-m").await.iter().all(|present| !present));
        publish(&world, 10, |_| {}).await;
        let again = Replica::start(&world, "again", &config).await;
        assert_eq!(again.sessions("goes-m").await, [false]);
        assert_eq!(Fate::of(&world).handled.len(), 100, "what came for nobody was put aside");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_has_queued_is_fetched_before_it_is_forgotten() {
    everywhere(|builder| async move {
        let (world, config) = scene(builder, "receive_maximum = 10").await;
        // Under MQTT 3.1.1 UNSUBACK comes behind all of it, long after its usual time.
        let config = config("only", "sensor/data")
            .replace(AT_ONCE, &format!("{AT_ONCE}\nkeep_alive = \"5s\"\nconnect_timeout = \"2s\""));
        fault(&world, When::Always, Action::Delay(Duration::from_millis(150)));
        let mut replica = Replica::start(&world, "only", &config).await;
        let sensors = publish(&world, 300, |_| {}).await;
        assert!(Fate::of(&world).handled.len() < 290, "nothing is queued at the broker");
        replica.ask("POST", "/retire").await;
        replica.ended().await;
        let fate = Fate::of(&world);
        assert_eq!((fate.lost(&sensors).len(), fate.handled.len(), fate.extra()), (0, 300, 0));
        assert!(!replica.process.log().iter().any(|line| line.contains("no UNSUBACK")), "gave up too early");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retirement_outlives_its_connection() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let (world, config) = scene(builder, "receive_maximum = 10").await;
        let tap = Wiretap::start(world.url(), &world.files, protocol).await.unwrap();
        let tapped = config("only", "sensor/data").replace(&world.url().to_string(), &tap.url().to_string());
        fault(&world, When::Always, Action::Delay(Duration::from_millis(20)));
        let mut replica = Replica::start(&world, "only", &tapped).await;
        let sensors = publish(&world, 200, |_| {}).await;
        replica.ask("POST", "/retire").await;
        assert!(replica.process.logged("session.unsubscribed", common::PATIENCE).await);
        tap.cut();
        replica.ended().await;
        let fate = Fate::of(&world);
        assert_eq!((fate.lost(&sensors).len(), fate.handled.len()), (0, 200));
        assert_eq!(replica.connected("only-m")[..2], [false, true]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_cuts_a_retirement_short_and_the_rest_is_fetched_by_the_same_client_id() {
    everywhere(|builder| async move {
        let (world, config) = scene(builder, "").await;
        let config = format!("drain_timeout = \"1s\"\n{}", config("only", "sensor/data"));
        fault(&world, When::Always, Action::Hang);
        let mut replica = Replica::start(&world, "only", &config).await;
        let sensors = publish(&world, 200, |_| {}).await;
        replica.ask("POST", "/retire").await;
        assert!(replica.process.logged("bridge.retiring", common::PATIENCE).await);
        replica.process.signal("TERM").await.unwrap();
        replica.ended().await;
        assert_eq!(replica.logged("session.left_behind").len(), 1);
        assert_eq!(Fate::of(&world).lost(&sensors).len(), 200);
        world.lambda.faults().clear();
        let _again = Replica::start(&world, "again", &config).await;
        nothing_lost(&world, &sensors).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_mapping_retires_once_it_is_resumed() {
    everywhere(|builder| async move {
        let (world, config) = scene(builder, "").await;
        let mut replica = Replica::start(&world, "only", &config("only", "sensor/data")).await;
        assert_eq!(replica.ask("POST", "/mappings/m/pause").await.0, 200);
        let sensors = publish(&world, 50, |_| {}).await;
        replica.ask("POST", "/retire").await;
        assert!(replica.process.logged("bridge.retiring", common::PATIENCE).await);
        assert_eq!(replica.ask("GET", "/mappings").await.1, "m: paused\n");
        assert_eq!(world.lambda.log().totals().invoked, 0, "invoked while paused");
        assert_eq!(replica.ask("POST", "/mappings/m/resume").await.0, 200);
        replica.ended().await;
        assert_eq!(Fate::of(&world).lost(&sensors).len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_browser_cannot_retire_a_bridge() {
    let (world, config) = scene(World::builder(), "").await;
    let replica = Replica::start(&world, "only", &config("only", "sensor/data")).await;
    let from_a_page = "/retire HTTP/1.1\r\nOrigin: http://page.example\r\nX: ";
    assert_eq!(replica.ask("POST", from_a_page).await.0, 403);
    assert_eq!(replica.ask("GET", "/retire").await.0, 405);
    assert_eq!(replica.ask("GET", "/readyz").await, (200, "ready\n".into()));
    assert!(replica.logged("bridge.retiring").is_empty());
}
