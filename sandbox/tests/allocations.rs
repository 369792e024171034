//! The promise: a message costs few allocations on its way from the broker's bytes to those of the acknowledgement, and no more
//! in the thousandth message than in the first. The whole bridge runs, on this thread, with a broker and a Lambda that are a few
//! fixed bytes; what the latter allocates is counted too.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails, fails the test")]

use std::ffi::OsString;
use std::io;

use allocation_counter::{AllocationInfo, measure};
use bridge::Bridge;
use bridge::aws::{Answering, Aws, Service};
use bridge::config::{Config, Overrides};
use bridge::mqtt::InMemory;
use bytes::Bytes;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// Messages before anything is counted: pools, queues and buffers have their size then.
const WARM: u16 = 2_000;
const COUNTED: u16 = 2_000;
/// The messages in flight of a session.
const WINDOW: u16 = 100;

/// Allowed allocations for one message: alone in an invocation, in a batch of a hundred, and in one with filter, id and
/// key.
const ALONE: f64 = 18.0;
const BATCHED: f64 = 2.6;
const LOOKED_INTO: f64 = 7.8;

/// MQTT 5: its first four bits say what a packet is.
const CONNECT: u8 = 1;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;

/// A function that accepts everything.
#[derive(Debug)]
struct Lambda;

impl Service for Lambda {
    fn answer(&self, _: Request<Bytes>) -> Answering {
        let mut response = Response::new(Bytes::from_static(b"null"));
        response.headers_mut().insert("x-amzn-requestid", hyper::header::HeaderValue::from_static("1"));
        Box::pin(std::future::ready(Ok(response)))
    }
}

/// A broker with one client.
struct Broker {
    stream: DuplexStream,
    read: Vec<u8>,
    next: u16,
}

impl Broker {
    /// Which packet comes next, and the first two bytes of its body. Allocates nothing.
    async fn packet(&mut self) -> (u8, [u8; 2]) {
        loop {
            // All that come here are shorter than 128 bytes.
            if let [kind, length, ..] = self.read[..]
                && self.read.len() >= usize::from(length) + 2
            {
                let body = [self.read[2], self.read[3]];
                self.read.drain(..usize::from(length) + 2);
                return (kind >> 4, body);
            }
            assert_ne!(self.stream.read_buf(&mut self.read).await.unwrap(), 0, "the bridge is gone");
        }
    }

    /// Answers until the bridge is subscribed.
    async fn greet(&mut self) {
        assert_eq!(self.packet().await.0, CONNECT);
        self.stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        let (kind, body) = self.packet().await;
        assert_eq!(kind, SUBSCRIBE);
        self.stream.write_all(&[0x90, 4, body[0], body[1], 0, 1]).await.unwrap();
    }

    /// The packets of so many messages, a window of them at a time.
    fn packets(&mut self, count: u16) -> Vec<Vec<u8>> {
        let mut windows = Vec::new();
        for _ in 0..count / WINDOW {
            let mut bytes = Vec::new();
            for _ in 0..WINDOW {
                self.next = self.next % 60_000 + 1;
                let payload = format!(r#"{{"device_id":"a","number":{:>6},"pad":"{}"}}"#, self.next, "x".repeat(20));
                bytes.extend([0x32, u8::try_from(payload.len() + 16).unwrap(), 0, 11]);
                bytes.extend(b"sensor/data");
                bytes.extend(self.next.to_be_bytes());
                bytes.push(0);
                bytes.extend(payload.as_bytes());
            }
            windows.push(bytes);
        }
        windows
    }

    /// Publishes them window by window, and reads the acknowledgement of each message.
    async fn publish(&mut self, windows: &[Vec<u8>]) {
        for window in windows {
            self.stream.write_all(window).await.unwrap();
            for _ in 0..WINDOW {
                assert_eq!(self.packet().await.0, PUBACK);
            }
        }
    }
}

/// Allocations of all messages together, once the bridge is warm.
fn counted(settings: &[(&str, &str)]) -> AllocationInfo {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let fixed = [
        ("ADMIN_LISTEN", "off"),
        ("MQTT_URL", "mqtts://broker"),
        ("MQTT_CLIENT_ID", "counted"),
        ("LAMBDA_CLIENT", "lean"),
        ("LAMBDA_DRY_RUN", "false"),
        ("MAPPING_TOPIC_FILTER", "sensor/data"),
        ("MAPPING_FUNCTION", "f"),
        ("MAPPING_CONCURRENCY", "10"),
    ];
    let variables = fixed.iter().chain(settings);
    let variables = variables.map(|(name, value)| (OsString::from(format!("BRIDGE_{name}")), OsString::from(value)));
    let config = Config::load(None, variables, Overrides::default()).unwrap();
    let (opened, mut connections) = mpsc::unbounded_channel();
    let way = InMemory::new(move |_| {
        let (ours, theirs) = duplex(1 << 20);
        opened.send(theirs).map_err(io::Error::other)?;
        Ok(ours)
    });
    let (_bridge, mut broker) = runtime.block_on(async {
        let bridge = Bridge::start_in_memory(config, &Aws::in_memory(Lambda), way).await.unwrap();
        let stream = connections.recv().await.unwrap();
        let mut broker = Broker { stream, read: Vec::with_capacity(64 * 1024), next: 0 };
        broker.greet().await;
        let packets = broker.packets(WARM);
        broker.publish(&packets).await;
        (bridge, broker)
    });
    let packets = broker.packets(COUNTED);
    measure(|| runtime.block_on(broker.publish(&packets)))
}

fn a_message(all: &AllocationInfo) -> f64 {
    f64::from(u32::try_from(all.count_total).unwrap()) / f64::from(COUNTED)
}

#[test]
fn a_message_alone_and_a_message_in_a_batch_take_few_allocations() {
    let alone = counted(&[]);
    let batched = counted(&[("MAPPING_BATCH_MAX_RECORDS", "100"), ("MAPPING_BATCH_MAX_WINDOW", "1ms")]);
    let looked_into = counted(&[
        ("MAPPING_BATCH_MAX_RECORDS", "100"),
        ("MAPPING_BATCH_MAX_WINDOW", "1ms"),
        ("MAPPING_FILTER", r#"[{"payload":{"number":[{"numeric":[">",0]}]}}]"#),
        ("MAPPING_MESSAGE_ID", "payload:/number"),
        ("MAPPING_ORDERING_KEY", "payload:/device_id"),
    ]);
    println!(
        "allocations a message: {:.2} alone, {:.2} in a batch, {:.2} with filter, id and key",
        a_message(&alone),
        a_message(&batched),
        a_message(&looked_into)
    );
    for (info, limit) in [(&alone, ALONE), (&batched, BATCHED), (&looked_into, LOOKED_INTO)] {
        assert!(a_message(info) <= limit, "{} allocations a message, at most {limit}", a_message(info));
        assert!(info.count_current <= 100, "{} allocations are left of {COUNTED} messages", info.count_current);
    }
}
