//! CONNECT, what it requests, and a silent connection.

use std::time::Duration;

use bridge::config::Protocol;
use sandbox::scripted::{ConnAck, Message};

use crate::common::{eventually, willing};
use crate::stage::{Played, Stage, both};

/// 3.1.2-24: what exceeds our Maximum Packet Size the broker drops without a word (3.1.2-25), so there is none.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_24_connect_asks_for_what_is_configured_and_sets_no_packet_size() {
    both(|protocol| async move {
        let adjust = |b: sandbox::world::WorldBuilder| {
            let b = b.function(willing()).set("mqtt.session_expiry", "2h").set("mqtt.keep_alive", "17s");
            b.set("mapping.receive_maximum", "33")
        };
        let stage = Stage::start(protocol, adjust).await;
        let connect = stage.broker.accept().await?.greet(&ConnAck::fresh()).await?;
        assert_eq!((connect.client_id.as_str(), connect.clean_start), ("sandbox-sensor-data", false));
        assert_eq!(connect.keep_alive, 17);
        let v5 = protocol == Protocol::V5;
        assert_eq!(connect.session_expiry, v5.then_some(7200));
        assert_eq!(connect.receive_maximum, v5.then_some(33));
        assert_eq!((connect.max_packet_size, connect.topic_alias_maximum), (None, None));
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_20_a_silent_connection_is_pinged() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing()).set("mqtt.keep_alive", "5s")).await;
        let mut peer = stage.fresh().await?;
        peer.ping().await?;
        peer.ping().await?;
        assert_eq!(stage.broker.connections(), 1);
        Ok(())
    })
    .await;
}

/// Our own Keep Alive would bring the first ping after 500 s, long after the test has given up.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_2_21_the_servers_keep_alive_is_obeyed() -> Played {
    let stage = Stage::start(Protocol::V5, |b| b.function(willing()).set("mqtt.keep_alive", "1000s")).await;
    let mut peer = stage.broker.accept().await?;
    peer.greet(&ConnAck::fresh().server_keep_alive(1)).await?;
    peer.grant(1).await?;
    for _ in 0..3 {
        peer.ping().await?;
    }
    // The limit holds for the other direction too.
    peer.mute();
    assert_eq!(peer.end().await?, Some(0));
    stage.resumed().await?;
    Ok(())
}

/// A timeout for each read would not be enough: a broker that sends byte by byte never triggers it.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_never_answers_connect_is_left_also_when_it_drips() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing()).set("mqtt.connect_timeout", "2s")).await;
        let mut peer = stage.broker.accept().await?;
        peer.connect().await?;
        assert_eq!(peer.end().await?, None);

        let mut peer = stage.broker.accept().await?;
        peer.connect().await?;
        // Sent byte by byte: under MQTT 5 a CONNACK that takes a minute, else a PINGRESP with nothing behind it.
        let drip = match protocol {
            Protocol::V5 => ConnAck::fresh().reason(&"x".repeat(300)).bytes(protocol),
            Protocol::V311 => vec![0x20],
        };
        let _ = peer.drip(&drip, Duration::from_millis(200)).await;
        assert_eq!(peer.end().await?, None);

        let mut peer = stage.fresh().await?;
        peer.publish(&Message::new(1, "a")).await?;
        assert_eq!(peer.ack().await?.packet_id, 1);
        assert_eq!(stage.broker.connections(), 3);
        Ok(())
    })
    .await;
}

/// A session that ends before the bridge is back loses what is queued for it, so nobody may learn of it only then.
#[tokio::test(flavor = "multi_thread")]
async fn f30_the_session_expiry_that_the_broker_grants_is_a_number_of_the_mapping() -> Played {
    let mut stage = Stage::start(Protocol::V5, |b| b.function(willing()).set("mqtt.session_expiry", "1h")).await;
    for (granted, shown) in [(Some(300), 300), (Some(0), 0), (None, 3600)] {
        let mut peer = stage.broker.accept().await?;
        let connack = granted.map_or_else(ConnAck::fresh, |seconds| ConnAck::fresh().session_expiry(seconds));
        peer.greet(&connack).await?;
        peer.grant(1).await?;
        eventually("it is ready", || stage.world.bridge().unwrap().troubles().is_empty()).await;
        assert_eq!(stage.world.counters().session_expiry.get(), shown, "{granted:?}");
        stage.again().await;
    }
    Ok(())
}
