//! Promise: the bridge acknowledges a message only after the function has succeeded, or the message is a dead letter.
//! Watched on the wire.

use std::fs::File;
use std::time::Duration;

use crate::common::{PATIENCE, acknowledged, acks, ended, eventually, everywhere, fault, publish, tapped, willing};
use sandbox::lambda::{Action, Outcome, When};
use sandbox::oracle;
use sandbox::wiretap::Packet;

#[tokio::test(flavor = "multi_thread")]
async fn no_puback_while_the_function_runs() {
    everywhere(|builder| async move {
        let (world, tap) = tapped(builder.function(willing())).await;
        fault(&world, When::Always, Action::Delay(Duration::from_millis(300)));
        publish(&world, 10, |_| {}).await;
        acknowledged(&world, 10).await;
        let invocations = world.lambda.log().invocations();
        for (packet_id, acked) in acks(&tap.seen()) {
            let payload = tap
                .seen()
                .into_iter()
                .find_map(|seen| match seen.packet {
                    Packet::Publish { packet_id: id, payload, .. } if id == packet_id => Some(payload),
                    _ => None,
                })
                .unwrap();
            let carried = |bytes: &[u8]| bytes.windows(payload.len()).any(|window| window == payload);
            let run = invocations.iter().find(|invocation| carried(&invocation.payload)).unwrap();
            assert!(matches!(run.outcome, Some(Outcome::Answered(_))));
            assert!(
                run.ended.unwrap() <= acked,
                "packet {packet_id} was acknowledged before its function had answered"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_puback_while_every_invocation_fails() {
    everywhere(|builder| async move {
        let (world, tap) = tapped(builder.function(willing()).set("mapping.retry.max_attempts", "1000")).await;
        let faults = world.lambda.faults();
        fault(&world, When::Always, Action::throttle(None));
        publish(&world, 5, |_| {}).await;
        let log = world.lambda.log();
        log.wait_for(PATIENCE, |log| log.totals().throttled >= 50).await.unwrap();
        assert_eq!(acks(&tap.seen()), []);
        faults.clear();
        acknowledged(&world, 5).await;
        assert_eq!(oracle::handled_ids(&log.invocations()).len(), 5);
    })
    .await;
}

/// The test holds the file's lock, so that the order of letter and acknowledgement does not depend on timing.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_on_disk_before_its_puback() {
    everywhere(|builder| async move {
        let (world, tap) = tapped(builder.function(willing()).set("mapping.retry.max_attempts", "1")).await;
        let destination = File::open(world.dead_letter_file()).unwrap();
        destination.lock().unwrap();
        fault(&world, When::Always, Action::function_error("Boom", "no"));
        publish(&world, 3, |_| {}).await;
        eventually("three fail", || ended(&world, |outcome| !matches!(outcome, Outcome::Answered(_))) == 3).await;
        world.lambda.faults().clear();
        // One by one, so that whatever the first three had released is written before the last one has its outcome.
        for delivered in 1..=3 {
            publish(&world, 1, |_| {}).await;
            eventually("one behind them is delivered", || world.counters().delivered.get() == delivered).await;
        }
        assert_eq!(acks(&tap.seen()), [], "acknowledged before the dead letter was written");
        assert_eq!(world.dead_letters().unwrap().len(), 0);
        destination.unlock().unwrap();
        acknowledged(&world, 6).await;
        assert_eq!(world.dead_letters().unwrap().len(), 3);
    })
    .await;
}
