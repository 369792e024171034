//! F4, F5, F6: what can go wrong on the line between bridge and broker.

use std::time::{Duration, Instant};

use sandbox::lambda::{Action, Answer, Function, When};
use sandbox::proxy::{Loss, Quality};
use sandbox::world::FUNCTION;
use tokio::sync::watch;

use crate::common::{PATIENCE, eventually, fault, sized, willing};
use crate::faults::scene::{RECEIVE_MAXIMUM, Scene, both_protocols};

const KEEP_ALIVE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn f4_tcp_resets_under_load() {
    both_protocols(|builder| async move {
        let (messages, resets) = (sized(550, 10_000), sized(10, 50));
        let scene = Scene::start(builder.function(willing())).await;
        fault(&scene.world, When::Always, Action::Delay(Duration::from_millis(10)));
        let mut sensors =
            scene.world.sensors(|options| (options.rate, options.total) = (165.0, Some(messages))).unwrap();
        let log = scene.world.lambda.log();
        for reset in 1..=resets {
            let reached = reset * messages / (resets + 1);
            log.wait_for(PATIENCE, |log| log.totals().succeeded >= reached).await.unwrap();
            let connections = scene.proxy.connections();
            scene.proxy.reset();
            eventually("the bridge is back", || scene.proxy.connections() > connections).await;
            scene.flow_resumes(messages).await;
        }
        let fate = scene.settled("F4", &mut sensors, resets).await;
        assert_eq!((fate.handled.len() as u64, fate.dead.len()), (messages, 0));
        assert!(fate.extra() as u64 <= RECEIVE_MAXIMUM as u64 * resets, "{} extra", fate.extra());
        assert_eq!(scene.process.count("session lost"), 0, "{:#?}", scene.process.log());
        scene.check_acks().await;
        scene.check_memory(RECEIVE_MAXIMUM, 1_024);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_a_reset_while_no_more_messages_fit() {
    both_protocols(|builder| async move {
        // Room for a single message: then the bridge stops reading, and a ping tells it that the connection is gone.
        let builder = builder.set("mapping.max_outstanding_bytes", "1KiB").set("mqtt.keep_alive", "5s");
        let (gate, open) = watch::channel(false);
        let function = Function::inline(FUNCTION, move |_| {
            let mut open = open.clone();
            async move {
                let _ = open.wait_for(|open| *open).await;
                Answer::null()
            }
        });
        let scene = Scene::start(builder.function(Function { timeout: PATIENCE, ..function })).await;
        let mut sensors = scene
            .world
            .sensors(|o| (o.count, o.rate, o.total, o.padding) = (1, f64::INFINITY, Some(30), 1_000))
            .unwrap();
        let log = scene.world.lambda.log();
        log.wait_for(PATIENCE, |log| log.totals().in_flight >= 1).await.unwrap();
        scene.proxy.reset();
        eventually("the bridge is back", || scene.proxy.connections() > 1).await;
        gate.send_replace(true);
        let fate = scene.settled("F4, full", &mut sensors, 1).await;
        assert_eq!((fate.handled.len(), fate.extra()), (30, 0));
        eventually("all is acknowledged", || crate::common::acks(&scene.tap.seen()).len() == 30).await;
        scene.check_acks().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_resets_while_more_waits_than_fits() {
    both_protocols(|builder| async move {
        let builder = builder.set("mapping.receive_maximum", "50").function(willing());
        let scene = Scene::start(builder).await;
        fault(&scene.world, When::Always, Action::Delay(Duration::from_millis(100)));
        let (messages, resets) = (sized(600, 6_000), sized(5, 50));
        let mut sensors = scene.world.sensors(|o| (o.rate, o.total) = (f64::INFINITY, Some(messages))).unwrap();
        sensors.finished().await;
        let log = scene.world.lambda.log();
        for reset in 1..=resets {
            let reached = reset * messages / (resets + 2);
            log.wait_for(PATIENCE, |log| log.totals().succeeded >= reached).await.unwrap();
            scene.proxy.reset();
            scene.flow_resumes(messages).await;
        }
        let fate = scene.settled("F4, backlog", &mut sensors, resets).await;
        assert_eq!(fate.handled.len() as u64, messages);
        // Mosquitto up to 2.0.12 exceeds Receive Maximum; the bridge tolerates up to twice that.
        assert!(fate.extra() as u64 <= 2 * 50 * resets, "{} extra", fate.extra());
        scene.check_acks().await;
    })
    .await;
}

/// How soon is a unit test of `mqtt/keep_alive.rs`, whose clock no busy machine slows.
#[tokio::test(flavor = "multi_thread")]
async fn f5_a_black_hole_is_noticed_by_the_keep_alive() {
    both_protocols(|builder| async move {
        let mut scene = Scene::start(builder.function(willing()).set("mqtt.keep_alive", "5s")).await;
        let messages = sized(600, 10_000);
        let mut sensors =
            scene.world.sensors(|options| (options.rate, options.total) = (30.0, Some(messages))).unwrap();
        scene.flow_resumes(messages).await;
        let begun = Instant::now();
        scene.proxy.set(Quality { silent: true, ..Quality::default() });
        assert!(scene.process.logged("the broker is silent", PATIENCE).await, "{:#?}", scene.process.log());
        tokio::time::sleep_until((begun + KEEP_ALIVE * 3).into()).await;
        scene.proxy.set(Quality::default());
        scene.flow_resumes(messages).await;
        let fate = scene.settled("F5", &mut sensors, 1).await;
        assert_eq!(fate.handled.len() as u64, messages);
        assert!(fate.extra() <= RECEIVE_MAXIMUM, "{} extra", fate.extra());
        scene.check_acks().await;
        scene.check_memory(RECEIVE_MAXIMUM, 1_024);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_a_slow_line_with_losses_is_no_reason_to_connect_again() {
    both_protocols(|builder| async move {
        // A keep-alive far shorter than the load, whose pings have to pass through the full line too.
        let scene = Scene::start(builder.function(willing()).set("mqtt.keep_alive", "5s")).await;
        // 1 Mbit/s, one segment in twenty lost and sent again after 200 ms, 20 ms each way.
        let loss = Some(Loss { probability: 0.05, timeout: Duration::from_millis(200), seed: 6 });
        let bytes_per_second = Some(125_000);
        let delay = Duration::from_millis(20);
        scene.proxy.set(Quality { delay, bytes_per_second, loss, ..Quality::default() });
        let messages = sized(1_200, 10_000);
        // More than the line carries, so that it is full for seconds.
        let mut sensors = scene
            .world
            .sensors(|options| (options.rate, options.total, options.padding) = (500.0, Some(messages), 1_000))
            .unwrap();
        let fate = scene.settled("F6", &mut sensors, 1).await;
        assert_eq!((fate.handled.len() as u64, fate.extra()), (messages, 0));
        eventually("all is acknowledged through the slow line", || {
            crate::common::acks(&scene.tap.seen()).len() as u64 == messages
        })
        .await;
        assert_eq!(scene.proxy.connections(), 1, "connected again: {:#?}", scene.process.log());
        scene.check_acks().await;
        scene.check_memory(RECEIVE_MAXIMUM, 2_048);
    })
    .await;
}
