//! F17, F18: one message, or a function, that takes longer than all others wait for.

use std::time::{Duration, Instant};

use bridge::config::Protocol;
use sandbox::lambda::{Action, Answer, Function, When};
use sandbox::world::FUNCTION;

use crate::common::{PATIENCE, acks, eventually, everywhere, fault, publishes, sized, tapped, willing};
use crate::faults::scene::{MIB, Scene, both_protocols, check_acks};

#[tokio::test(flavor = "multi_thread")]
async fn f17_one_invocation_that_takes_a_minute_among_quick_ones() {
    const WINDOW: i64 = 20;
    let slow = Duration::from_secs(sized(3, 60));
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let (world, tap) =
            tapped(builder.set("mapping.receive_maximum", &WINDOW.to_string()).set("mapping.timeout", "2m").function(
                Function {
                    timeout: Duration::from_mins(2),
                    ..Function::inline(FUNCTION, move |call| async move {
                        let first = call.payload.windows(9).any(|window| window == b"-1\"},\"enc");
                        tokio::time::sleep(if first { slow } else { Duration::from_millis(10) }).await;
                        Answer::null()
                    })
                },
            ))
            .await;
        let messages = 200;
        let mut sensors = world.sensors(|o| (o.count, o.rate, o.total) = (1, 1_000.0, Some(messages))).unwrap();
        let log = world.lambda.log();
        let begun = Instant::now();
        let mut most = 0;
        while begun.elapsed() < slow + PATIENCE && log.totals().succeeded < messages {
            most = most.max(world.counters().outstanding.get());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sensors.finished().await;
        eventually("all are on the wire", || acks(&tap.seen()).len() as u64 >= messages).await;
        // Mosquitto up to 2.0.12 exceeds Receive Maximum if acknowledgements come in order: up to twice as many are
        // tolerated.
        let mosquitto = world.broker.as_ref().is_some_and(|broker| broker.name().starts_with("Mosquitto"));
        let allowed = if mosquitto && protocol == Protocol::V5 { 2 * WINDOW } else { WINDOW };
        assert!(most <= allowed && most >= WINDOW, "{most} in flight at once, {allowed} allowed");
        let received: Vec<_> = publishes(&tap.seen()).into_iter().map(|(packet_id, ..)| packet_id).collect();
        let acknowledged: Vec<_> = acks(&tap.seen()).into_iter().map(|(packet_id, _)| packet_id).collect();
        assert_eq!(received, acknowledged, "PUBACKs left in another order than the messages came");
        check_acks(&world, &tap).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f18_a_function_that_is_down_while_ten_times_as_much_is_published() {
    const WINDOW: usize = 32;
    const PADDING: usize = 50_000;
    both_protocols(|builder| async move {
        let builder = builder
            .function(willing())
            .set("mapping.receive_maximum", &WINDOW.to_string())
            .set("mapping.retry.backoff", "1s..2s")
            .set("mapping.retry.max_attempts", "100000");
        let scene = Scene::start(builder).await;
        let before = scene.process.usage().unwrap().peak;
        fault(&scene.world, When::Always, Action::status(503));
        let messages = sized(700, 5_000);
        let mut sensors =
            scene.world.sensors(|o| (o.rate, o.total, o.padding) = (f64::INFINITY, Some(messages), PADDING)).unwrap();
        tokio::time::timeout(PATIENCE * 2, sensors.finished()).await.expect("the publishers are not held");
        assert_eq!(acks(&scene.tap.seen()), []);
        scene.check_memory(WINDOW, PADDING);
        scene.world.lambda.faults().clear();
        let log = scene.world.lambda.log();
        log.wait_for(PATIENCE * 2, |log| log.totals().succeeded >= messages).await.unwrap();
        let fate = scene.settled("F18", &mut sensors, 1).await;
        assert_eq!((fate.handled.len() as u64, fate.dead.len(), fate.extra()), (messages, 0, 0));
        assert_eq!(scene.proxy.connections(), 1, "back-pressure alone, and no other connection");
        scene.check_acks().await;
        scene.check_memory(WINDOW, PADDING);
        // At most two windows, each also as events, and never all that is published.
        let grown = scene.process.usage().unwrap().peak - before;
        let held = 16 * MIB + (4 * WINDOW * PADDING) as u64;
        assert!(
            grown < held && held < messages * PADDING as u64 * 3 / 4,
            "{} MiB grown, {} allowed",
            grown / MIB,
            held / MIB
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f18_what_was_read_and_did_not_fit_goes_on_as_soon_as_it_fits() {
    both_protocols(|builder| async move {
        let builder = builder.set("mapping.max_outstanding_bytes", "1KiB").function(willing());
        let scene = Scene::start(builder).await;
        let mut sensors = scene
            .world
            .sensors(|o| (o.count, o.rate, o.total, o.padding) = (1, f64::INFINITY, Some(100), 1_000))
            .unwrap();
        let fate = scene.settled("F18, one at a time", &mut sensors, 0).await;
        assert_eq!((fate.handled.len(), fate.extra()), (100, 0));
        assert_eq!(scene.world.lambda.log().totals().peak_in_flight, 1);
        scene.check_acks().await;
    })
    .await;
}
