//! What is played: sensors whose readings are taken, or the hub and the cloud. There hubs publish to
//! `devices/{hub}/data`, the real function answers a high temperature with a command, and the hubs hear it on
//! `devices/{hub}/command`.

use std::sync::Arc;

use bridge::config::BrokerUrl;
use rumqttc::{AsyncClient, Broker, Event as MqttEvent, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What is played.
#[derive(Debug, Clone)]
pub enum Scene {
    /// Sensors publish, the function takes their readings.
    Sensors {
        /// Where they publish, and what the bridge subscribes to.
        topic: String,
    },
    /// Hubs publish, and hear commands in answer.
    Hub,
}

impl Scene {
    /// What the bridge subscribes to.
    #[must_use]
    pub fn subscribed_to(&self) -> &str {
        match self {
            Self::Sensors { topic } => topic,
            Self::Hub => DATA,
        }
    }

    /// Where the sensors publish.
    #[must_use]
    pub fn published_to(&self) -> String {
        match self {
            Self::Sensors { topic } => topic.clone(),
            Self::Hub => DEVICE_DATA.to_owned(),
        }
    }
}

/// What the bridge subscribes to.
pub const DATA: &str = "devices/+/data";
/// Where a hub publishes; `{device}` is its name.
pub const DEVICE_DATA: &str = "devices/{device}/data";
/// What the mapping allows the function to answer to.
pub const COMMAND: &str = "devices/+/command";

/// What the function is told, beside what Lambda tells it: above this temperature, in °C, a hub shall cool. Whether a
/// reading is too warm, and what a command says, is the function's own rule.
pub const THRESHOLD: (&str, &str) = ("TEMPERATURE_MAX", "25");

/// The hubs' side: hears every command and says so. Ends when it is dropped.
#[derive(Debug)]
pub struct Hubs(JoinHandle<()>);

impl Hubs {
    /// Subscribes to all commands.
    #[must_use]
    pub fn listen(broker: &BrokerUrl, tls: Arc<ClientConfig>, heard: mpsc::Sender<String>) -> Self {
        let mut options =
            MqttOptions::new(format!("hubs-{:08x}", fastrand::u32(..)), Broker::tcp(broker.host.as_str(), broker.port));
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        let (client, mut events) = AsyncClient::builder(options).build();
        Self(tokio::spawn(async move {
            loop {
                match events.poll().await {
                    // There is room for one request, and there is one for each connection.
                    Ok(MqttEvent::Incoming(Packet::ConnAck(_))) => {
                        drop(client.try_subscribe(COMMAND, QoS::AtLeastOnce));
                    }
                    Ok(MqttEvent::Incoming(Packet::Publish(publish))) => {
                        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                        let hub = topic.split('/').nth(1).unwrap_or("?").to_owned();
                        // What the screen has no room for is not missed.
                        let _ = heard.try_send(format!("{hub} hears {}", String::from_utf8_lossy(&publish.payload)));
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
                }
            }
        }))
    }
}

impl Drop for Hubs {
    fn drop(&mut self) {
        self.0.abort();
    }
}
