//! One client that publishes messages of one size, each with its time, and waits for every PUBACK.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::BenchError;
use super::stub::{MARK, now};
use crate::sensors::{Client, Protocol};
use crate::world::World;

/// Messages that wait for their PUBACK, at most.
const WINDOW: usize = 200;
/// Of a payload, in bytes.
const SIZE: usize = 65;

/// Publishes so many messages to the world's topic, at so many a second or as fast as it goes. Returns once all are
/// confirmed.
///
/// # Errors
/// When the certificates cannot be used, or the connection ends.
pub(super) async fn publish(world: &World, id: &str, count: u64, rate: Option<f64>) -> Result<(), BenchError> {
    let tls = world.files.client_config(&world.files.device).map_err(|error| BenchError::Tls(error.to_string()))?;
    let (client, connection) = Client::connect(Protocol::V5, id, world.url(), &Arc::new(tls), None);
    let (begun, mut waiting) = (Instant::now(), VecDeque::new());
    let period = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
    for number in 0..count {
        if let Some(period) = period {
            sleep_until(begun + period.mul_f64(f64::from(u32::try_from(number).unwrap_or(u32::MAX)))).await;
        }
        let notice = client.publish("sensor/data", payload(number)).await.ok_or(BenchError::Late("a connection"))?;
        waiting.push_back(notice);
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
    let head = format!("{{{MARK}{},\"n\":{number},\"pad\":\"", now());
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
