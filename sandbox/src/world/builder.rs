//! Builds a [`World`] with the settings of a test. Everything has a working default; a test sets only what it is about.

use std::collections::BTreeMap;
use std::time::Duration;

use bridge::config::{BrokerUrl, LambdaClient, Protocol};

use super::{FUNCTION, MAPPING, World, WorldError};
use crate::binaries;
use crate::broker::{Broker, BrokerOptions};
use crate::certs::{IdentityFiles, Pki, PkiFiles, PkiOptions};
use crate::lambda::{Body, Function, Lambda, Settings};

/// Which broker a world has.
#[derive(Debug, Clone, Default)]
pub enum BrokerKind {
    /// In this process.
    #[default]
    Embedded,
    /// Mosquitto, in a process of its own.
    Mosquitto,
    /// Somebody else's: its URL, whom to trust, and who bridge and sensors are there.
    External {
        /// Where it is.
        url: BrokerUrl,
        /// The authority that issued its certificate.
        ca: std::path::PathBuf,
        /// The bridge's certificate and key there.
        bridge: IdentityFiles,
        /// The sensors'.
        device: IdentityFiles,
    },
}

/// A world in the making.
#[derive(Debug, Clone, Default)]
pub struct WorldBuilder {
    broker: BrokerKind,
    /// In a box, as builders stand in the futures of tests.
    broker_options: Box<BrokerOptions>,
    pki: PkiOptions,
    function: Option<Function>,
    environment: BTreeMap<String, String>,
    lambda: Settings,
    settings: Vec<(String, String)>,
}

impl WorldBuilder {
    /// Which broker.
    #[must_use]
    pub fn broker(mut self, kind: BrokerKind) -> Self {
        self.broker = kind;
        self
    }

    /// What that broker allows.
    #[must_use]
    pub fn broker_options(mut self, options: BrokerOptions) -> Self {
        *self.broker_options = options;
        self
    }

    /// The certificates, with the flaws that a test wants.
    #[must_use]
    pub fn pki(mut self, options: PkiOptions) -> Self {
        self.pki = options;
        self
    }

    /// The function, in place of the real handler. It must be called [`FUNCTION`].
    #[must_use]
    pub fn function(mut self, function: Function) -> Self {
        self.function = Some(function);
        self
    }

    /// A variable of the real handler's environment. A function that [`WorldBuilder::function`] brings has its own.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// How the local Lambda listens and what it remembers.
    #[must_use]
    pub fn lambda(mut self, settings: Settings) -> Self {
        self.lambda = settings;
        self
    }

    /// The version of MQTT that the bridge speaks.
    #[must_use]
    pub fn protocol(self, protocol: Protocol) -> Self {
        self.set("mqtt.protocol", &protocol.to_string())
    }

    /// The version of MQTT that the bridge will speak.
    #[must_use]
    pub fn protocol_spoken(&self) -> Protocol {
        let said = self.settings.iter().rev().find(|(key, _)| key == "mqtt.protocol");
        said.and_then(|(_, value)| value.parse().ok()).unwrap_or(Protocol::V5)
    }

    /// A key of the bridge's configuration, as in its file: `mapping.concurrency`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Makes everything but the bridge, so that a test can prepare the scene.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn without_bridge(self) -> Result<World, WorldError> {
        let dir = tempfile::Builder::new().prefix("mqtt-sandbox-").tempdir()?;
        let pki = Pki::with(&self.pki)?;
        let mut files = pki.write_to(&dir.path().join("certs"))?;
        let (broker, url) = start_broker(self.broker, *self.broker_options, &mut files).await?;
        // Here Cargo keeps no thread of the runtime; what it fails at is told where a binary is wanted.
        let _ = tokio::task::spawn_blocking(binaries::build).await;
        let function = match self.function {
            Some(function) => function,
            None => real_handler(self.environment).await?,
        };
        let lambda = Lambda::start_with([function], self.lambda).await?;
        let mut world = World { broker, lambda, files, pki, bridge: None, settings: BTreeMap::new(), url, dir };
        for (key, value) in defaults(&world).into_iter().chain(self.settings) {
            world.set(&key, &value);
        }
        Ok(world)
    }

    /// Makes everything, and returns once the bridge is subscribed.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub async fn start(self) -> Result<World, WorldError> {
        let mut world = self.without_bridge().await?;
        world.start_bridge().await?;
        Ok(world)
    }
}

/// The client for Lambda that worlds have unless they say otherwise: that of the variable `SANDBOX_LAMBDA_CLIENT`,
/// `lean` or `sdk`, so that any test can run with either; without it the bridge's own default.
#[must_use]
pub fn lambda_client() -> LambdaClient {
    let said = std::env::var("SANDBOX_LAMBDA_CLIENT").ok();
    said.and_then(|name| name.parse().ok()).unwrap_or_default()
}

/// The environment variable that says the same as a key.
pub(super) fn variable(key: &str) -> String {
    format!("BRIDGE_{}", key.replace('.', "_").to_uppercase())
}

async fn start_broker(
    kind: BrokerKind,
    options: BrokerOptions,
    files: &mut PkiFiles,
) -> Result<(Option<Broker>, BrokerUrl), WorldError> {
    let broker = match kind {
        BrokerKind::Embedded => Broker::embedded(files, options).await?,
        BrokerKind::Mosquitto => Broker::mosquitto(files, options).await?,
        BrokerKind::External { url, ca, bridge, device } => {
            (files.ca, files.bridge, files.device) = (ca, bridge, device);
            return Ok((None, url));
        }
    };
    let url = broker.url();
    Ok((Some(broker), url))
}

/// The real function, as a real process behind the Runtime API.
async fn real_handler(environment: BTreeMap<String, String>) -> Result<Function, WorldError> {
    let found = tokio::task::spawn_blocking(binaries::build).await;
    let handler = found.map_err(std::io::Error::other)??.handler;
    let mut function = Function::process(FUNCTION, handler);
    function.timeout = Duration::from_secs(10);
    if let Body::Process { env, .. } = &mut function.body {
        *env = environment;
    }
    Ok(function)
}

/// What a world's bridge is told unless a test says otherwise: quick to try again, and no fixed port.
fn defaults(world: &World) -> Vec<(String, String)> {
    let path = |path: &std::path::Path| path.display().to_string();
    let files = &world.files;
    [
        ("admin.listen", "127.0.0.1:0".to_owned()),
        ("lambda.client", lambda_client().to_string()),
        // Otherwise the dry run would take a fault that the test means for its messages.
        ("lambda.dry_run", "false".to_owned()),
        ("mqtt.url", world.url().to_string()),
        ("mqtt.client_id", "sandbox".to_owned()),
        ("mqtt.backoff", "50ms..500ms".to_owned()),
        ("mqtt.tls.ca_file", path(&files.ca)),
        ("mqtt.tls.cert_file", path(&files.bridge.cert)),
        ("mqtt.tls.key_file", path(&files.bridge.key)),
        ("mapping.name", MAPPING.to_owned()),
        ("mapping.topic_filter", "sensor/data".to_owned()),
        ("mapping.function", FUNCTION.to_owned()),
        ("mapping.concurrency", "10".to_owned()),
        ("mapping.retry.backoff", "10ms..100ms".to_owned()),
        ("mapping.on_failure.file", path(&world.dead_letter_file())),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
