//! Promise: a bridge that is killed in the middle of its work loses nothing. Matrix row F1, on the real binary.

use crate::common;
use std::time::Duration;

use crate::common::{Fate, eventually, everywhere, fault, nothing_lost, sized, willing};
use sandbox::lambda::{Action, When};

const RECEIVE_MAXIMUM: usize = 256;

#[tokio::test(flavor = "multi_thread")]
async fn f1_kill_9_many_times_under_load() {
    everywhere(|builder| async move {
        let (messages, kills) = (sized(900, 10_000), sized(3, 20));
        let mut world = builder.function(willing()).without_bridge().await.unwrap();
        fault(&world, When::Always, Action::Delay(Duration::from_millis(10)));
        // The session must be there before the first message is, or the broker has nobody to keep it for.
        world.start_bridge().await.unwrap();
        assert!(world.drain_bridge(common::PATIENCE).await);

        let mut process = world.spawn_bridge().unwrap();
        let mut sensors = world.sensors(|options| (options.rate, options.total) = (300.0, Some(messages))).unwrap();
        let log = world.lambda.log();
        for kill in 1..=kills {
            let reached = kill * messages / (kills + 1);
            log.wait_for(common::PATIENCE, |log| log.totals().succeeded >= reached).await.unwrap();
            process.kill().await.unwrap();
            process = world.spawn_bridge().unwrap();
        }
        tokio::time::timeout(common::PATIENCE, sensors.finished()).await.unwrap();
        nothing_lost(&world, &sensors).await;
        eventually("all is quiet", || log.totals().in_flight == 0).await;
        let fate = Fate::of(&world);
        assert_eq!(fate.handled.len() as u64, messages);
        eprintln!("F1: {messages} messages, {kills} faults, 0 lost, {} extra invocations", fate.extra());
        let most = RECEIVE_MAXIMUM * usize::try_from(kills).unwrap();
        assert!(fate.extra() <= most, "{} invoked again, at most {most} allowed", fate.extra());
        process.signal("TERM").await.unwrap();
        assert!(process.exited(common::PATIENCE).await.unwrap().is_some_and(|status| status.success()));
    })
    .await;
}
