//! A broker that exceeds Receive Maximum. MQTT 5, 3.3.4-9 lets a client close with 0x93; this bridge stops reading
//! instead, which bounds its memory without a reconnect loop for a broker that counts wrongly (ARCHITECTURE.md).

use bridge::config::Protocol;
use sandbox::scripted::{ConnAck, Message};

use crate::common::eventually;
use crate::stage::{Played, Stage, WINDOW, both, gated};

const SENT: u16 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_4_9_a_broker_that_exceeds_receive_maximum_is_held_up_and_not_left() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let adjust = |b: sandbox::world::WorldBuilder| {
            b.function(function).set("mapping.receive_maximum", "4").set("mapping.concurrency", "40")
        };
        let stage = Stage::start(protocol, adjust).await;
        let cap = if protocol == Protocol::V5 { 8 } else { 4 };
        let mut peer = stage.fresh().await?;
        for id in 1..=SENT {
            peer.publish(&Message::new(id, format!("m{id}"))).await?;
        }
        stage.invoked(cap).await;
        tokio::time::sleep(WINDOW).await;
        let outstanding = || stage.world.counters().outstanding.get();
        for id in 1..=SENT {
            let totals = stage.world.lambda.log().totals();
            assert_eq!(totals.in_flight, cap.min(u64::from(SENT + 1 - id)), "before {id}: {totals:?}");
            gate.open(format!("m{id}"));
            assert_eq!(peer.ack().await?.packet_id, id);
            let next = (cap + u64::from(id)).min(SENT.into());
            stage.invoked(next).await;
            assert!(u64::try_from(outstanding()).unwrap() <= cap, "{} outstanding", outstanding());
        }
        eventually("all is settled", || outstanding() == 0).await;
        assert_eq!((stage.broker.connections(), stage.world.counters().connection_failures.get()), (1, 0));
        // All but the first four found four or more un-acknowledged. MQTT 3.1.1 has no such bound to break.
        let beyond = if protocol == Protocol::V5 { u64::from(SENT) - 4 } else { 0 };
        assert_eq!(stage.world.counters().beyond_maximum.get(), beyond);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_bounded_beside_the_number_of_messages() {
    both(|protocol| async move {
        let (function, gate) = gated();
        let adjust =
            |b: sandbox::world::WorldBuilder| b.function(function).set("mapping.max_outstanding_bytes", "1MiB");
        let stage = Stage::start(protocol, adjust).await;
        let mut peer = stage.fresh().await?;
        let payload = |id: u16| [vec![b'a' + u8::try_from(id).unwrap()], vec![b'x'; 300 * 1024]].concat();
        let sent: Vec<_> = (1..=10).map(|id| Message::new(id, payload(id))).collect();
        let flood = tokio::spawn(async move {
            for message in sent {
                peer.publish(&message).await?;
            }
            Ok::<_, sandbox::scripted::ScriptError>(peer)
        });
        // Three weigh less than the bound, four more.
        stage.invoked(4).await;
        tokio::time::sleep(WINDOW).await;
        for id in 1..=10 {
            assert_eq!(stage.world.lambda.log().totals().invoked, (3 + u64::from(id)).min(10));
            assert!(stage.world.counters().outstanding_bytes.get() < (1 << 20) + 310 * 1024);
            gate.open(payload(id));
            stage.invoked((4 + u64::from(id)).min(10)).await;
        }
        let mut peer = flood.await.unwrap()?;
        for id in 1..=10 {
            assert_eq!(peer.ack().await?.packet_id, id);
        }
        assert_eq!(stage.broker.connections(), 1);
        Ok(())
    })
    .await;
}

/// A bridge that has stopped reading still sends, and does not take the missing packets for a silent broker.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_held_up_pings_and_lives() -> Played {
    let (function, gate) = gated();
    let adjust = |b: sandbox::world::WorldBuilder| b.function(function).set("mapping.receive_maximum", "1");
    let stage = Stage::start(Protocol::V5, adjust).await;
    let mut peer = stage.broker.accept().await?;
    peer.greet(&ConnAck::fresh().server_keep_alive(1)).await?;
    peer.grant(1).await?;
    for id in 1..=3 {
        peer.publish(&Message::new(id, format!("m{id}"))).await?;
    }
    stage.invoked(2).await;
    for _ in 0..6 {
        peer.ping().await?;
    }
    for id in 1..=3 {
        gate.open(format!("m{id}"));
        assert_eq!(peer.ack().await?.packet_id, id);
    }
    assert_eq!(stage.broker.connections(), 1);
    Ok(())
}
