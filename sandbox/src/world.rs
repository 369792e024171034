//! A whole local world: broker, local Lambda and bridge, wired up with fresh certificates in a directory that goes
//! with it. What the demo shows and what the tests stand on.

mod builder;
mod process;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bridge::Bridge;
use bridge::aws::{Aws, LocalEndpoint};
use bridge::config::{BrokerUrl, Config, ConfigError, Overrides};
use bridge::dead_letter::DeadLetter;
use bridge::metrics::MappingMetrics;
use tempfile::TempDir;
use tokio::process::Command;

use crate::broker::{Broker, BrokerError};
use crate::certs::{CertError, Pki, PkiFiles};
use crate::lambda::{Lambda, StartError};
use crate::oracle;
use crate::sensors::{SensorError, SensorOptions, Sensors};

pub use builder::{BrokerKind, WorldBuilder, lambda_client};
pub use process::{BridgeProcess, Usage};

/// The name of the world's mapping.
pub const MAPPING: &str = "sensor-data";
/// The name of the world's function.
pub const FUNCTION: &str = "sensor-handler";

/// A world that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// Its certificates.
    #[error(transparent)]
    Certificates(#[from] CertError),
    /// Its directory.
    #[error("directory of the world: {0}")]
    Directory(#[from] io::Error),
    /// A program that is to be the bridge, or to become it.
    #[error("`{0}`: cannot be started: {1}")]
    Program(PathBuf, #[source] io::Error),
    /// Its broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Its Lambda.
    #[error(transparent)]
    Lambda(#[from] StartError),
    /// Its bridge's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its bridge.
    #[error(transparent)]
    Bridge(#[from] bridge::StartError),
    /// Its binaries.
    #[error(transparent)]
    Binaries(#[from] crate::binaries::BinariesError),
    /// Its bridge started, and was not subscribed in time.
    #[error("bridge: not subscribed within {0:?}: {1}")]
    NotReady(Duration, String),
}

/// A running world. Dropping it ends everything in it.
#[derive(Debug)]
pub struct World {
    /// The broker; none when it is somebody else's.
    pub broker: Option<Broker>,
    /// The local Lambda.
    pub lambda: Lambda,
    /// Certificates and keys.
    pub files: PkiFiles,
    /// The authority behind them, for more of them.
    pub pki: Pki,
    bridge: Option<BridgeHandle>,
    settings: BTreeMap<String, String>,
    url: BrokerUrl,
    dir: TempDir,
}

struct BridgeHandle(Bridge);

impl std::fmt::Debug for BridgeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bridge")
    }
}

impl World {
    /// How long a bridge may take to be subscribed.
    const READY_WITHIN: Duration = Duration::from_secs(20);

    /// A world to be made to measure.
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// Where the bridge keeps its dead letters.
    #[must_use]
    pub fn dead_letter_file(&self) -> PathBuf {
        self.dir.path().join("dead-letters.jsonl")
    }

    /// A directory for whatever else a test needs; gone with the world.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// Where the broker is.
    #[must_use]
    pub fn url(&self) -> &BrokerUrl {
        &self.url
    }

    /// Changes a key of the bridge's configuration from its next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.insert(key.to_owned(), value.to_owned());
    }

    /// Leaves a key of the bridge's configuration to its default from its next start on.
    pub fn unset(&mut self, key: &str) {
        self.settings.remove(key);
    }

    /// The keys of the bridge's configuration, with their values.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Starts a bridge inside this process and returns once it is subscribed.
    ///
    /// # Errors
    /// When it cannot start, or is not subscribed in time.
    pub async fn start_bridge(&mut self) -> Result<(), WorldError> {
        self.launch_bridge().await?;
        let Some(BridgeHandle(bridge)) = &self.bridge else { return Ok(()) };
        match tokio::time::timeout(Self::READY_WITHIN, bridge.ready()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(WorldError::NotReady(Self::READY_WITHIN, bridge.troubles().join("; "))),
        }
    }

    /// Starts a bridge inside this process and does not wait for it.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn launch_bridge(&mut self) -> Result<(), WorldError> {
        self.crash_bridge();
        let settings = self.settings.iter().fold(Overrides::default(), |all, (key, value)| all.set(key, value));
        let config = Config::load(None, std::iter::empty(), settings)?;
        let aws = Aws::local(LocalEndpoint { url: self.lambda.endpoint() });
        self.bridge = Some(BridgeHandle(Bridge::start(config, &aws).await?));
        Ok(())
    }

    /// The bridge in this process.
    #[must_use]
    pub fn bridge(&self) -> Option<&Bridge> {
        self.bridge.as_ref().map(|BridgeHandle(bridge)| bridge)
    }

    /// Drains the bridge; true when nothing was left un-acknowledged.
    pub async fn drain_bridge(&mut self, patience: Duration) -> bool {
        match self.bridge.take() {
            Some(BridgeHandle(bridge)) => bridge.drain(patience).await,
            None => true,
        }
    }

    /// Ends the bridge between two instructions, as far as one can within a process: nothing is flushed, nobody is
    /// told.
    pub fn crash_bridge(&mut self) {
        self.bridge = None;
    }

    /// Starts the real binary as a process of its own; it is not subscribed yet when this returns.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub fn spawn_bridge(&self) -> Result<BridgeProcess, WorldError> {
        let mut command = self.command()?;
        started(command.arg("run"))
    }

    /// Starts the real binary with this file, and nothing else, for its configuration.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub fn spawn_bridge_from(&self, config: &Path) -> Result<BridgeProcess, WorldError> {
        let mut command = self.bare_command()?;
        started(command.arg("run").arg("--config").arg(config))
    }

    /// The real binary with the world's configuration in its environment, and no arguments yet.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn command(&self) -> Result<Command, WorldError> {
        let mut command = self.bare_command()?;
        command.envs(self.variables());
        Ok(command)
    }

    /// The world's configuration, as variables.
    fn variables(&self) -> impl Iterator<Item = (String, &String)> {
        self.settings.iter().map(|(key, value)| (builder::variable(key), value))
    }

    /// The real binary with nothing of the world's configuration, and no arguments yet.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn bare_command(&self) -> Result<Command, WorldError> {
        let mut command = Command::new(crate::binaries::build()?.bridge);
        self.prepare(&mut command);
        Ok(command)
    }

    /// Starts the real binary under another program, which must in the end become it (`exec`), as `prlimit` does. The
    /// path of the binary and `run` are its last arguments. Not subscribed yet when this returns.
    ///
    /// # Errors
    /// When the bridge cannot be built, or the program not be started.
    pub fn spawn_bridge_under(&self, wrapper: &[&str]) -> Result<BridgeProcess, WorldError> {
        let bridge = crate::binaries::build()?.bridge;
        let Some((program, arguments)) = wrapper.split_first() else { return self.spawn_bridge() };
        let mut command = Command::new(program);
        self.prepare(&mut command);
        command
            .envs(self.variables())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(arguments)
            .arg(bridge)
            .arg("run");
        started(&mut command)
    }

    /// Starts this binary with the world's configuration and these variables, which win. Not subscribed yet when this
    /// returns.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_binary(
        &self,
        bridge: &Path,
        variables: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<BridgeProcess, WorldError> {
        let mut command = Command::new(bridge);
        self.prepare(&mut command);
        command.envs(self.variables()).envs(variables).arg("run");
        started(&mut command)
    }

    fn prepare(&self, command: &mut Command) {
        command
            .env_clear()
            .envs([("AWS_ENDPOINT_URL", self.lambda.endpoint().as_str()), ("AWS_REGION", "us-east-1")])
            .envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local"), ("RUST_LOG", "info")])
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .kill_on_drop(true);
    }

    /// What the bridge counts for its mapping. Zero without a bridge.
    #[must_use]
    pub fn counters(&self) -> MappingMetrics {
        match &self.bridge {
            Some(BridgeHandle(bridge)) => bridge.metrics().mapping(MAPPING),
            None => bridge::metrics::Metrics::new().mapping(MAPPING),
        }
    }

    /// Starts sensors that publish to the world's broker.
    ///
    /// # Errors
    /// When their options make no sense.
    pub fn sensors(&self, adjust: impl FnOnce(&mut SensorOptions)) -> Result<Sensors, SensorError> {
        let mut options = SensorOptions::new(self.url.clone(), self.files.clone());
        adjust(&mut options);
        Sensors::start(&options)
    }

    /// What lies in the failure destination.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn dead_letters(&self) -> io::Result<Vec<DeadLetter>> {
        oracle::dead_letters(&self.dead_letter_file())
    }
}

fn started(command: &mut Command) -> Result<BridgeProcess, WorldError> {
    BridgeProcess::start(command).map_err(|cause| WorldError::Program(command.as_std().get_program().into(), cause))
}
