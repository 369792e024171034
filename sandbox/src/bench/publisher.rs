//! Clients that publish messages of one size, each with its time and number, and wait for every PUBACK. The first
//! message is made only when all clients are connected, so that the time to connect does not count.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::BenchError;
use super::stub::mark;
use crate::certs::PkiFiles;
use crate::sensors::{Client, Notice, Protocol};
use bridge::config::BrokerUrl;

/// Messages that wait for their PUBACK, at most.
const WINDOW: usize = 200;
/// Of the payloads' ordering keys.
const DEVICES: u64 = 50;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Publications {
    pub(super) messages: u64,
    /// Of each payload, in bytes.
    pub(super) size: usize,
    /// A second, of all clients together; `None` for as fast as it goes.
    pub(super) rate: Option<f64>,
    pub(super) clients: u32,
}

/// Publishes them to `sensor/data`. Returns once all are confirmed.
///
/// # Errors
/// When the certificates cannot be used, or a connection does not come or ends.
pub(super) async fn publish(broker: &BrokerUrl, files: &PkiFiles, what: Publications) -> Result<(), BenchError> {
    let clients = connected(broker, files, what.clients).await?;
    let (begun, count) = (Instant::now(), clients.len() as u64);
    let mut all = JoinSet::new();
    for (index, (client, connection)) in (0..).zip(clients) {
        let numbers = what.messages * index / count..what.messages * (index + 1) / count;
        let pace = what.rate.map(|rate| Pace::of(begun, rate, index, count));
        all.spawn(one(client, connection, numbers, pace, what.size));
    }
    while let Some(one) = all.join_next().await {
        one.map_err(std::io::Error::other)??;
    }
    Ok(())
}

/// Clients that the broker has accepted, each with the task of its connection.
async fn connected(
    broker: &BrokerUrl,
    files: &PkiFiles,
    count: u32,
) -> Result<Vec<(Client, JoinHandle<()>)>, BenchError> {
    let tls = files.client_config(&files.device).map_err(|error| BenchError::Tls(error.to_string()))?;
    let tls = Arc::new(tls);
    let connect = |client: u32| {
        let id = format!("bench-{client}-{}", fastrand::u32(..));
        Client::connect(Protocol::V5, &id, broker, &tls, None)
    };
    let mut clients: Vec<_> = (0..count).map(connect).collect();
    for (client, _) in &mut clients {
        if !timeout(PATIENCE, client.connected()).await.unwrap_or(false) {
            return Err(BenchError::Late("a connection"));
        }
    }
    Ok(clients)
}

/// When a client publishes each of its messages.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pace {
    first: Instant,
    period: Duration,
}

impl Pace {
    /// The clients take turns: in step they would publish all at once, and the bridge wake up once for all of them.
    fn of(begun: Instant, rate: f64, client: u64, clients: u64) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a few publishers")]
        let (client, clients) = (client as f64, clients as f64);
        let first = begun + Duration::from_secs_f64(client / rate);
        Self { first, period: Duration::from_secs_f64(clients / rate) }
    }

    fn due(self, sent: u32) -> Instant {
        self.first + self.period * sent
    }
}

async fn one(
    client: Client,
    connection: JoinHandle<()>,
    numbers: Range<u64>,
    pace: Option<Pace>,
    size: usize,
) -> Result<(), BenchError> {
    let mut waiting = VecDeque::new();
    for (sent, number) in (0..).zip(numbers) {
        if let Some(pace) = pace {
            sleep_until(pace.due(sent)).await;
        }
        if waiting.len() >= WINDOW
            && let Some(oldest) = waiting.pop_front()
        {
            confirmed(oldest).await?;
        }
        let notice = client.publish("sensor/data", payload(number, size)).await;
        waiting.push_back(notice.ok_or(BenchError::Late("a connection"))?);
    }
    for notice in waiting {
        confirmed(notice).await?;
    }
    client.disconnect().await;
    // DISCONNECT is sent, or the connection is gone: the result does not matter.
    drop(connection.await);
    Ok(())
}

async fn confirmed(notice: Notice) -> Result<(), BenchError> {
    notice.confirmed().await.map_err(|_| BenchError::Late("a PUBACK"))
}

/// JSON of this size, with the time of now.
fn payload(number: u64, size: usize) -> Bytes {
    let head = format!("{{{},\"d\":{},\"p\":\"", mark(number), number % DEVICES);
    let padding = "x".repeat(size.saturating_sub(head.len() + 2));
    format!("{head}{padding}\"}}").into()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::super::stub::{marks, now};
    use super::*;
    use crate::certs::{Pki, server_config};

    #[test]
    fn a_payload_is_json_of_its_size() {
        for (number, size) in [(0, 65), (9_999_999, 65), (7, 16_384)] {
            let payload = payload(number, size);
            assert_eq!(payload.len(), size);
            let read: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(read["n"], number);
        }
    }

    #[test]
    fn clients_take_turns() {
        let begun = Instant::now();
        let mut due: Vec<_> = (0..4)
            .flat_map(|client| (0..3).map(move |sent| Pace::of(begun, 100.0, client, 4).due(sent)))
            .map(|due| (due - begun).as_millis())
            .collect();
        due.sort_unstable();
        assert_eq!(due, (0..12).map(|number| number * 10).collect::<Vec<_>>());
    }

    /// A broker that takes its time for CONNACK, and then looks at the time of the first message.
    #[tokio::test]
    async fn no_message_is_older_than_the_connection() {
        let directory = tempfile::tempdir().unwrap();
        let files = Pki::generate().unwrap().write_to(directory.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = BrokerUrl::mqtts("localhost", listener.local_addr().unwrap().port());
        let tls = TlsAcceptor::from(Arc::new(server_config(&files.broker).unwrap()));
        let publishing = tokio::spawn(async move {
            publish(&broker, &files, Publications { messages: 1, size: 65, rate: Some(1.0), clients: 1 }).await
        });
        let mut stream = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut bytes = vec![0; 4_096];
        assert!(stream.read(&mut bytes).await.unwrap() > 0, "no CONNECT");
        let accepted = now();
        stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        bytes.clear();
        while !bytes.ends_with(b"\"}") {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "no message");
        }
        let (published, number) = marks(&bytes).next().unwrap();
        assert!(published >= accepted, "published {} µs before CONNACK", accepted - published);
        assert_eq!(number, 0);
        publishing.abort();
    }
}
