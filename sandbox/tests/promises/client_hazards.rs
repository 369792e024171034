//! Why the bridge has a session of its own: what the MQTT crate's event loop does with a late acknowledgement. When this
//! fails, the crate has changed, and the decision in ARCHITECTURE.md can be looked at again.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{PATIENCE, eventually, publish, publishes, willing};
use bridge::config::Protocol;
use rumqttc::{AckMode, AsyncClient, Broker, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use sandbox::wiretap::{self, Wiretap};
use sandbox::world::World;
use tokio::sync::mpsc;

/// The result of the loop.
enum Seen {
    Subscribed,
    Message(rumqttc::Publish),
}

/// A subscriber as the crate's own documentation has it: a loop that goes on after errors, acknowledging by hand.
fn subscribe(world: &World, port: u16) -> (AsyncClient, mpsc::UnboundedReceiver<Seen>) {
    let tls = Arc::new(world.files.client_config(&world.files.bridge).unwrap());
    let mut options = MqttOptions::new("naive", Broker::tcp("localhost", port));
    options
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)))
        .set_clean_start(false)
        .set_session_expiry_interval(Some(300))
        .set_ack_mode(AckMode::Manual);
    let (client, mut events) = AsyncClient::builder(options).build();
    let (sender, seen) = mpsc::unbounded_channel();
    let requests = client.clone();
    tokio::spawn(async move {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    requests.try_subscribe("sensor/data", QoS::AtLeastOnce).unwrap();
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => sender.send(Seen::Subscribed).unwrap_or_default(),
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    sender.send(Seen::Message(message)).unwrap_or_default();
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    (client, seen)
}

async fn next_message(seen: &mut mpsc::UnboundedReceiver<Seen>) -> rumqttc::Publish {
    match tokio::time::timeout(PATIENCE, seen.recv()).await.unwrap() {
        Some(Seen::Message(message)) => message,
        _ => panic!("no message"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crates_own_loop_acknowledges_a_new_message_with_an_old_receipt() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let tap = Wiretap::start(world.url(), &world.files, Protocol::V5).await.unwrap();
    let (client, mut seen) = subscribe(&world, tap.url().port);
    assert!(matches!(tokio::time::timeout(PATIENCE, seen.recv()).await.unwrap(), Some(Seen::Subscribed)));
    publish(&world, 1, |_| {}).await;
    let old = next_message(&mut seen).await;

    // The broker loses the session, and gives the same packet identifier to another message.
    world.broker.as_mut().unwrap().restart().await.unwrap();
    assert!(matches!(tokio::time::timeout(PATIENCE, seen.recv()).await.unwrap(), Some(Seen::Subscribed)));
    publish(&world, 1, |_| {}).await;
    let new = next_message(&mut seen).await;
    assert_ne!(old.payload, new.payload);
    let ids: Vec<_> = publishes(&tap.seen()).into_iter().map(|(packet_id, ..)| packet_id).collect();
    assert_eq!(ids, [1, 1], "the broker used the packet identifier again");

    client.ack(&old).await.unwrap();
    eventually("the new message is acknowledged by the old receipt", || {
        tap.seen().iter().any(|seen| seen.connection > 1 && matches!(seen.packet, wiretap::Packet::Ack { .. }))
    })
    .await;
}
