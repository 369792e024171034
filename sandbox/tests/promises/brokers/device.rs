//! A device that listens, with a client that is not the bridge's. It acknowledges by itself.

use std::sync::Arc;
use std::time::Duration;

use bridge::config::Protocol;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::bench::Stage;
use crate::common::PATIENCE;

enum Event {
    Subscribed,
    Heard,
    Other,
}

/// Ends when it is dropped.
pub struct Device {
    heard: mpsc::UnboundedReceiver<Event>,
    task: JoinHandle<()>,
}

impl Device {
    /// Returns when the broker has confirmed its subscription.
    pub async fn listen(stage: &Stage, protocol: Protocol, topic: &str) -> Self {
        let (world, login) = (&stage.world, stage.login.clone());
        let tls = Arc::new(world.files.client_config(&world.files.device).unwrap());
        let (events, mut heard) = mpsc::unbounded_channel();
        let (id, topic) = (format!("listener-{:08x}", fastrand_id()), topic.to_owned());
        let (host, port) = (world.url().host.clone(), world.url().port);
        let task = match protocol {
            Protocol::V5 => tokio::spawn(v5(Peer { id, host, port, tls, topic, login }, events)),
            Protocol::V311 => tokio::spawn(v311(Peer { id, host, port, tls, topic, login }, events)),
        };
        let subscribed = async { while !matches!(heard.recv().await.expect("a device"), Event::Subscribed) {} };
        timeout(PATIENCE, subscribed).await.expect("a subscription in time");
        Self { heard, task }
    }

    /// Waits for this many messages; says how many have come.
    pub async fn hear(&mut self, messages: usize) -> usize {
        let mut count = 0;
        let hearing = async {
            while count < messages {
                match self.heard.recv().await {
                    Some(Event::Heard) => count += 1,
                    Some(_) => {}
                    None => return,
                }
            }
        };
        // A timeout means that fewer have arrived; the count shows it.
        let _ = timeout(PATIENCE, hearing).await;
        count
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Different for each device, also in two processes.
fn fastrand_id() -> u32 {
    std::process::id() ^ std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos()
}

/// A listener, and its topic.
struct Peer {
    id: String,
    host: String,
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    topic: String,
    login: Option<(String, String)>,
}

/// Publishes one message that the broker is to retain, and returns when it has confirmed it. Under MQTT 5.
pub async fn announce(stage: &Stage, topic: &str, payload: &'static [u8]) {
    publish(stage, topic, payload, &rumqttc::PublishOptions::at_least_once().retained(), 1).await;
}

/// Publishes this many messages that the broker forgets after this time, and returns when it has confirmed them. Under MQTT 5.
pub async fn publish_expiring(stage: &Stage, topic: &str, after: Duration, messages: usize) {
    let seconds = u32::try_from(after.as_secs()).unwrap();
    let properties = rumqttc::PublishProperties { message_expiry_interval: Some(seconds), ..Default::default() };
    let options = rumqttc::PublishOptions::at_least_once().properties(properties);
    publish(stage, topic, br#"{"expires":true}"#, &options, messages).await;
}

async fn publish(stage: &Stage, topic: &str, payload: &'static [u8], how: &rumqttc::PublishOptions, messages: usize) {
    use rumqttc::{AsyncClient, Broker, Event as Mqtt, MqttOptions, Packet, TlsConfiguration, Transport};
    let (world, url) = (&stage.world, stage.world.url());
    let tls = Arc::new(world.files.client_config(&world.files.device).unwrap());
    let mut options =
        MqttOptions::new(format!("announcer-{:08x}", fastrand_id()), Broker::tcp(url.host.clone(), url.port));
    options.set_connect_timeout(PATIENCE);
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
    if let Some((user, password)) = stage.login.clone() {
        options.set_credentials(user, password);
    }
    let (client, mut connection) = AsyncClient::builder(options).build();
    for _ in 0..messages {
        client.try_publish(topic, payload, how.clone()).unwrap();
    }
    let confirmed = async {
        let mut missing = messages;
        while missing > 0 {
            let event = connection.poll().await.expect("a connection");
            missing -= usize::from(matches!(event, Mqtt::Incoming(Packet::PubAck(_))));
        }
    };
    timeout(PATIENCE, confirmed).await.expect("PUBACK in time");
}

async fn v5(peer: Peer, events: mpsc::UnboundedSender<Event>) {
    use rumqttc::{AsyncClient, Broker, Event as Mqtt, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
    let mut options = MqttOptions::new(peer.id, Broker::tcp(peer.host, peer.port));
    options.set_connect_timeout(PATIENCE);
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(peer.tls)));
    if let Some((user, password)) = peer.login {
        options.set_credentials(user, password);
    }
    let (client, mut connection) = AsyncClient::builder(options).build();
    loop {
        let event = match connection.poll().await.expect("a connection of the device") {
            Mqtt::Incoming(Packet::ConnAck(_)) => {
                client.try_subscribe(peer.topic.as_str(), QoS::AtLeastOnce).unwrap();
                Event::Other
            }
            Mqtt::Incoming(Packet::SubAck(_)) => Event::Subscribed,
            Mqtt::Incoming(Packet::Publish(_)) => Event::Heard,
            _ => Event::Other,
        };
        let _ = events.send(event);
    }
}

async fn v311(peer: Peer, events: mpsc::UnboundedSender<Event>) {
    use rumqttc_v4::{AsyncClient, Broker, Event as Mqtt, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
    let mut options = MqttOptions::new(peer.id, Broker::tcp(peer.host, peer.port));
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(peer.tls)));
    if let Some((user, password)) = peer.login {
        options.set_credentials(user, password);
    }
    let (client, mut connection) = AsyncClient::builder(options).build();
    connection.network_options.set_connection_timeout(PATIENCE.as_secs());
    loop {
        let event = match connection.poll().await.expect("a connection of the device") {
            Mqtt::Incoming(Packet::ConnAck(_)) => {
                client.try_subscribe(peer.topic.as_str(), QoS::AtLeastOnce).unwrap();
                Event::Other
            }
            Mqtt::Incoming(Packet::SubAck(_)) => Event::Subscribed,
            Mqtt::Incoming(Packet::Publish(_)) => Event::Heard,
            _ => Event::Other,
        };
        let _ = events.send(event);
    }
}
