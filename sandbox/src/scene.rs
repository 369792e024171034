//! The scenes: sensors whose readings are stored, or the hub and the cloud. In the second, hubs publish to
//! `devices/{hub}/data`, the real function answers a high temperature with a command, and the hubs receive it on
//! `devices/{hub}/command`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bridge::config::BrokerUrl;
use rumqttc::{AsyncClient, Broker, Event as MqttEvent, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

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
    /// What one that publishes is called.
    #[must_use]
    pub fn publishers(&self) -> &'static str {
        match self {
            Self::Sensors { .. } => "sensor",
            Self::Hub => "hub",
        }
    }

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

/// What the hubs have heard: how many commands, and the latest in words.
#[derive(Debug)]
pub struct Heard {
    count: Arc<AtomicU64>,
    words: mpsc::Receiver<String>,
}

impl Heard {
    /// How many commands so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The next in words. What nobody had room for is left out, though counted.
    pub fn told(&mut self) -> Option<String> {
        self.words.try_recv().ok()
    }
}

/// A command of the function, as a hub reads it.
#[derive(Deserialize)]
struct Command {
    #[serde(rename = "command")]
    set: String,
    temperature: f64,
    limit: f64,
}

/// `hub-02 is told to cool (25.5 °C > 25.0)`.
fn words(topic: &str, payload: &[u8]) -> String {
    let hub = topic.split('/').nth(1).unwrap_or("?");
    match serde_json::from_slice::<Command>(payload) {
        Ok(Command { set, temperature, limit }) => {
            let sign = if temperature > limit { '>' } else { '<' };
            format!("{hub} is told to {set} ({temperature:.1} °C {sign} {limit:.1})")
        }
        Err(_) => format!("{hub} is told something that is no command"),
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

/// How long to wait for the hubs' subscription. Later they may still get it, and have missed a command.
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(10);

impl Hubs {
    /// Subscribes to all commands, and returns when that is done: what is published before is heard by nobody.
    pub async fn listen(broker: &BrokerUrl, tls: Arc<ClientConfig>) -> (Self, Heard) {
        let (heard, words_heard) = mpsc::channel(20);
        let (subscribed, is_subscribed) = oneshot::channel();
        let mut subscribed = Some(subscribed);
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let mut options =
            MqttOptions::new(format!("hubs-{:08x}", fastrand::u32(..)), Broker::tcp(broker.host.as_str(), broker.port));
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        let (client, mut events) = AsyncClient::builder(options).build();
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    // There is room for one request, and there is one for each connection.
                    Ok(MqttEvent::Incoming(Packet::ConnAck(_))) => {
                        drop(client.try_subscribe(COMMAND, QoS::AtLeastOnce));
                    }
                    Ok(MqttEvent::Incoming(Packet::SubAck(_))) => {
                        let _ = subscribed.take().map(|subscribed| subscribed.send(()));
                    }
                    Ok(MqttEvent::Incoming(Packet::Publish(publish))) => {
                        counted.fetch_add(1, Ordering::Relaxed);
                        // Lines beyond the capacity of the screen's queue are dropped.
                        let _ = heard.try_send(words(&String::from_utf8_lossy(&publish.topic), &publish.payload));
                    }
                    Ok(_) => {}
                    Err(_) => sleep(Duration::from_millis(200)).await,
                }
            }
        });
        let _ = timeout(SUBSCRIBED_WITHIN, is_subscribed).await;
        (Self(task), Heard { count, words: words_heard })
    }
}

impl Drop for Hubs {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_in_words() {
        let told = |payload: &str| words("devices/hub-02/command", payload.as_bytes());
        let cool = r#"{"command":"cool","temperature":25.5,"limit":25,"record":"r"}"#;
        assert_eq!(told(cool), "hub-02 is told to cool (25.5 °C > 25.0)");
        let heat = r#"{"command":"heat","temperature":4.96,"limit":5.0,"record":"r"}"#;
        assert_eq!(told(heat), "hub-02 is told to heat (5.0 °C < 5.0)");
        assert_eq!(told("{}"), "hub-02 is told something that is no command");
    }
}
