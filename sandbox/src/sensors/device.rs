//! One device: publishes at its rate, and follows every message to its PUBACK. Records, but checks nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bridge::config::BrokerUrl;
use bytes::Bytes;
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::client::{Client, Notice, Unconfirmed, WINDOW};
use super::reading::Thermometer;
use super::{Protocol, Registry, SensorOptions};

/// A device that could not publish for longer than this does not make up for it.
const MAX_CATCH_UP: Duration = Duration::from_secs(1);

/// How long a device waits before it publishes a refused message again.
const REFUSED: Duration = Duration::from_millis(100);

/// A device before it is switched on.
pub(super) struct Device {
    thermometer: Thermometer,
    protocol: Protocol,
    broker: BrokerUrl,
    topic: String,
    /// Between two messages of this device; zero for as fast as possible.
    period: Duration,
    /// Before the first one, so that devices do not publish in step.
    phase: Duration,
    bad_every: Option<u64>,
    registry: Arc<Registry>,
    tls: Arc<ClientConfig>,
    login: Option<(String, String)>,
}

/// A message that waits for its PUBACK.
struct Published {
    number: u64,
    payload: Bytes,
    notice: Notice,
}

impl Device {
    pub(super) fn new(index: usize, options: &SensorOptions, registry: Arc<Registry>, tls: Arc<ClientConfig>) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "numbers of devices are small")]
        let (index_f, count) = (index as f64, options.count as f64);
        let name = format!("{}-{:02}", options.name, index + 1);
        Self {
            protocol: options.protocol,
            broker: options.broker.clone(),
            topic: options.topic.replace("{device}", &name),
            // Evenly, so that of a dozen one is always warm enough for a command.
            thermometer: Thermometer::new(name, (index_f + 0.5) / count, options.padding),
            period: seconds(count / options.rate),
            phase: seconds(index_f / options.rate),
            bad_every: options.bad_every,
            registry,
            tls,
            login: options.login.clone(),
        }
    }

    /// Works until `stopping` or the end of the registry's numbers, then until every message is confirmed.
    pub(super) async fn run(mut self, stopping: watch::Receiver<bool>, held: watch::Receiver<bool>) {
        let id = format!("{}-{}", self.thermometer.device_id(), self.registry.run());
        let (client, connection) = Client::connect(self.protocol, &id, &self.broker, &self.tls, self.login.as_ref());
        // Aborted if this task is dropped before its end.
        let mut connection = AbortOnDrop(connection);
        let (published, confirmations) = mpsc::channel(usize::from(WINDOW));
        let (topic, registry) = (self.topic.clone(), Arc::clone(&self.registry));
        let publish = self.publish(&client, published, stopping, held);
        tokio::join!(publish, confirm(&client, &topic, confirmations, &registry));
        client.disconnect().await;
        let _ = (&mut connection.0).await;
    }

    async fn publish(
        &mut self,
        client: &Client,
        published: mpsc::Sender<Published>,
        mut stopping: watch::Receiver<bool>,
        mut held: watch::Receiver<bool>,
    ) {
        let mut due = Instant::now() + self.phase;
        loop {
            let ready = async {
                sleep_until(due).await;
                // An error means that the sensors have ended, and this task with them.
                let _ = held.wait_for(|held| !held).await;
            };
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => return,
                () = ready => {}
            }
            let Some(number) = self.registry.publish(std::time::Instant::now()) else { return };
            let bad = self.bad_every.is_some_and(|every| number.is_multiple_of(every));
            let payload = self.thermometer.read(&self.registry.id(number), bad, SystemTime::now());
            let Some(notice) = client.publish(&self.topic, payload.clone()).await else { return };
            if published.send(Published { number, payload, notice }).await.is_err() {
                return;
            }
            let earliest = Instant::now().checked_sub(MAX_CATCH_UP).unwrap_or(due);
            due = (due + self.period).max(earliest);
        }
    }
}

/// Waits for each PUBACK in turn; publishes again, with the same id, what a broken session took along.
async fn confirm(client: &Client, topic: &str, mut published: mpsc::Receiver<Published>, registry: &Registry) {
    while let Some(Published { number, payload, mut notice }) = published.recv().await {
        while let Err(unconfirmed) = notice.confirmed().await {
            if let Unconfirmed::Refused(reason) = unconfirmed {
                tracing::debug!(number, ?reason, "sensor: refused, publishes again");
                sleep(REFUSED).await;
            }
            let Some(next) = client.publish(topic, payload.clone()).await else { return };
            notice = next;
        }
        registry.acknowledge(number);
    }
}

/// At most a day, which is for ever in a sandbox, so that sums of times do not overflow.
fn seconds(seconds: f64) -> Duration {
    const DAY: Duration = Duration::from_hours(24);
    Duration::try_from_secs_f64(seconds).map_or(DAY, |duration| duration.min(DAY))
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
