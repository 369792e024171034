//! A running broker of the lab: started once, then stopped, killed and restarted as often as a test needs.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bridge::config::{BrokerUrl, Protocol};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::daemon::{Daemon, tail};
use super::install::{self, Program};
use super::launch::{Launch, Site};
use super::{LabError, Product, activemq, aedes, ejabberd, mosquitto, nats, rabbitmq, rumqttd};
use crate::broker::ReservedPort;
use crate::certs::{Pki, PkiFiles};
use crate::world::BrokerKind;

/// How long a broker may take to listen, or to end. Those on a virtual machine of their own are slow when ours is busy.
const PATIENCE: Duration = Duration::from_mins(3);

/// A broker that somebody else has written. Killed when it is dropped.
#[derive(Debug)]
pub struct Foreign {
    product: Product,
    launch: Launch,
    daemon: Option<Daemon>,
    // A second process that the broker needs; ended after it.
    companion: Option<Daemon>,
    files: PkiFiles,
    port: ReservedPort,
    spare: ReservedPort,
    directory: TempDir,
}

impl Foreign {
    /// Starts it with certificates of its own, and returns when it listens.
    ///
    /// # Errors
    /// When it is not installed, or does not listen within a minute.
    pub async fn start(product: Product) -> Result<Self, LabError> {
        let io = |source| LabError::Io { broker: product.name(), source };
        let program = install::find(product)?;
        let directory = directory(&program).map_err(io)?;
        let (port, spare) = (ReservedPort::new().map_err(io)?, ReservedPort::new().map_err(io)?);
        let files = Pki::generate()?.write_to(&directory.path().join("tls")).map_err(io)?;
        let site = Site {
            port: port.address().port(),
            spare: spare.address().port(),
            directory: directory.path(),
            files: &files,
        };
        let launch = prepare(product, &program, &site).map_err(io)?;
        let mut broker = Self { product, launch, daemon: None, companion: None, files, port, spare, directory };
        if let Some(companion) = broker.launch.companion.take() {
            broker.companion = Some(Daemon::spawn(&companion, broker.directory.path(), &broker.log()).map_err(io)?);
        }
        broker.run().await?;
        Ok(broker)
    }

    /// Which one it is.
    #[must_use]
    pub fn product(&self) -> Product {
        self.product
    }

    /// For a world around it, whose clients speak this version of MQTT.
    #[must_use]
    pub fn kind(&self, protocol: Protocol) -> BrokerKind {
        let files = self.files.clone();
        BrokerKind::External { url: self.url(protocol), ca: files.ca, bridge: files.bridge, device: files.device }
    }

    /// Where clients find it that speak this version of MQTT.
    #[must_use]
    pub fn url(&self, protocol: Protocol) -> BrokerUrl {
        let port = match (self.product, protocol) {
            (Product::Rumqttd, Protocol::V311) => &self.spare,
            _ => &self.port,
        };
        BrokerUrl::mqtts("localhost", port.address().port())
    }

    /// Whom its clients trust, and who they are.
    #[must_use]
    pub fn files(&self) -> &PkiFiles {
        &self.files
    }

    /// SIGTERM, then another start on the same port with the same directory.
    ///
    /// # Errors
    /// When it does not end, or does not listen again.
    pub async fn restart(&mut self) -> Result<(), LabError> {
        self.end(Daemon::terminate).await?;
        self.run().await
    }

    /// SIGKILL to it and all its processes, once what it confirmed is saved, then another start on the same port with
    /// the same directory.
    ///
    /// # Errors
    /// When it does not listen again.
    pub async fn crash(&mut self) -> Result<(), LabError> {
        self.saved().await?;
        self.end(Daemon::kill).await?;
        self.run().await
    }

    /// Waits until what is confirmed is on disk, for the one broker that saves by the clock.
    async fn saved(&self) -> Result<(), LabError> {
        if self.product != Product::Mosquitto {
            return Ok(());
        }
        let (now, deadline) = (SystemTime::now(), Instant::now() + PATIENCE);
        let file = self.directory.path().join(mosquitto::DATABASE);
        while !file.metadata().and_then(|file| file.modified()).is_ok_and(|saved| saved > now) {
            if Instant::now() > deadline {
                return Err(self.failed("does not save"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn run(&mut self) -> Result<(), LabError> {
        let io = |source| LabError::Io { broker: self.product.name(), source };
        let mut daemon = Daemon::spawn(&self.launch, self.directory.path(), &self.log()).map_err(io)?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.port.address()).await.is_err() {
            if daemon.has_ended() {
                return Err(self.failed("ended before it listened"));
            }
            if Instant::now() > deadline {
                return Err(self.failed("does not listen"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        self.daemon = Some(daemon);
        Ok(())
    }

    async fn end(&mut self, how: impl Fn(&Daemon) -> io::Result<()>) -> Result<(), LabError> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        how(&daemon).map_err(|source| LabError::Io { broker: self.product.name(), source })?;
        if daemon.ended(PATIENCE).await { Ok(()) } else { Err(self.failed("does not end")) }
    }

    fn failed(&self, what: &'static str) -> LabError {
        LabError::Failed { broker: self.product.name(), what, log: tail(&self.log()) }
    }

    /// Where its output is, of every start.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("output.log")
    }
}

/// Gone with the broker. One with a root of its own must find its directory there.
fn directory(program: &Program) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("broker-lab-");
    match &program.root {
        Some(root) => builder.tempdir_in(root.join("tmp")),
        None => builder.tempdir(),
    }
}

fn prepare(product: Product, program: &Program, site: &Site<'_>) -> io::Result<Launch> {
    match product {
        Product::Mosquitto => mosquitto::prepare(program, site),
        Product::RabbitMq3 | Product::RabbitMq4 => rabbitmq::prepare(program, site),
        Product::Ejabberd => ejabberd::prepare(program, site),
        Product::Nats29 | Product::Nats215 => nats::prepare(program, site),
        Product::ActiveMq => activemq::prepare(program, site),
        Product::Aedes => aedes::prepare(program, site),
        Product::Rumqttd => rumqttd::prepare(program, site),
    }
}
