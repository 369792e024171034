//! F25: replicas of one shared subscription, of which one is always being killed.

use std::time::Duration;

use sandbox::lambda::{Action, When};
use sandbox::leftovers;
use sandbox::replicas::Replicas;
use sandbox::world::{MAPPING, World, WorldBuilder};

use crate::common::{PATIENCE, fault, publish, sized, willing};
use crate::faults::scene::{RECEIVE_MAXIMUM, both_protocols, settled};

async fn share(builder: WorldBuilder, replicas: usize) -> (World, Replicas) {
    let builder = builder.set("mapping.topic_filter", "$share/bridge/sensor/data");
    // A message keeps its id over all deaths, as its publisher names it.
    let builder = builder.set("mapping.message_id", "payload:/message_id").function(willing());
    let mut world = builder.without_bridge().await.unwrap();
    fault(&world, When::Always, Action::Delay(Duration::from_millis(10)));
    let replicas = Replicas::start(&mut world, replicas, PATIENCE).await.unwrap();
    (world, replicas)
}

async fn survives_kills(builder: WorldBuilder, count: usize) {
    let protocol = builder.protocol_spoken();
    let (mut world, mut replicas) = share(builder, count).await;
    let (pause, kills) = (Duration::from_secs(sized(1, 5)), sized(4, 20));
    let rate = 100;
    let messages = rate * (pause.as_secs() + 1) * kills;
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let mut sensors = world.sensors(|o| (o.rate, o.total) = (rate as f64, Some(messages))).unwrap();
    for kill in 0..kills {
        tokio::time::sleep(pause).await;
        replicas.kill_and_restart(&mut world, usize::try_from(kill).unwrap() % count).await.unwrap();
    }
    tokio::time::timeout(PATIENCE * 2, sensors.finished()).await.unwrap();
    let fate = settled(&world, &format!("F25, {count} replicas, MQTT {protocol}"), &sensors, kills).await;
    assert_eq!(fate.handled.len() as u64, messages);
    assert!(fate.extra() as u64 <= RECEIVE_MAXIMUM as u64 * kills, "{} extra", fate.extra());
    let ids = world.lambda.log().invocations().into_iter().flat_map(|i| i.record_ids.to_vec());
    assert!(ids.into_iter().all(|id| id.starts_with(sensors.registry().run())), "a record had another id");
}

#[tokio::test(flavor = "multi_thread")]
async fn f25_two_replicas_of_which_one_is_always_killed() {
    both_protocols(|builder| survives_kills(builder, 2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f25_three_replicas_of_which_one_is_always_killed() {
    both_protocols(|builder| survives_kills(builder, 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f25_from_two_to_one() {
    both_protocols(|builder| async move {
        let protocol = builder.protocol_spoken();
        let (world, mut replicas) = share(builder, 2).await;
        let first = publish(&world, sized(500, 10_000), |options| options.count = 4).await;
        // As long as its session is there the broker gives it its share, so nothing may be published meanwhile.
        settled(&world, "F25, two", &first, 0).await;
        assert!(replicas.stop_last(PATIENCE).await.unwrap().success());
        let tls = std::sync::Arc::new(world.files.client_config(&world.files.bridge).unwrap());
        let session = format!("{}-{MAPPING}", Replicas::client_id(1));
        assert!(leftovers::forget(world.url(), tls, protocol, &session, PATIENCE).await);
        let second = publish(&world, sized(500, 10_000), |options| options.count = 4).await;
        let fate = settled(&world, "F25, one of two", &second, 0).await;
        assert_eq!(fate.extra(), 0);
    })
    .await;
}
