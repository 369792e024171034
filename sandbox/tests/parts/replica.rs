//! The real binary with a configuration file of its own, which a test rewrites while it runs, and its admin endpoint.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bridge::config::{BrokerUrl, Protocol};
use sandbox::certs::PkiFiles;
use sandbox::world::{BridgeProcess, World};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{eventually, rest_after};

const PATIENCE: Duration = Duration::from_mins(3);

pub struct Replica {
    pub process: BridgeProcess,
    admin: SocketAddr,
    file: PathBuf,
}

/// A configuration without mappings. `more` are further lines of `[mqtt]`.
pub fn broker(url: &BrokerUrl, files: &PkiFiles, protocol: Protocol, client_id: &str, more: &str) -> String {
    let (ca, cert, key) = (files.ca.display(), files.bridge.cert.display(), files.bridge.key.display());
    format!(
        "admin.listen = \"127.0.0.1:0\"\nlambda.dry_run = false\n[mqtt]\nurl = \"{url}\"\nclient_id = \"{client_id}\"\n\
         protocol = \"{protocol}\"\n{more}\n\
         tls = {{ ca_file = \"{ca}\", cert_file = \"{cert}\", key_file = \"{key}\" }}\n"
    )
}

/// The usual waits between attempts to connect: short.
pub const SHORT: &str = "backoff = \"50ms..500ms\"";

/// For brokers that send again right after CONNACK, as MQTT 3.1.1 asks (4.4): Mosquitto, and the embedded one.
pub const AT_ONCE: &str = "redelivery_timer = \"0s\"";

/// A mapping. `more` are further lines of it.
pub fn mapping(name: &str, topic_filter: &str, more: &str) -> String {
    format!(
        "[[mapping]]\nname = \"{name}\"\ntopic_filter = \"{topic_filter}\"\nfunction = \"sensor-handler\"\nconcurrency = 10\n\
         retry.backoff = \"10ms..100ms\"\n{more}\n"
    )
}

impl Replica {
    /// Starts it and returns when its admin endpoint answers; it need not be ready.
    pub async fn launch(world: &World, name: &str, config: &str) -> Self {
        let file = world.directory().join(format!("{name}.toml"));
        std::fs::write(&file, config).unwrap();
        let mut process = world.spawn_bridge_from(&file).unwrap();
        assert!(process.logged("\"admin\":", PATIENCE).await, "{:#?}", process.log());
        let admin = events(&process).find_map(|line| line["admin"].as_str()?.parse().ok()).unwrap();
        Self { process, admin, file }
    }

    /// Starts it and returns when it is ready.
    pub async fn start(world: &World, name: &str, config: &str) -> Self {
        let replica = Self::launch(world, name, config).await;
        replica.ready().await;
        replica
    }

    /// Where its admin endpoint listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Status and body of one request to the admin endpoint.
    pub async fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub async fn ready(&self) {
        self.until("it is ready", "/readyz", |answer| answer.starts_with("ready\n")).await;
    }

    /// Polls until the answer is the wanted one.
    pub async fn until(&self, what: &str, path: &str, wanted: impl Fn(&str) -> bool) {
        let asking = async {
            loop {
                let look = Instant::now();
                if wanted(&self.ask("GET", path).await.1) {
                    return;
                }
                rest_after(look).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, asking).await;
        assert!(
            in_time.is_ok(),
            "waited in vain: {what}: {}\n{:#?}",
            self.ask("GET", path).await.1,
            self.process.log()
        );
    }

    /// The value of one line of `/metrics`; none when there is no such line.
    pub async fn metric(&self, line: &str) -> Option<f64> {
        let (_, metrics) = self.ask("GET", "/metrics").await;
        metrics.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }

    /// Writes another configuration and has it taken up, or refused; returns what was logged about it.
    pub async fn reload(&mut self, config: &str) -> Value {
        let decided = |process: &BridgeProcess| {
            let decided =
                |line: &Value| line["event"].as_str().is_some_and(|event| event.starts_with("configuration."));
            events_with(process, "configuration.").filter(decided).collect::<Vec<_>>()
        };
        let before = decided(&self.process).len();
        std::fs::write(&self.file, config).unwrap();
        self.process.signal("HUP").await.unwrap();
        let waiting = async {
            loop {
                let look = Instant::now();
                if let Some(line) = decided(&self.process).get(before) {
                    return line.clone();
                }
                rest_after(look).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap()
    }

    /// The lines of its log with this event.
    pub fn logged(&self, event: &str) -> Vec<Value> {
        events_with(&self.process, event).filter(|line| line["event"] == event).collect()
    }

    /// How often it has connected with this client id, and whether the broker had the session each time.
    pub fn connected(&self, client_id: &str) -> Vec<bool> {
        let connected = |line: &Value| line["message"] == "connected" && line["client_id"] == client_id;
        events_with(&self.process, client_id).filter(connected).map(|line| line["session_present"] == true).collect()
    }

    /// The same, once it has connected at all: readiness is known before the log, which another thread writes, says why.
    pub async fn sessions(&self, client_id: &str) -> Vec<bool> {
        eventually("the log says that it is connected", || !self.connected(client_id).is_empty()).await;
        self.connected(client_id)
    }

    /// Waits until the process exits, with code 0.
    pub async fn ended(&mut self) {
        let status = self.process.exited(PATIENCE).await.unwrap();
        assert!(status.is_some_and(|status| status.success()), "{status:?} {:#?}", self.process.log());
    }
}

/// The lines of the log, read.
pub fn events(process: &BridgeProcess) -> impl Iterator<Item = Value> {
    events_with(process, "")
}

/// Those that contain this text, which are read alone: a long log is looked through again and again.
fn events_with(process: &BridgeProcess, text: &str) -> impl Iterator<Item = Value> {
    let lines = process.log().into_iter().filter(move |line| line.contains(text));
    lines.map(|line| serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}")))
}
