//! What a connection has to do with the one before it: the rows F8, F26 and F27 of the faults, on the wire.

use bridge::config::Protocol;
use sandbox::lambda::{Action, When};
use sandbox::scripted::{ConnAck, Message, Packet};

use crate::common::{eventually, fault, willing};
use crate::stage::{Stage, both, gated};

/// Session Present 0 where there was a session: 3.2.2-5.
#[tokio::test(flavor = "multi_thread")]
async fn f8_mqtt_3_2_2_5_a_reconnect_that_finds_no_session_subscribes_again_and_is_loud() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let stage = Stage::start(protocol, |b| b.function(function)).await;
        let mut peer = stage.fresh().await?;
        peer.publish(&Message::new(1, "old")).await?;
        stage.invoked(1).await;
        peer.reset();

        let mut peer = stage.broker.accept().await?;
        peer.greet(&ConnAck::fresh()).await?;
        peer.grant(1).await?;
        eventually("it is ready", || stage.world.bridge().unwrap().troubles().is_empty()).await;
        eventually("the broker is believed", || stage.world.counters().session_lost.get() == 1).await;
        gate.open("old");
        eventually("the old outcome is in", || stage.world.counters().stale.get() == 1).await;
        gate.open("new");
        peer.publish(&Message::new(2, "new")).await?;
        assert_eq!(peer.ack().await?.packet_id, 2);
        assert_eq!(stage.broker.acks(2), [2], "the old outcome acknowledged nothing");
        assert_eq!(stage.broker.acks(1), [0; 0]);
        Ok(())
    })
    .await;
}

/// A broker that knows a session of which this process knows nothing, as after a restart: 3.2.2-4. At QoS 1 a receiver
/// has no state that could be missing, so the session is taken up.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_2_4_a_new_process_takes_up_the_session_and_makes_sure_of_its_subscription() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        let mut peer = stage.present().await?;
        peer.publish(&Message::new(3, "a").again()).await?;
        peer.grant(1).await?;
        assert_eq!(peer.ack().await?.packet_id, 3);
        assert_eq!((stage.payloads().len(), stage.world.counters().session_lost.get()), (1, 0));
        Ok(())
    })
    .await;
}

/// A session that is present may hold another subscription than the one configured: a broker may have saved it before the
/// filter changed. MQTT 5 lets a client subscribe again without a retained message coming again (3.8.3.1).
#[tokio::test(flavor = "multi_thread")]
async fn f33_a_session_that_is_present_is_subscribed_to_again_where_that_repeats_nothing() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        stage.fresh().await?.reset();
        for connection in 2..=3 {
            let mut peer = stage.resumed().await?;
            peer.publish(&Message::new(connection, format!("m{connection}"))).await?;
            assert_eq!(peer.ack().await?.packet_id, connection);
            peer.reset();
        }
        let subscribes = stage.broker.heard().into_iter().filter(|heard| matches!(heard.packet, Packet::Subscribe(_)));
        let on: Vec<_> = subscribes.map(|heard| heard.connection).collect();
        assert_eq!(on, if protocol == Protocol::V5 { vec![1, 2, 3] } else { vec![1] });
        Ok(())
    })
    .await;
}

/// The broker has lost the session and gives the packet ids to other messages while the old invocations still run.
#[tokio::test(flavor = "multi_thread")]
async fn f26_a_late_completion_acknowledges_nothing_on_the_new_connection() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let stage = Stage::start(protocol, |b| b.function(function)).await;
        let mut peer = stage.fresh().await?;
        for (id, payload) in (1..).zip(["a", "b", "c"]) {
            peer.publish(&Message::new(id, payload)).await?;
        }
        stage.invoked(3).await;
        peer.reset();

        let mut peer = stage.fresh().await?;
        for (id, payload) in (1..).zip(["x", "y", "z"]) {
            peer.publish(&Message::new(id, payload)).await?;
        }
        stage.invoked(6).await;
        eventually("the broker is believed", || stage.world.counters().session_lost.get() == 1).await;
        ["a", "b", "c"].into_iter().for_each(|old| gate.open(old));
        eventually("the old outcomes are in", || stage.world.counters().stale.get() == 3).await;
        for (id, payload) in (1..).zip(["x", "y", "z"]) {
            assert_eq!(stage.broker.acks(2).len(), usize::from(id) - 1, "acknowledged before its own outcome");
            gate.open(payload);
            assert_eq!(peer.ack().await?.packet_id, id);
        }
        assert_eq!((stage.broker.acks(1), stage.payloads().len()), (vec![], 6));
        Ok(())
    })
    .await;
}

/// ActiveMQ never sets Session Present, and sends what it kept all the same. A new session has no message with DUP, so one
/// that has DUP and the packet id and content of what was in flight shows that nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_denies_a_session_it_kept_is_found_out_and_raises_no_alarm() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let stage = Stage::start(protocol, |b| b.function(function)).await;
        let mut peer = stage.fresh().await?;
        peer.publish(&Message::new(1, "same")).await?;
        stage.invoked(1).await;
        peer.reset();
        let mut peer = stage.fresh().await?;
        peer.publish(&Message::new(1, "same").again()).await?;
        eventually("it is received", || stage.world.counters().joined.get() == 1).await;
        gate.open("same");
        assert_eq!(peer.ack().await?.packet_id, 1);
        peer.reset();
        // From now on that broker always denies the session.
        let mut peer = stage.fresh().await?;
        peer.publish(&Message::new(2, "next")).await?;
        gate.open("next");
        assert_eq!(peer.ack().await?.packet_id, 2);
        let counters = stage.world.counters();
        assert_eq!((stage.payloads().len(), counters.session_lost.get(), counters.stale.get()), (2, 0, 0));
        Ok(())
    })
    .await;
}

/// The broker has kept the session, but lets a message of it go (its expiry interval has run out, say) and uses the packet
/// id for another one.
#[tokio::test(flavor = "multi_thread")]
async fn f26_a_packet_id_used_again_within_the_session_is_not_taken_for_the_old_message() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let stage = Stage::start(protocol, |b| b.function(function)).await;
        let mut peer = stage.fresh().await?;
        peer.publish(&Message::new(1, "gone")).await?;
        stage.invoked(1).await;
        peer.reset();
        let mut peer = stage.resumed().await?;
        peer.publish(&Message::new(1, "other")).await?;
        stage.invoked(2).await;
        gate.open("gone");
        eventually("the old outcome is in", || stage.world.counters().delivered.get() == 1).await;
        assert_eq!(stage.broker.acks(2), [0; 0], "it acknowledged the other message");
        gate.open("other");
        assert_eq!(peer.ack().await?.packet_id, 1);
        Ok(())
    })
    .await;
}

/// The broker has kept the session, and sends what is not acknowledged again while its invocations still run.
#[tokio::test(flavor = "multi_thread")]
async fn f27_what_comes_again_while_it_runs_is_invoked_once_and_acknowledged_once_done() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let stage = Stage::start(protocol, |b| b.function(function)).await;
        let messages: Vec<_> = (1..).zip(["a", "b", "c"]).map(|(id, text)| Message::new(id, text)).collect();
        let mut peer = stage.fresh().await?;
        for message in &messages {
            peer.publish(message).await?;
        }
        stage.invoked(3).await;
        peer.reset();

        // The same on several connections in a row.
        for _ in 0..2 {
            let mut peer = stage.resumed().await?;
            for message in messages.clone() {
                peer.publish(&message.again()).await?;
            }
            let redelivered = || stage.world.counters().redelivered.get();
            let before = redelivered();
            eventually("they are received", || redelivered() >= before.max(3)).await;
            peer.reset();
        }
        // One has its outcome while there is no connection.
        gate.open("b");
        eventually("its outcome is in", || stage.world.counters().delivered.get() == 1).await;
        let mut peer = stage.resumed().await?;
        for message in messages {
            peer.publish(&message.again()).await?;
        }
        gate.open("a");
        assert_eq!((peer.ack().await?.packet_id, peer.ack().await?.packet_id), (1, 2));
        gate.open("c");
        assert_eq!(peer.ack().await?.packet_id, 3);
        assert_eq!(stage.payloads().len(), 3, "invoked once each");
        assert_eq!(stage.world.counters().stale.get(), 0);
        let all: Vec<_> = (1..=4).flat_map(|connection| stage.broker.acks(connection)).collect();
        assert_eq!(all, [1, 2, 3], "acknowledged once each");
        Ok(())
    })
    .await;
}

/// RabbitMQ numbers what it sends again from 1, and aedes from anywhere: with DUP the content tells.
#[tokio::test(flavor = "multi_thread")]
async fn f29_what_comes_again_under_another_packet_id_joins_its_invocation() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let stage = Stage::start(protocol, |b| b.function(function)).await;
        let mut peer = stage.fresh().await?;
        for (id, payload) in (40..).zip(["a", "b", "b"]) {
            peer.publish(&Message::new(id, payload)).await?;
        }
        stage.invoked(3).await;
        peer.reset();
        let mut peer = stage.resumed().await?;
        for (id, payload) in (1..).zip(["a", "b", "b"]) {
            peer.publish(&Message::new(id, payload).again()).await?;
        }
        eventually("they are received", || stage.world.counters().redelivered.get() == 3).await;
        gate.open("b");
        eventually("two are done", || stage.world.counters().delivered.get() == 2).await;
        assert_eq!(peer.try_next(), None, "the first is not");
        gate.open("a");
        for id in 1..=3 {
            assert_eq!(peer.ack().await?.packet_id, id);
        }
        assert_eq!(stage.payloads().len(), 3, "invoked once each");
        Ok(())
    })
    .await;
}

/// aedes and rumqttd leave DUP out. Equal readings are common, so that equal content alone proves nothing; an id of the
/// publisher's does.
#[tokio::test(flavor = "multi_thread")]
async fn f29_without_dup_an_id_of_the_publishers_tells_and_nothing_else() {
    both(|protocol| async move {
        for (message_id, invoked) in [(Some("payload:/id"), 1), (None, 2)] {
            let (function, gate) = gated();
            let adjust = |b: sandbox::world::WorldBuilder| {
                let builder = b.function(function);
                match message_id {
                    Some(message_id) => builder.set("mapping.message_id", message_id),
                    None => builder,
                }
            };
            let stage = Stage::start(protocol, adjust).await;
            let payload = r#"{"id":"m-1"}"#;
            let mut peer = stage.fresh().await?;
            peer.publish(&Message::new(3, payload)).await?;
            stage.invoked(1).await;
            peer.reset();
            let mut peer = stage.resumed().await?;
            peer.publish(&Message::new(3, payload)).await?;
            stage.invoked(invoked).await;
            gate.open(payload);
            assert_eq!(peer.ack().await?.packet_id, 3);
            assert_eq!(stage.payloads().len() as u64, invoked, "{message_id:?}");
        }
        Ok(())
    })
    .await;
}

/// A message that was given up comes again with the next connection, which is asked for at once.
#[tokio::test(flavor = "multi_thread")]
async fn f27_a_failed_invocation_of_the_old_connection_is_tried_again_for_the_new_one() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing()).set("mapping.retry.backoff", "1s..1s")).await;
        fault(&stage.world, When::Nth(1), Action::status(500));
        let mut peer = stage.fresh().await?;
        peer.publish(&Message::new(1, "a")).await?;
        stage.invoked(1).await;
        peer.reset();
        let mut peer = stage.resumed().await?;
        peer.publish(&Message::new(1, "a").again()).await?;
        assert_eq!(peer.ack().await?.packet_id, 1);
        let ids: Vec<_> = stage.world.lambda.log().invocations().iter().map(|i| i.record_ids.clone()).collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1], "the same delivery, with the same id");
        Ok(())
    })
    .await;
}
