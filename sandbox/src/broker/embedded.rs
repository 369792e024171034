//! The broker inside this process: crate `mqtt5`. Needs nothing to be installed, and cannot crash on demand.

use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::config::{AuthConfig, BrokerConfig, RateLimitConfig, StorageBackend, StorageConfig, TlsConfig};
use mqtt5::broker::{BrokerShutdownHandle, DynamicStorage, MqttBroker};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::port::ReservedPort;
use super::{BrokerError, BrokerOptions, PATIENCE};
use crate::certs::PkiFiles;

pub(super) const NAME: &str = "embedded";

/// Bytes kept for one client: far above what the largest number of queued messages takes in any test.
const MAX_QUEUED_BYTES: usize = 1 << 30;

/// How long the crate waits for its files; a little less, to tell a wait that was cut short.
const CRATES_PATIENCE: Duration = Duration::from_millis(4_900);

/// Waits for files: 50 seconds in all, enough for 100,000 messages.
const FLUSHES: u32 = 10;

/// The broker inside this process.
#[derive(Debug)]
pub struct Embedded {
    config: Box<BrokerConfig>,
    port: ReservedPort,
    running: Option<Running>,
    _directory: TempDir,
}

struct Running {
    shutdown: BrokerShutdownHandle,
    task: JoinHandle<()>,
    storage: Option<Arc<DynamicStorage>>,
}

impl Embedded {
    pub(super) async fn start(files: &PkiFiles, options: BrokerOptions) -> Result<Self, BrokerError> {
        // The crate asks rustls for the process default, of which two compete in this build. Err: there is one already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().map_err(BrokerError::Directory)?;
        let port = ReservedPort::new().map_err(BrokerError::Port)?;
        let config = Box::new(config(files, &options, &port, &directory));
        let broker = MqttBroker::with_config(BrokerConfig::clone(&config)).await.map_err(failed)?;
        let running = Some(Running::start(broker).await?);
        Ok(Self { config, port, running, _directory: directory })
    }

    pub(super) fn port(&self) -> u16 {
        self.port.address().port()
    }

    /// Starts again, trying for a while: the storage is locked until the last connection of the run before is gone.
    pub(super) async fn run(&mut self) -> Result<(), BrokerError> {
        let deadline = Instant::now() + PATIENCE;
        let broker = loop {
            match MqttBroker::with_config(BrokerConfig::clone(&self.config)).await {
                Ok(broker) => break broker,
                Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
                Err(error) => return Err(failed(error)),
            }
        };
        self.running = Some(Running::start(broker).await?);
        Ok(())
    }

    pub(super) async fn stop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        running.shutdown.shutdown();
        if timeout(PATIENCE, &mut running.task).await.is_err() {
            tracing::warn!("embedded broker: did not stop in time, aborted");
        }
        if let Some(storage) = &running.storage {
            flush(storage).await;
        }
    }
}

impl Running {
    async fn start(mut broker: MqttBroker) -> Result<Self, BrokerError> {
        let (shutdown, storage) = (broker.shutdown_handle(), broker.storage());
        let mut ready = broker.ready_receiver();
        let task = tokio::spawn(async move {
            if let Err(error) = broker.run().await {
                tracing::error!(%error, "embedded broker: ended");
            }
        });
        let running = Self { shutdown, task, storage };
        match timeout(PATIENCE, ready.wait_for(|ready| *ready)).await {
            Ok(Ok(_)) => Ok(running),
            Ok(Err(_)) => Err(failed("it ended at once; its log says why")),
            Err(_) => Err(failed("it was not ready in time")),
        }
    }
}

/// Waits until every queued message is on disk. The crate itself waits for 5 seconds and gives up without a word, which
/// costs the rest of a long queue; a wait that was shorter has seen the end.
async fn flush(storage: &DynamicStorage) {
    for _ in 0..FLUSHES {
        let started = Instant::now();
        if storage.shutdown().await.is_ok() && started.elapsed() < CRATES_PATIENCE {
            return;
        }
    }
    tracing::warn!("embedded broker: queued messages were not all written");
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.shutdown();
        self.task.abort();
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

fn config(files: &PkiFiles, options: &BrokerOptions, port: &ReservedPort, directory: &TempDir) -> BrokerConfig {
    let tls = TlsConfig::new(files.broker.cert.clone(), files.broker.key.clone())
        .with_ca_file(files.ca.clone())
        .with_require_client_cert(true)
        .with_bind_address(port.address());
    // Without a storage the crate queues nothing for a client that is away, so memory takes its place.
    let backend = if options.persistence { StorageBackend::File } else { StorageBackend::Memory };
    let storage = StorageConfig::new()
        .with_backend(backend)
        .with_base_dir(directory.path().to_owned())
        .with_max_queued_messages_per_client(options.max_queued_messages)
        .with_max_queued_bytes_per_client(MAX_QUEUED_BYTES);
    // The certificate is the proof of identity; the limit on attempts would lock out all of 127.0.0.1.
    let rate_limit = RateLimitConfig { enabled: false, ..RateLimitConfig::default() };
    BrokerConfig::new()
        .with_bind_addresses(Vec::new())
        .with_tls(tls)
        .with_storage(storage)
        .with_auth(AuthConfig { rate_limit, ..AuthConfig::new() })
        .with_max_outbound_inflight(options.max_inflight)
        .with_sys_topics_enabled(false)
}

fn failed(reason: impl ToString) -> BrokerError {
    BrokerError::Start { broker: NAME, reason: reason.to_string() }
}
