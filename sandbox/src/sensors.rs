//! Simulated devices: each publishes readings over its own verified connection and waits for every PUBACK.
//!
//! They know nothing of the bridge. What became of a message is booked in the [`Registry`], by whoever sees it.

mod client;
mod device;
mod foreign;
mod reading;
mod registry;
mod websocket;

pub use bridge::config::Protocol;
pub(crate) use client::{Client, Notice};
pub use foreign::{ForeignError, mosquitto_pub};
pub use registry::{Closing, Counts, Receipt, Registry};

use std::sync::Arc;
use std::time::Duration;

use bridge::config::BrokerUrl;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::certs::{ClientTlsError, PkiFiles};
use device::Device;

/// What the devices do.
#[derive(Debug, Clone)]
pub struct SensorOptions {
    /// The broker.
    pub broker: BrokerUrl,
    /// Whom the devices trust and who they are.
    pub files: PkiFiles,
    /// The version of MQTT they speak.
    pub protocol: Protocol,
    /// What they are called, before their number.
    pub name: &'static str,
    /// Where they publish; `{device}` stands for each one's own name.
    pub topic: String,
    /// How many devices, each with a connection.
    pub count: usize,
    /// Messages a second of all devices together; infinite for as fast as the broker confirms.
    pub rate: f64,
    /// After how many messages they are done; `None` for never.
    pub total: Option<u64>,
    /// Every how many messages one carries a reading that no function can accept; `None` for never.
    pub bad_every: Option<u64>,
    /// Bytes that each message carries beyond its reading.
    pub padding: usize,
    /// User name and password, for a broker to which a certificate is no name.
    pub login: Option<(String, String)>,
}

impl SensorOptions {
    /// Five devices that publish one good reading a second each to `sensor/data`, under MQTT 5, until stopped.
    #[must_use]
    pub fn new(broker: BrokerUrl, files: PkiFiles) -> Self {
        Self {
            broker,
            files,
            protocol: Protocol::V5,
            name: "sensor",
            topic: "sensor/data".to_owned(),
            count: 5,
            rate: 5.0,
            total: None,
            bad_every: None,
            padding: 0,
            login: None,
        }
    }
}

/// Devices cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// Their certificates are unusable.
    #[error("sensors: {0}")]
    Tls(#[from] ClientTlsError),
    /// The rate is no rate.
    #[error("sensors: rate {0}: must be above 0 messages a second")]
    Rate(f64),
}

/// Devices at work. Dropping them cuts their connections.
#[derive(Debug)]
pub struct Sensors {
    registry: Arc<Registry>,
    stop: watch::Sender<bool>,
    held: watch::Sender<bool>,
    devices: JoinSet<()>,
}

impl Sensors {
    /// Starts the devices on the current Tokio runtime; they connect, and connect again, by themselves.
    ///
    /// # Errors
    /// When the certificates are unusable or the rate is not above 0.
    pub fn start(options: &SensorOptions) -> Result<Self, SensorError> {
        if options.rate.is_nan() || options.rate <= 0.0 {
            return Err(SensorError::Rate(options.rate));
        }
        let tls = Arc::new(options.files.client_config(&options.files.device)?);
        let registry = Arc::new(Registry::new(options.total));
        let (stop, stopping) = watch::channel(false);
        let held = watch::Sender::new(false);
        let mut devices = JoinSet::new();
        for index in 0..options.count {
            let device = Device::new(index, options, Arc::clone(&registry), Arc::clone(&tls));
            devices.spawn(device.run(stopping.clone(), held.subscribe()));
        }
        Ok(Self { registry, stop, held, devices })
    }

    /// The book of all messages of this run.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// How many different messages were handed to a connection.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.registry.counts().published
    }

    /// How many different messages the broker has confirmed.
    #[must_use]
    pub fn acked(&self) -> u64 {
        self.registry.counts().acked
    }

    /// Has the devices publish nothing new for as long as this holds; what is published is still confirmed.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Waits until all devices are done, which [`SensorOptions::total`] decides: all is published and confirmed.
    pub async fn finished(&mut self) {
        while self.devices.join_next().await.is_some() {}
    }

    /// Stops publishing, waits for the missing PUBACKs and disconnects. Says how many messages the broker had still
    /// not confirmed at the deadline.
    pub async fn stop(&mut self, deadline: Duration) -> u64 {
        self.stop.send_replace(true);
        if timeout(deadline, self.finished()).await.is_err() {
            self.devices.shutdown().await;
        }
        let counts = self.registry.counts();
        counts.published - counts.acked
    }
}
