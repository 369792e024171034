//! PUBACK, PUBREC and PUBCOMP: when, in which order, and with which reason.

use bridge::config::Protocol;
use sandbox::lambda::{Action, When};
use sandbox::scripted::{Ack, ConnAck, Message, Packet};

use crate::common::{answering, eventually, fault, willing};
use crate::stage::{Played, Stage, both, gated};

fn ack(packet_id: u16) -> Ack {
    Ack { packet_id, received: false, reason: 0 }
}

fn received(packet_id: u16) -> Ack {
    Ack { received: true, ..ack(packet_id) }
}

/// A new session with this QoS.
async fn subscribed(stage: &Stage, qos: u8) -> Result<sandbox::scripted::Peer, sandbox::scripted::ScriptError> {
    let mut peer = stage.broker.accept().await?;
    peer.greet(&ConnAck::fresh()).await?;
    assert_eq!(peer.grant(qos).await?.qos, qos);
    Ok(peer)
}

/// Also 4.3.3-9 for PUBREC. The standard asks only that the message is owned; this bridge owns none before its outcome.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_3_2_4_acknowledges_after_success() {
    both(|protocol| async move {
        for qos in [1, 2] {
            let stage = Stage::start(protocol, |b| b.function(willing()).set("mapping.qos", &qos.to_string())).await;
            let mut peer = subscribed(&stage, qos).await?;
            for packet_id in 1..=5 {
                peer.publish(&Message::new(packet_id, format!("m{packet_id}")).qos(qos)).await?;
                assert_eq!(peer.ack().await?, Ack { received: qos == 2, ..ack(packet_id) });
                let invocations = stage.world.lambda.log().invocations();
                assert_eq!(invocations.len(), usize::from(packet_id), "one invocation for each, and it came first");
                let heard = stage.broker.heard();
                let acked = heard.iter().rev().find(|heard| matches!(heard.packet, Packet::Ack(_))).unwrap();
                assert!(invocations.last().unwrap().ended.unwrap() <= acked.at, "acknowledged before the answer");
            }
        }
        Ok(())
    })
    .await;
}

/// Also 4.4.0-1: who has acknowledged a packet id must take the next PUBLISH with it as a new message.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_3_2_5_a_packet_id_after_its_puback_is_a_new_message() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        let mut peer = stage.fresh().await?;
        let first = Message::new(5, "a");
        for message in [first.clone(), first.clone(), Message::new(5, "b").again(), first] {
            peer.publish(&message).await?;
            assert_eq!(peer.ack().await?, ack(5));
        }
        assert_eq!(stage.payloads(), [b"a", b"a", b"b", b"a"]);
        Ok(())
    })
    .await;
}

/// A copy that the broker sent before it read our PUBACK is no new message, and a second PUBACK could acknowledge what has
/// the packet id by then. Once a PINGREQ behind the PUBACK is answered there are no such copies any more.
#[tokio::test(flavor = "multi_thread")]
async fn f28_a_copy_that_crosses_our_puback_is_neither_invoked_nor_acknowledged() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing()).set("mqtt.keep_alive", "5s")).await;
        let mut peer = stage.fresh().await?;
        let copied = Message::new(5, "a");
        peer.publish(&copied).await?;
        assert_eq!(peer.ack().await?, ack(5));
        peer.publish(&copied.clone().again()).await?;
        peer.publish(&Message::new(6, "b")).await?;
        assert_eq!(peer.ack().await?, ack(6), "nothing for the copy");
        assert_eq!(stage.payloads(), [b"a", b"b"]);
        peer.ping().await?;
        peer.publish(&Message::new(7, "c")).await?;
        assert_eq!(peer.ack().await?, ack(7), "the answer to PINGREQ has arrived");
        peer.publish(&copied.again()).await?;
        assert_eq!(peer.ack().await?, ack(5));
        assert_eq!(stage.payloads(), [b"a", b"b", b"c", b"a"]);
        Ok(())
    })
    .await;
}

/// MQTT 3.1.1 lets a broker send what is not acknowledged again at any time (4.4); NATS, EMQX and VerneMQ do it on a timer.
/// The packet id of the first copy's PUBACK is then free for a new message, which a second PUBACK would acknowledge early.
#[tokio::test(flavor = "multi_thread")]
async fn f28_what_is_sent_again_on_the_same_connection_is_invoked_and_acknowledged_once() {
    both(|protocol| async move {
        for qos in [1, 2] {
            let (function, gate) = gated();
            let stage = Stage::start(protocol, |b| b.function(function).set("mapping.qos", &qos.to_string())).await;
            let mut peer = subscribed(&stage, qos).await?;
            let message = Message::new(7, "a").qos(qos);
            peer.publish(&message).await?;
            stage.invoked(1).await;
            for _ in 0..3 {
                peer.publish(&message.clone().again()).await?;
            }
            eventually("the copies are received", || stage.world.counters().redelivered.get() == 3).await;
            gate.open("a");
            let expected = Ack { received: qos == 2, ..ack(7) };
            assert_eq!(peer.ack().await?, expected);
            if qos == 2 {
                peer.release(7).await?;
            }
            let next = Message::new(7, "b").qos(qos);
            peer.publish(&next).await?;
            stage.invoked(2).await;
            peer.publish(&next.again()).await?;
            eventually("the copy is received", || stage.world.counters().redelivered.get() == 4).await;
            assert_eq!(peer.try_next(), None, "the new message is acknowledged before its own outcome");
            gate.open("b");
            assert_eq!(peer.ack().await?, expected);
            assert_eq!(stage.payloads(), [b"a", b"b"], "one invocation each");
        }
        Ok(())
    })
    .await;
}

/// Without an acknowledgement between them, and without a new connection: two messages that the broker may not send so. The
/// second one has the packet id from then on.
#[tokio::test(flavor = "multi_thread")]
async fn f28_other_content_under_an_open_packet_id_is_a_new_message_and_takes_it_over() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let stage = Stage::start(protocol, |b| b.function(function)).await;
        let mut peer = stage.fresh().await?;
        peer.publish(&Message::new(5, "a")).await?;
        peer.publish(&Message::new(5, "b").again()).await?;
        stage.invoked(2).await;
        gate.open("a");
        eventually("the first is done", || stage.world.counters().delivered.get() == 1).await;
        assert_eq!(peer.try_next(), None, "the second is not done");
        gate.open("b");
        assert_eq!(peer.ack().await?, ack(5));
        peer.publish(&Message::new(6, "c")).await?;
        gate.open("c");
        assert_eq!(peer.ack().await?, ack(6), "one PUBACK for the packet id");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_6_0_2_pubacks_leave_in_the_order_of_receipt() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let stage = Stage::start(protocol, |b| b.function(function)).await;
        let mut peer = stage.fresh().await?;
        let ids = [9, 3, 7, 1];
        for id in ids {
            peer.publish(&Message::new(id, format!("m{id}"))).await?;
        }
        stage.invoked(4).await;
        for (done, id) in (1..).zip([1, 7, 3]) {
            gate.open(format!("m{id}"));
            eventually("one more is done", || stage.world.counters().delivered.get() == done).await;
        }
        assert_eq!(peer.try_next(), None, "nothing overtakes the first");
        gate.open("m9");
        for id in ids {
            assert_eq!(peer.ack().await?, ack(id));
        }
        Ok(())
    })
    .await;
}

/// 4.4.0-2 and 4.8.2-6: a PUBACK with a reason of 0x80 or more makes the broker forget the message. Whatever becomes of it,
/// none is sent.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_4_0_2_no_acknowledgement_has_a_reason_of_failure() -> Played {
    let function = answering(|_| sandbox::lambda::Answer::error("Boom", "no"));
    let adjust = |b: sandbox::world::WorldBuilder| {
        let filter = r#"[{"payload":{"wanted":[true]}}]"#;
        b.function(function).set("mapping.retry.max_attempts", "2").set("mapping.filter", filter)
    };
    let stage = Stage::start(Protocol::V5, adjust).await;
    fault(&stage.world, When::Nth(3), Action::status(413));
    let mut peer = stage.fresh().await?;
    let large = format!(r#"{{"wanted":true,"x":"{}"}}"#, "x".repeat(6 << 20));
    for (id, payload) in (1..).zip([r#"{"wanted":true}"#, r#"{"wanted":true,"n":2}"#, "{}", "no json", &large]) {
        peer.publish(&Message::new(id, payload.to_owned())).await?;
        assert_eq!(peer.ack().await?, ack(id));
    }
    let counters = stage.world.counters();
    assert_eq!((counters.dead_lettered.get(), counters.filtered.get()), (3, 2));
    Ok(())
}

/// 4.3.3: until PUBREL a PUBLISH with the packet id is the same message, and after PUBCOMP another one.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_3_3_qos_2_is_one_message_from_publish_to_pubcomp() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing()).set("mapping.qos", "2")).await;
        let mut peer = subscribed(&stage, 2).await?;
        let message = Message::new(4, "a").qos(2);
        peer.publish(&message).await?;
        assert_eq!(peer.ack().await?, received(4));
        peer.publish(&message.clone().again()).await?;
        assert_eq!(peer.ack().await?, received(4), "PUBREC again");
        peer.reset();

        // The broker may not have seen PUBREC: then it sends PUBLISH once more, and else PUBREL.
        let mut peer = stage.resumed().await?;
        peer.publish(&message.clone().again()).await?;
        assert_eq!(peer.ack().await?, received(4));
        peer.release(4).await?;
        peer.release(4).await?;
        assert_eq!(stage.payloads(), [b"a"]);
        peer.publish(&message).await?;
        assert_eq!(peer.ack().await?, received(4));
        assert_eq!(stage.payloads(), [b"a", b"a"]);
        Ok(())
    })
    .await;
}
