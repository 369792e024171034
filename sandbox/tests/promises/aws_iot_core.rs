//! Promise: the bridge lives with the habits of AWS IoT Core, which a scripted broker has here, by the service's documentation: eight
//! filters in a packet, sessions of an hour, no QoS 2, no subscription identifiers, 128 KiB, and a connection that is closed over
//! what a policy denies.

use std::time::Duration;

use bridge::config::Protocol;
use sandbox::scripted::{ConnAck, Message, Packet, Peer, ScriptError, Subscribe};
use sandbox::world::WorldBuilder;

use crate::common::{eventually, willing};
use crate::replica::{Replica, SHORT, broker, mapping};
use crate::stage::{Played, Stage, WINDOW, both};

/// The most filters in a packet.
const IN_ONE: usize = 8;
/// The longest payload, in bytes.
const LONGEST: usize = 128 << 10;

/// What the service answers to CONNECT.
fn connack() -> ConnAck {
    ConnAck::fresh().session_expiry(3600).receive_maximum(100).max_qos(1).max_packet_size(149_504).without_identifiers()
}

fn filters_of(subscribe: &Subscribe) -> Vec<String> {
    std::iter::once(&subscribe.filter).chain(&subscribe.more).cloned().collect()
}

/// Grants every SUBSCRIBE as the service does, until all of these filters are subscribed.
async fn grant(peer: &mut Peer, wanted: usize) -> Result<Vec<String>, ScriptError> {
    let mut granted = Vec::new();
    while granted.len() < wanted {
        let subscribe = peer.subscribe().await?;
        let filters = filters_of(&subscribe);
        assert!(filters.len() <= IN_ONE, "{} filters in one SUBSCRIBE", filters.len());
        assert_eq!(subscribe.identifier, None, "the service has none");
        peer.suback(subscribe.packet_id, &vec![1; filters.len()]).await?;
        granted.extend(filters);
    }
    Ok(granted)
}

fn twenty() -> Vec<String> {
    (0..20).map(|number| format!("devices/{number}/data")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_filters_are_asked_for_and_given_up_eight_at_a_time() {
    both(|protocol| async move {
        let filters = twenty();
        let stage = Stage::new(protocol, |b| b.function(willing())).await;
        let config = broker(&stage.broker.url(), &stage.world.files, protocol, "b", SHORT)
            + &mapping("m", "F", "").replace("\"F\"", &format!("{filters:?}"));
        let bridge = Replica::launch(&stage.world, "bridge", &config).await;
        let mut peer = stage.broker.accept().await?;
        peer.greet(&connack()).await?;
        assert_eq!(grant(&mut peer, 20).await?, filters);
        for (id, filter) in (1..).zip(&filters) {
            peer.publish(&Message::new(id, "{}").topic(filter.clone())).await?;
            assert_eq!(peer.ack().await?.packet_id, id);
        }
        for filter in &filters {
            let line =
                format!("mqtt_lambda_bridge_received_by_filter_total{{mapping=\"m\",topic_filter=\"{filter}\"}}");
            assert_eq!(bridge.metric(&line).await, Some(1.0), "{filter}");
        }
        bridge.ask("POST", "/retire").await;
        let mut given_up = Vec::new();
        while given_up.len() < 20 {
            match peer.next("UNSUBSCRIBE").await? {
                Packet::Unsubscribe { packet_id, filters } => {
                    assert!(filters.len() <= IN_ONE, "{} filters in one UNSUBSCRIBE", filters.len());
                    peer.unsuback(packet_id, filters.len()).await?;
                    given_up.extend(filters);
                }
                got => return Err(ScriptError::Unexpected { due: "UNSUBSCRIBE", got }),
            }
        }
        assert_eq!(given_up, filters);
        Ok(())
    })
    .await;
}

/// The service closes the connection without a reason. The bridge names its last request, and uses the longest
/// back-off, as for any error that an operator has to fix.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_denies_closes_the_connection_and_is_named() {
    both(|protocol| async move {
        let adjust = |b: WorldBuilder| {
            let filters = "devices/+/data,denied/+/data";
            b.function(willing()).set("mapping.topic_filter", filters).set("mqtt.backoff", "1ms..1h")
        };
        let stage = Stage::start(protocol, adjust).await;
        let mut peer = stage.broker.accept().await?;
        peer.greet(&connack()).await?;
        peer.subscribe().await?;
        peer.close().await?;
        let trouble = || stage.world.bridge().unwrap().troubles().join("; ");
        eventually("it says what it had asked for", || {
            trouble().contains("in answer to SUBSCRIBE `devices/+/data`; the broker may not allow it")
        })
        .await;
        assert_eq!(stage.world.counters().subscribed.get(), 0);
        Ok(())
    })
    .await;
}

/// A policy that does not allow the client id closes the connection after CONNECT, without CONNACK.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_that_a_policy_denies_is_not_hammered() {
    both(|protocol| async move {
        let adjust = |b: WorldBuilder| b.function(willing()).set("mqtt.backoff", "50ms..1h");
        let stage = Stage::start(protocol, adjust).await;
        for _ in 0..3 {
            let mut peer = stage.broker.accept().await?;
            peer.connect().await?;
            peer.close().await?;
        }
        let trouble = || stage.world.bridge().unwrap().troubles().join("; ");
        eventually("it says so", || trouble().contains("CONNACK") || trouble().contains("CONNECT")).await;
        // A back-off between attempts bounds how often it connects.
        assert!(stage.broker.connections() <= 8, "{} connections", stage.broker.connections());
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_session_is_told_and_no_qos_2_is_a_reason() -> Played {
    let adjust = |b: WorldBuilder| b.function(willing()).set("mqtt.session_expiry", "24h");
    let mut stage = Stage::start(Protocol::V5, adjust).await;
    let mut peer = stage.broker.accept().await?;
    let connect = peer.greet(&connack()).await?;
    assert_eq!(connect.session_expiry, Some(24 * 3600));
    grant(&mut peer, 1).await?;
    eventually("what was granted is shown", || stage.world.counters().session_expiry.get() == 3600).await;
    drop(peer);
    stage.world.set("mapping.qos", "2");
    stage.world.set("mqtt.backoff", "1ms..1h");
    stage.again().await;
    let mut peer = stage.broker.accept().await?;
    peer.greet(&connack()).await?;
    // Whether QoS 2 is granted is said by SUBACK: Maximum QoS is for what the bridge publishes.
    let subscribe = peer.subscribe().await?;
    peer.suback(subscribe.packet_id, &[1]).await?;
    peer.end().await?;
    let trouble = || stage.world.bridge().unwrap().troubles().join("; ");
    eventually("it says so", || trouble().contains("the broker grants QoS 1 where QoS 2 was asked")).await;
    tokio::time::sleep(WINDOW).await;
    assert_eq!(stage.broker.connections(), 1, "nothing but another configuration helps");
    Ok(())
}

/// The service sends a hundred messages a second over one connection, and has a hundred of them in flight.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_messages_come_at_the_pace_of_the_service() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        let mut peer = stage.broker.accept().await?;
        peer.greet(&connack()).await?;
        grant(&mut peer, 1).await?;
        let payload = format!("\"{}\"", "x".repeat(LONGEST - 2));
        for id in 1..=20 {
            peer.publish(&Message::new(id, payload.clone())).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for id in 1..=20 {
            assert_eq!(peer.ack().await?.packet_id, id);
        }
        assert_eq!(stage.payloads().iter().filter(|found| **found == payload.as_bytes()).count(), 20);
        Ok(())
    })
    .await;
}
