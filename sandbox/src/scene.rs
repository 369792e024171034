//! What is played: sensors whose readings are taken, or the hub and the cloud. There hubs publish to
//! `devices/{hub}/data`, the function answers a high temperature with a command, and the hubs hear it on
//! `devices/{hub}/command`.

use std::sync::Arc;

use bridge::config::BrokerUrl;
use event::{Event, Publish, Response};
use rumqttc::{AsyncClient, Broker, Event as MqttEvent, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use rustls::ClientConfig;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::lambda::{Answer, Call, Function};
use crate::world::FUNCTION;

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

/// From this temperature on, in degrees Celsius, a hub is told to cool.
const HIGH: f64 = 25.0;

/// The cloud's side: a command for each reading that is too warm.
#[must_use]
pub fn cloud() -> Function {
    Function::inline(FUNCTION, |call| async move { command(&call) })
}

fn command(call: &Call) -> Answer {
    let event: Event = match call.event() {
        Ok(event) => event,
        Err(error) => return Answer::error("InvalidEvent", &error.to_string()),
    };
    let too_warm = event.records.iter().filter_map(|record| {
        let payload: Value = serde_json::from_str(record.payload.get()).ok()?;
        payload["temperature"].as_f64().filter(|temperature| *temperature >= HIGH)?;
        let payload = RawValue::from_string(r#"{"command":"cool"}"#.to_owned()).ok()?;
        let topic = record.topic.replace("/data", "/command");
        Some(Publish { topic, payload, encoding: event::Encoding::Json, qos: Some(1), retain: false })
    });
    Answer::json(&Response { publish: too_warm.collect(), ..Response::default() })
}

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
