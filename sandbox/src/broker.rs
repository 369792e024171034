//! A real MQTT broker on this machine, for the time of one world: in this process, or Mosquitto beside it.
//!
//! Both speak MQTT 5 and 3.1.1 over TLS to clients that show a certificate, and to nobody else. The one plain listener,
//! on 127.0.0.1, is for a front that ends TLS, and there only where a test asks for it.

mod embedded;
mod mosquitto;
mod port;

pub use embedded::Embedded;
pub use mosquitto::Mosquitto;
pub(crate) use port::ReservedPort;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bridge::config::BrokerUrl;

use crate::certs::PkiFiles;
use crate::tools;

/// How long a broker may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a broker allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerOptions {
    /// Whether sessions and their messages outlive [`Broker::restart`].
    pub persistence: bool,
    /// Messages kept for one client that is away or slow; the broker drops what is above, after its PUBACK.
    pub max_queued_messages: usize,
    /// Messages on their way to one client at a time, whatever larger Receive Maximum it asks for.
    pub max_inflight: u16,
    /// When Mosquitto writes sessions to disk, beside at its end.
    pub autosave: Autosave,
    /// Whether client certificates are checked against the revocation list. Mosquitto only.
    pub check_revocation: bool,
    /// A file of `mosquitto_passwd`: then there is a second listener, which wants user name and password beside the
    /// certificate. Mosquitto only.
    pub passwords: Option<PathBuf>,
    /// The patterns of topics that clients may read and write; all when empty. Mosquitto only.
    pub allowed: Vec<&'static str>,
    /// The largest packet that it takes, in bytes. Mosquitto only.
    pub max_packet_size: Option<u32>,
    /// Whether it speaks WebSocket too: over TLS to clients with a certificate, and in the clear to whatever ends TLS
    /// before it. Mosquitto only.
    pub websockets: bool,
    /// Mosquitto's executable; the one in `PATH` unless given. Mosquitto only.
    pub program: Option<PathBuf>,
}

/// When Mosquitto writes to disk what [`BrokerOptions::persistence`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autosave {
    /// After each change: `autosave_on_changes true`, `autosave_interval 1`.
    OnChange,
    /// Each second: `autosave_interval 1`.
    EachSecond,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            persistence: false,
            max_queued_messages: 100_000,
            max_inflight: 1000,
            autosave: Autosave::OnChange,
            check_revocation: false,
            passwords: None,
            allowed: Vec::new(),
            max_packet_size: None,
            websockets: false,
            program: None,
        }
    }
}

/// A broker did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No port could be reserved on 127.0.0.1.
    #[error("broker: no free port on 127.0.0.1: {0}")]
    Port(#[source] io::Error),
    /// Its directory could not be written.
    #[error("broker: cannot write its directory: {0}")]
    Directory(#[source] io::Error),
    /// The program is not on this machine.
    #[error(transparent)]
    Missing(#[from] tools::Missing),
    /// It does not run.
    #[error("broker `{broker}`: did not start: {reason}")]
    Start {
        /// Which broker.
        broker: &'static str,
        /// Its own words.
        reason: String,
    },
    /// A signal did not reach it.
    #[error("broker `{broker}`: cannot be signalled: {source}")]
    Signal {
        /// Which broker.
        broker: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// A broker that runs until it is stopped or dropped.
#[derive(Debug)]
pub enum Broker {
    /// In this process.
    Embedded(Embedded),
    /// Mosquitto in a process of its own.
    Mosquitto(Box<Mosquitto>),
}

impl Broker {
    /// Starts a broker inside this process, on the current Tokio runtime.
    ///
    /// # Errors
    /// When no port is free or the certificates are unusable.
    pub async fn embedded(files: &PkiFiles, options: BrokerOptions) -> Result<Self, BrokerError> {
        Ok(Self::Embedded(Embedded::start(files, options).await?))
    }

    /// Starts Mosquitto as a process of its own.
    ///
    /// # Errors
    /// When Mosquitto is not installed, refuses its configuration, or accepts no connection in time.
    pub async fn mosquitto(files: &PkiFiles, options: BrokerOptions) -> Result<Self, BrokerError> {
        Ok(Self::Mosquitto(Box::new(Mosquitto::start(files, options).await?)))
    }

    /// What to call it in a report.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Embedded(_) => embedded::NAME,
            Self::Mosquitto(broker) => broker.version(),
        }
    }

    /// Where it listens on 127.0.0.1; the same over every restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Embedded(broker) => broker.port(),
            Self::Mosquitto(broker) => broker.port(),
        }
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> BrokerUrl {
        BrokerUrl::mqtts("localhost", self.port())
    }

    /// Stops it in good order: what it shall keep is on disk when this returns. Stopping twice is no error.
    ///
    /// # Errors
    /// When it cannot be told to stop.
    pub async fn stop(&mut self) -> Result<(), BrokerError> {
        match self {
            Self::Embedded(broker) => broker.stop().await,
            Self::Mosquitto(broker) => broker.stop().await?,
        }
        Ok(())
    }

    /// Ends it as a crash would (SIGKILL). The embedded one shares our process and can only be stopped.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub async fn kill(&mut self) -> Result<(), BrokerError> {
        match self {
            Self::Embedded(broker) => broker.stop().await,
            Self::Mosquitto(broker) => broker.kill().await?,
        }
        Ok(())
    }

    /// Starts it again on the same port, after stopping it if it still runs. Sessions are there again with
    /// [`BrokerOptions::persistence`], and gone without.
    ///
    /// # Errors
    /// As for a first start.
    pub async fn restart(&mut self) -> Result<(), BrokerError> {
        self.stop().await?;
        match self {
            Self::Embedded(broker) => broker.run().await,
            Self::Mosquitto(broker) => broker.run().await,
        }
    }
}
