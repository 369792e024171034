//! Clients that publish messages of one size, each with its time and number, and wait for every PUBACK.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bridge::config::BrokerUrl;
use bytes::Bytes;
use rustls::ClientConfig;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::BenchError;
use super::stub::mark;
use crate::sensors::{Client, Protocol};
use crate::world::World;

/// Messages that wait for their PUBACK, at most.
const WINDOW: usize = 200;
/// Of a payload, in bytes.
const SIZE: usize = 65;
/// Of the payloads' ordering keys.
const DEVICES: u64 = 50;

/// Publishes so many messages to the world's topic by so many clients, at so many a second of all or as fast as it goes.
/// Returns once all are confirmed.
///
/// # Errors
/// When the certificates cannot be used, or a connection ends.
pub(super) async fn publish(world: &World, count: u64, rate: Option<f64>, clients: u32) -> Result<(), BenchError> {
    let tls = world.files.client_config(&world.files.device).map_err(|error| BenchError::Tls(error.to_string()))?;
    let (tls, clients) = (Arc::new(tls), u64::from(clients));
    let mut all = JoinSet::new();
    for client in 0..clients {
        let numbers = count * client / clients..count * (client + 1) / clients;
        let id = format!("bench-{client}-{}", fastrand::u32(..));
        #[allow(clippy::cast_precision_loss, reason = "a few publishers")]
        let rate = rate.map(|rate| rate / clients as f64);
        all.spawn(one(world.url().clone(), Arc::clone(&tls), id, numbers, rate));
    }
    while let Some(one) = all.join_next().await {
        one.map_err(std::io::Error::other)??;
    }
    Ok(())
}

async fn one(
    broker: BrokerUrl,
    tls: Arc<ClientConfig>,
    id: String,
    numbers: Range<u64>,
    rate: Option<f64>,
) -> Result<(), BenchError> {
    let (client, connection) = Client::connect(Protocol::V5, &id, &broker, &tls, None);
    let mut waiting = VecDeque::new();
    let period = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
    let mut begun = None;
    for (sent, number) in (0..).zip(numbers) {
        if let (Some(period), Some(begun)) = (period, begun) {
            sleep_until(begun + period * sent).await;
        }
        let notice = client.publish("sensor/data", payload(number)).await.ok_or(BenchError::Late("a connection"))?;
        waiting.push_back(notice);
        if begun.is_none()
            && let Some(first) = waiting.pop_front()
        {
            // Connected: its time does not count.
            confirmed(first).await?;
            begun = Some(Instant::now());
        }
        if waiting.len() >= WINDOW
            && let Some(oldest) = waiting.pop_front()
        {
            confirmed(oldest).await?;
        }
    }
    for notice in waiting {
        confirmed(notice).await?;
    }
    client.disconnect().await;
    // It has said good-bye, or has nobody to say it to.
    drop(connection.await);
    Ok(())
}

async fn confirmed(notice: crate::sensors::Notice) -> Result<(), BenchError> {
    notice.confirmed().await.map_err(|_| BenchError::Late("a PUBACK"))
}

fn payload(number: u64) -> Bytes {
    let head = format!("{{{},\"d\":{},\"p\":\"", mark(number), number % DEVICES);
    let padding = "x".repeat(SIZE.saturating_sub(head.len() + 2));
    format!("{head}{padding}\"}}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json_of_its_size() {
        for number in [0, 9_999_999] {
            let payload = payload(number);
            assert_eq!(payload.len(), SIZE);
            let read: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(read["n"], number);
        }
    }
}
