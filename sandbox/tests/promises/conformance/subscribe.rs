//! SUBSCRIBE, what it requests, and a SUBACK that grants something else.

use bridge::config::Protocol;
use bridge::outgoing::Outgoing;
use sandbox::scripted::{ConnAck, Message};

use crate::common::{PATIENCE, eventually, everywhere, willing};
use crate::messages::Messages;
use crate::stage::{Played, Stage, WINDOW, both};

/// Also 3.8.3-4: No Local on a shared subscription is a protocol error.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_3_4_subscribe_asks_for_the_configured_filter_and_nothing_special() {
    both(|protocol| async move {
        for filter in ["sensor/data", "$share/bridge/sensor/+"] {
            let adjust = |b: sandbox::world::WorldBuilder| b.function(willing()).set("mapping.topic_filter", filter);
            let stage = Stage::start(protocol, adjust).await;
            let mut peer = stage.broker.accept().await?;
            peer.greet(&ConnAck::fresh()).await?;
            let subscribe = peer.grant(1).await?;
            assert_eq!((subscribe.filter.as_str(), subscribe.qos, subscribe.no_local), (filter, 1, false));
            // Retained messages with a new subscription alone (3.3.1-10), which MQTT 3.1.1 cannot ask for.
            assert_eq!(subscribe.retain_handling, u8::from(protocol == Protocol::V5));
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_9_3_1_a_refused_or_downgraded_subscription_is_loud_and_not_ready() {
    both(|protocol| async move {
        let adjust = |b: sandbox::world::WorldBuilder| {
            b.function(willing()).set("mqtt.backoff", "1ms..1h").set("mapping.qos", "1")
        };
        let mut stage = Stage::new(protocol, adjust).await;
        let codes: &[(u8, &str)] = match protocol {
            Protocol::V5 => &[
                (0x00, "the broker grants QoS 0 where QoS 1 was asked"),
                (0x80, "unspecified"),
                (0x83, "implementation specific error"),
                (0x87, "not authorized"),
                (0x8f, "topic filter invalid"),
                (0x91, "packet identifier in use"),
                (0x97, "quota exceeded"),
                (0x9e, "shared subscriptions not supported"),
                (0xa2, "wildcard subscriptions not supported"),
            ],
            Protocol::V311 => &[(0x00, "the broker grants QoS 0 where QoS 1 was asked"), (0x80, "unspecified")],
        };
        for (code, words) in codes {
            stage.again().await;
            let mut peer = stage.broker.accept().await?;
            peer.greet(&ConnAck::fresh()).await?;
            peer.grant(*code).await?;
            peer.end().await?;
            let troubles = || stage.world.bridge().unwrap().troubles().join("; ");
            eventually("it says why", || troubles().contains(words)).await;
            assert!(troubles().contains("subscription to `sensor/data`"), "{}", troubles());
            assert_eq!(stage.world.counters().subscribed.get(), 0);
            tokio::time::sleep(WINDOW).await;
            assert_eq!(stage.broker.connections(), 1, "0x{code:02x}: somebody has to mend it; it waits an hour");
        }
        Ok(())
    })
    .await;
}

/// A message that arrives before SUBACK is handled like any other (3.8.4-3).
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_4_3_messages_may_come_before_suback() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        let mut peer = stage.broker.accept().await?;
        peer.greet(&ConnAck::fresh()).await?;
        let subscribe = peer.subscribe().await?;
        peer.publish(&Message::new(1, "a")).await?;
        assert_eq!(peer.ack().await?.packet_id, 1);
        assert_eq!(stage.world.counters().ready.get(), 0, "not before SUBACK");
        peer.suback(subscribe.packet_id, &[1]).await?;
        eventually("it is ready", || stage.world.counters().ready.get() == 1).await;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suback_that_never_comes_ends_the_connection() {
    both(|protocol| async move {
        let adjust = |b: sandbox::world::WorldBuilder| {
            b.function(willing()).set("mqtt.connect_timeout", "2s").set("mqtt.keep_alive", "5s")
        };
        let stage = Stage::start(protocol, adjust).await;
        let mut peer = stage.broker.accept().await?;
        peer.greet(&ConnAck::fresh()).await?;
        peer.subscribe().await?;
        peer.end().await?;
        stage.fresh().await?;
        Ok(())
    })
    .await;
}

/// A process that starts over subscribes again to be sure; a real broker, which kept the subscription, then sends nothing
/// that was retained before. MQTT 3.1.1 has no such word: there a restart brings retained messages again.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_1_10_a_restart_does_not_repeat_retained_messages() {
    everywhere(|builder| async move {
        if builder.protocol_spoken() != Protocol::V5 {
            return;
        }
        let mut world = builder.function(willing()).start().await.unwrap();
        let publisher = Messages::start(&world, Protocol::V5);
        let retained = |retain, text: &'static str| Outgoing { retain, ..Outgoing::new("sensor/data", text) };
        publisher.send(retained(true, "kept")).await;
        eventually("it is handled", || world.counters().acknowledged.get() == 1).await;
        assert!(world.drain_bridge(PATIENCE).await);
        world.start_bridge().await.unwrap();
        publisher.send(retained(false, "last")).await;
        let log = world.lambda.log();
        let seen = |text: &str| {
            let holds = |payload: &[u8]| payload.windows(text.len()).any(|window| window == text.as_bytes());
            log.invocations().iter().filter(|invocation| holds(&invocation.payload)).count()
        };
        eventually("the last is handled", || seen("last") == 1).await;
        assert_eq!(seen("kept"), 1);
    })
    .await;
}

/// Nothing that was asked for on an earlier connection is forgotten by a refusal: the next one asks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_subscription_was_never_granted_is_subscribed_on_the_next_connection() -> Played {
    let stage = Stage::start(Protocol::V5, |b| b.function(willing())).await;
    let mut peer = stage.broker.accept().await?;
    peer.greet(&ConnAck::fresh()).await?;
    peer.subscribe().await?;
    peer.reset();
    let mut peer = stage.present().await?;
    peer.grant(1).await?;
    eventually("it is ready", || stage.world.counters().ready.get() == 1).await;
    Ok(())
}
