//! Promise: queued messages survive lost connections, crashes of the bridge and restarts of the broker, and reach the
//! function; a lost connection alone does not cause a second invocation.

use crate::common;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{acknowledged, eventually, everywhere, fault, nothing_lost, publish, publishes, tapped, willing};
use bridge::config::Protocol;
use sandbox::broker::BrokerOptions;
use sandbox::lambda::{Action, When};
use sandbox::wiretap::Packet;

#[tokio::test(flavor = "multi_thread")]
async fn messages_published_while_the_bridge_is_away() {
    everywhere(|builder| async move {
        let mut world = builder.function(willing()).start().await.unwrap();
        assert!(world.drain_bridge(common::PATIENCE).await);
        let sensors = publish(&world, 100, |_| {}).await;
        world.start_bridge().await.unwrap();
        acknowledged(&world, 100).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.extra()), (100, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_bridge_with_messages_under_way() {
    everywhere(|builder| async move {
        let mut world = builder.function(willing()).start().await.unwrap();
        fault(&world, When::Always, Action::Hang);
        let sensors = publish(&world, 50, |_| {}).await;
        world.lambda.log().wait_for(common::PATIENCE, |log| log.totals().in_flight >= 10).await.unwrap();
        world.crash_bridge();
        world.lambda.faults().clear();
        world.start_bridge().await.unwrap();
        acknowledged(&world, 50).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!(fate.handled.len(), 50);
        assert!(world.counters().redelivered.get() > 0, "nothing was marked as sent before");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_invokes_nothing_twice() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let (world, tap) = tapped(builder.function(willing())).await;
        fault(&world, When::Always, Action::Delay(Duration::from_millis(800)));
        let sensors = publish(&world, 10, |_| {}).await;
        world.lambda.log().wait_for(common::PATIENCE, |log| log.totals().in_flight >= 10).await.unwrap();
        tap.cut();
        acknowledged(&world, 10).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.extra()), (10, 0));
        let again = publishes(&tap.seen()).iter().filter(|(_, dup, _)| *dup).count();
        assert_eq!(again, 10, "the broker sent all of them again, and the bridge knew them");
        let subscribes = tap.seen().into_iter().filter(|seen| seen.packet == Packet::Subscribe).count();
        // Under MQTT 5 that repeats nothing that was retained.
        assert_eq!(subscribes, if protocol == Protocol::V5 { 2 } else { 1 });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_cuts_under_load() {
    everywhere(|builder| {
        Box::pin(async move {
            let (world, tap) = tapped(builder.function(willing())).await;
            fault(&world, When::Always, Action::Delay(Duration::from_millis(5)));
            let sensors = world.sensors(|options| (options.rate, options.total) = (400.0, Some(800))).unwrap();
            for cut in 1..=5 {
                eventually("some more messages are through", || sensors.registry().counts().acked >= cut * 100).await;
                let connected = world.counters().connects.get();
                tap.cut();
                eventually("the bridge is back", || world.counters().connects.get() > connected).await;
            }
            let mut sensors = sensors;
            tokio::time::timeout(common::PATIENCE, sensors.finished()).await.unwrap();
            eventually("all is settled", || world.counters().outstanding.get() == 0).await;
            let fate = nothing_lost(&world, &sensors).await;
            assert_eq!(fate.handled.len(), 800);
            assert!(fate.extra() <= 5 * 256, "{} extra", fate.extra());
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_broker_that_keeps_its_sessions() {
    everywhere(|builder| async move {
        let options = BrokerOptions { persistence: true, ..BrokerOptions::default() };
        let mut world = builder.broker_options(options).function(willing()).start().await.unwrap();
        let first = publish(&world, 20, |_| {}).await;
        acknowledged(&world, 20).await;
        world.broker.as_mut().unwrap().restart().await.unwrap();
        eventually("the bridge is back", || world.bridge().unwrap().troubles().is_empty()).await;
        let second = publish(&world, 20, |_| {}).await;
        // A PUBACK that the broker had not read when it stopped is asked for again, so there may be more than 40.
        eventually("all is settled", || world.counters().outstanding.get() == 0).await;
        nothing_lost(&world, &first).await;
        nothing_lost(&world, &second).await;
        assert_eq!(world.counters().session_lost.get(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_a_lost_session_is_loud_and_subscribed_again() {
    everywhere(|builder| {
        Box::pin(async move {
            let (mut world, tap) = tapped(builder.function(willing())).await;
            let options = BrokerOptions::default();
            assert!(!options.persistence);
            fault(&world, When::Next(5), Action::Delay(Duration::from_secs(3)));
            publish(&world, 5, |_| {}).await;
            world.lambda.log().wait_for(common::PATIENCE, |log| log.totals().in_flight >= 5).await.unwrap();
            world.broker.as_mut().unwrap().kill().await.unwrap();
            world.broker.as_mut().unwrap().restart().await.unwrap();
            eventually("the bridge is back", || world.counters().session_lost.get() == 1).await;
            eventually("and subscribed", || world.bridge().unwrap().troubles().is_empty()).await;
            let second = publish(&world, 10, |_| {}).await;
            nothing_lost(&world, &second).await;
            eventually("the late outcomes have come", || world.counters().delivered.get() == 15).await;
            acknowledged(&world, 10).await;
            eventually("they are on the wire", || common::acks(&tap.seen()).len() == 10).await;
            let connections: BTreeSet<_> = tap
                .seen()
                .into_iter()
                .filter(|seen| matches!(seen.packet, Packet::Ack { .. }))
                .map(|seen| seen.connection)
                .collect();
            assert_eq!(connections.len(), 1, "outcomes of the lost session acknowledged something: {connections:?}");
        })
    })
    .await;
}
