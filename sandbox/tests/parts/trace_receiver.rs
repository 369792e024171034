//! The bridge with the feature `otlp`, a receiver that reads spans by OpenTelemetry's own .proto files, and a collector of somebody
//! else's that passes them on to it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::common::eventually;

/// Names a bridge that is built with the feature `otlp`; `.ci/traces` builds one, and has the two others.
const BRIDGE: &str = "BRIDGE_WITH_OTLP";
/// Names a Python that has `opentelemetry-proto`.
const PYTHON: &str = "TRACE_PYTHON";
/// Names the collector.
const COLLECTOR: &str = "TRACE_COLLECTOR";

/// The bridge with the feature `otlp`. `None` where there is none, and the test is skipped.
pub fn bridge() -> Option<PathBuf> {
    let found = std::env::var_os(BRIDGE).map(PathBuf::from);
    if found.is_none() {
        eprintln!("skipped: {BRIDGE} names no bridge; `.ci/traces` builds one");
    }
    found
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The URL that a bridge is given.
pub fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}/v1/traces")
}

/// Ends when dropped.
pub struct Receiver {
    pub port: u16,
    spans: Arc<Mutex<Vec<Value>>>,
    _child: Child,
}

impl Receiver {
    pub async fn start(port: u16) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(".ci/trace_receiver.py");
        let mut command = Command::new(std::env::var_os(PYTHON).unwrap());
        command.arg(script).arg(port.to_string()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        let spans = Arc::new(Mutex::new(Vec::new()));
        let found = Arc::clone(&spans);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                found.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { port, spans, _child: child }
    }

    /// The received spans, which must be this many.
    pub async fn spans(&self, count: usize) -> Vec<Value> {
        let spans = self.at_least(count).await;
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }

    /// The received spans, once there are this many.
    pub async fn at_least(&self, count: usize) -> Vec<Value> {
        let have = || self.spans.lock().unwrap().clone();
        eventually(&format!("{count} spans"), || have().len() >= count).await;
        let spans = have();
        assert!(spans.iter().all(|span| span.get("refused").is_none()), "{spans:#?}");
        spans
    }
}

/// A collector that passes spans on as protobuf. Ends when dropped.
pub struct Collector {
    pub port: u16,
    _child: Child,
}

impl Collector {
    pub async fn before(receiver: &Receiver) -> Self {
        let (http, grpc) = (free_port(), free_port());
        let mut command = Command::new(std::env::var_os(COLLECTOR).unwrap());
        command
            .arg("start")
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-endpoint", &format!("http://127.0.0.1:{}", receiver.port)])
            .args(["--batch-timeout", "200ms"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let child = command.spawn().unwrap();
        eventually("the collector listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, http)).is_ok()).await;
        Self { port: http, _child: child }
    }
}
