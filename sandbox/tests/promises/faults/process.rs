//! F1, F23: a bridge that starts with more queued messages than it may hold, or that is stopped for longer than its
//! broker waits.

use std::time::{Duration, Instant};

use sandbox::lambda::{Action, When};

use crate::common::{PATIENCE, acks, eventually, fault, sized, willing};
use crate::faults::scene::{RECEIVE_MAXIMUM, Scene, both_protocols};

const KEEP_ALIVE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn f1_a_start_with_more_waiting_than_fits_while_the_function_is_down() {
    both_protocols(|builder| async move {
        let builder = builder.function(willing()).set("mapping.max_outstanding_bytes", "1KiB");
        let builder = builder.set("mqtt.connect_timeout", "1s").set("mqtt.keep_alive", "5s");
        let builder = builder.set("mapping.retry.max_attempts", "100000");
        let mut scene = Scene::start(builder).await;
        fault(&scene.world, When::Always, Action::status(503));
        let mut sensors = scene
            .world
            .sensors(|o| (o.count, o.rate, o.total, o.padding) = (1, f64::INFINITY, Some(30), 1_000))
            .unwrap();
        sensors.finished().await;
        scene.process.kill().await.unwrap();
        scene.process = scene.world.spawn_bridge().unwrap();
        assert!(scene.process.logged("\"connected\"", PATIENCE).await, "{:#?}", scene.process.log());
        let connections = scene.proxy.connections();
        // Its SUBACK waits behind more messages than it may read now, for longer than a SUBACK may take.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(scene.proxy.connections(), connections, "{:#?}", scene.process.log());
        scene.world.lambda.faults().clear();
        let fate = scene.settled("F1, full", &mut sensors, 1).await;
        assert_eq!((fate.handled.len(), fate.dead.len(), fate.extra()), (30, 0, 0));
        assert!(scene.process.logged("subscribed", PATIENCE).await, "{:#?}", scene.process.log());
        eventually("all is acknowledged", || acks(&scene.tap.seen()).len() == 30).await;
        scene.check_acks().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_stopped_for_two_keep_alives_and_continued() {
    both_protocols(|builder| async move {
        let scene = Scene::start(builder.function(willing()).set("mqtt.keep_alive", "5s")).await;
        let messages = sized(500, 10_000);
        fault(&scene.world, When::Always, Action::Delay(Duration::from_millis(100)));
        let mut sensors =
            scene.world.sensors(|options| (options.rate, options.total) = (40.0, Some(messages))).unwrap();
        let log = scene.world.lambda.log();
        log.wait_for(PATIENCE, |log| log.totals().succeeded >= 50 && log.totals().in_flight > 0).await.unwrap();
        let begun = Instant::now();
        scene.process.signal("STOP").await.unwrap();
        // Two keep-alives are enough for a broker that checks at once; a busy one gets a third.
        tokio::time::sleep_until((begun + KEEP_ALIVE * 3 + Duration::from_secs(1)).into()).await;
        scene.process.signal("CONT").await.unwrap();
        // It reads the responses of its invocations before it notices that the connection is gone.
        eventually("the bridge is back", || scene.proxy.connections() > 1).await;
        scene.flow_resumes(messages).await;
        let fate = scene.settled("F23", &mut sensors, 1).await;
        assert_eq!(fate.handled.len() as u64, messages);
        assert!(fate.extra() <= RECEIVE_MAXIMUM, "{} extra", fate.extra());
        scene.check_acks().await;
        scene.check_memory(RECEIVE_MAXIMUM, 1_024);
    })
    .await;
}
