//! How a case is played and judged: the bridge's side, the peer's, and what must become of the two.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bridge::Bridge;
use bridge::aws::{Aws, LocalEndpoint};
use bridge::config::{Config, Overrides};
use bridge::metrics::Metrics;
use bridge::mqtt::{Connector, LiveTls, StageCell};
use rcgen::CertificateParams;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::common;
use crate::peer::{Peer, Server};
use crate::pki::Made;

pub static ONLY_1_2: &[&SupportedProtocolVersion] = &[&TLS12];
pub static ONLY_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

/// What must become of it.
pub enum Must {
    Accept,
    /// With these words in what is said.
    Refuse(&'static [&'static str]),
}

/// The bridge's side.
pub struct Side {
    host: &'static str,
    pub files: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Side {
    /// A bridge that trusts this authority.
    pub fn trusting(ca: &str) -> Self {
        let side = Self { host: "localhost", files: tempfile::tempdir().unwrap(), settings: Vec::new() };
        side.with("mqtt.tls.ca_file", ca)
    }

    pub fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// With a file of its own for that key.
    pub fn with(mut self, key: &'static str, pem: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let path = self.files.path().join(key);
        std::fs::write(&path, pem).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        self.settings.push((key, path.display().to_string()));
        self
    }

    pub fn set(mut self, key: &'static str, value: &str) -> Self {
        self.settings.push((key, value.to_owned()));
        self
    }

    pub fn showing(self, made: &Made) -> Self {
        self.with("mqtt.tls.cert_file", &made.chain).with("mqtt.tls.key_file", &made.key)
    }

    pub fn config(&self, port: u16) -> Config {
        let settings = Overrides::default()
            .set("admin.listen", "off")
            .set("mqtt.url", format!("mqtts://{}:{port}", self.host))
            .set("mqtt.backoff", "10ms..100ms")
            .set("mapping.topic_filter", "sensor/data")
            .set("mapping.function", "f");
        let settings = self.settings.iter().fold(settings, |all, (key, value)| all.set(*key, value));
        Config::load(None, std::iter::empty(), settings).unwrap()
    }
}

/// Starts a bridge, and returns what it says of the peer: nothing when it is ready.
async fn verdict(side: &Side, peer: &Peer) -> Option<String> {
    let config = side.config(peer.port);
    if !["localhost", "127.0.0.1", "::1"].contains(&side.host) {
        return verdict_by_name(&config, peer).await;
    }
    let aws = Aws::local(LocalEndpoint { url: "http://127.0.0.1:9".into() });
    let bridge = match Bridge::start(config, &aws).await {
        Ok(bridge) => bridge,
        Err(error) => return Some(error.to_string()),
    };
    let settled = || bridge.troubles().first().is_none_or(|trouble| trouble != "connecting");
    common::eventually("a verdict", settled).await;
    let trouble = bridge.troubles().pop();
    let counters = bridge.metrics().mapping("default");
    if trouble.is_some() {
        assert_eq!(counters.connects.get(), 0, "counted as connected in spite of {trouble:?}");
        assert_eq!(peer.greeted.load(Ordering::SeqCst), 0, "said CONNECT to a peer that is refused: {trouble:?}");
    } else {
        assert_eq!(counters.connection_failures.get(), 0);
    }
    trouble
}

/// For names that nobody resolves here: the handshake of the same connector, at the peer's address.
async fn verdict_by_name(config: &Config, peer: &Peer) -> Option<String> {
    let tls = LiveTls::load(config.mqtt.tls.clone(), Metrics::new().tls()).unwrap();
    let connector = Connector::of(&config.mqtt, tls).unwrap();
    let opened = connector.found_at(SocketAddr::from(([127, 0, 0, 1], peer.port))).open(&StageCell::default()).await;
    opened.err().map(|error| error.to_string())
}

/// Judges one case, prints its line, and returns its name when it did not go as it must.
async fn judge(row: &str, case: &str, side: Side, peer: Peer, must: Must) -> Option<String> {
    let said = verdict(&side, &peer).await;
    let good = match (&must, &said) {
        (Must::Accept, None) => true,
        (Must::Refuse(words), Some(said)) => words.iter().all(|word| said.contains(word)),
        _ => false,
    };
    let (mark, said) = (if good { "ok  " } else { "FAIL" }, said.unwrap_or_else(|| "accepted".into()));
    println!("{mark} {row} | {case} | {said}");
    (!good).then(|| format!("{row} | {case} | {said}"))
}

/// A table in the making, and what of it failed.
#[derive(Default)]
pub struct Table {
    row: &'static str,
    failed: Vec<String>,
    cases: usize,
}

impl Table {
    pub fn row(&mut self, row: &'static str) {
        self.row = row;
    }

    pub async fn case(&mut self, case: &str, side: Side, peer: Peer, must: Must) {
        self.cases += 1;
        self.failed.extend(judge(self.row, case, side, peer, must).await);
    }

    /// A rustls broker with this certificate.
    pub async fn broker(&mut self, case: &str, side: Side, made: Made, must: Must) {
        self.case(case, side, Server::new(made).start().await, must).await;
    }

    pub fn end(self, at_least: usize) {
        println!("{} cases", self.cases);
        assert!(self.cases >= at_least, "{} cases, of {at_least}", self.cases);
        assert!(self.failed.is_empty(), "\n{}", self.failed.join("\n"));
    }
}

/// These parameters, changed.
pub fn with(mut params: CertificateParams, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    change(&mut params);
    params
}
