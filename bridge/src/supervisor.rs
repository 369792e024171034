//! The bridge as a whole: puts mappings, the publisher and the admin endpoint together, starts them, applies changes,
//! and drains them in order.

mod asked;
mod cloudwatch;
mod error;
mod notes;
mod prepare;
mod publishing;
mod readiness;
mod reload;
mod running;
mod serve;
mod settings;
mod status;

pub use error::{ServeError, StartError};
pub use serve::serve;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::error;

use crate::admin::{Admin, Limits, State, Watched};
use crate::aws::Aws;
use crate::config::Config;
use crate::dead_letter::Destinations;
use crate::metrics::Metrics;
use crate::mqtt::{BrokerStats, Connector, InMemory, LiveTls};
use crate::otlp::Traces;
use crate::shutdown::{self, Announcer, Listener, Phase};
use prepare::{bind_admin, broker, gate, prepare, warn_about, warn_of_circles};
use publishing::Publishing;
use readiness::Told;
use reload::Wanted;
use running::{Happening, Running};
use settings::broker_stats_link;

/// How long sessions may take to send DISCONNECT once the drain is over.
const GOODBYE: Duration = Duration::from_secs(3);

/// A running bridge.
pub struct Bridge {
    /// The active configuration.
    config: Config,
    aws: Aws,
    connector: Connector,
    destinations: Destinations,
    /// Announces the phase of the bridge as a whole; each mapping has its own.
    announcer: Announcer,
    mappings: Vec<Running>,
    /// Whether a session has unsubscribed for good with its queue unproven.
    unproven: bool,
    /// Mappings that wait for others to end.
    wanted: Vec<Wanted>,
    /// Outlives the lanes.
    publishing: Publishing,
    /// The admin endpoint, and who watches readiness; held so that they end with the bridge.
    admin: JoinSet<()>,
    admin_address: Option<SocketAddr>,
    /// The data that the endpoint shows.
    watched: watch::Sender<Vec<Watched>>,
    /// Whether an operator has asked for a retirement.
    retirement: watch::Receiver<bool>,
    retire: watch::Sender<bool>,
    /// Whether it was ready once, as `/readyz` judges.
    started: watch::Sender<bool>,
    /// Its state, in a few words.
    headline: watch::Sender<String>,
    metrics: Metrics,
    /// Outlives the lanes.
    traces: Traces,
    /// None with a broker in this process.
    tls: Option<LiveTls>,
    /// Looks at the TLS files; held so that it ends with the bridge.
    tls_watch: JoinSet<()>,
    /// Reads what the broker counts, and tells the status, where that is configured.
    aside: JoinSet<()>,
}

/// How a bridge ends without a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It has retired, as an operator asked.
    Retired {
        /// A session unsubscribed although the broker may have had messages queued, and may have dropped them.
        unproven: bool,
    },
    /// A part of it has ended, which is a fault of the bridge.
    Broken,
}

impl Bridge {
    /// Opens what can be opened without the broker, then starts every mapping. Returns before anything is connected.
    ///
    /// # Errors
    /// When something of the configuration cannot be used.
    pub async fn start(config: Config, aws: &Aws) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let tls = LiveTls::load(config.mqtt.tls.clone(), metrics.tls())?;
        let connector = Connector::of(&config.mqtt, tls.clone()).map_err(StartError::Broker)?;
        Self::start_with(config, aws, metrics, connector, Some(tls)).await
    }

    /// The same with brokers in this process, one for each URL of the configuration, whose TLS files are not used.
    ///
    /// # Errors
    /// When something of the configuration cannot be used.
    pub async fn start_in_memory(config: Config, aws: &Aws, broker: InMemory) -> Result<Self, StartError> {
        let connector = Connector::in_memory_of(&config.mqtt, broker);
        Self::start_with(config, aws, Metrics::new(), connector, None).await
    }

    async fn start_with(
        config: Config,
        aws: &Aws,
        metrics: Metrics,
        connector: Connector,
        tls: Option<LiveTls>,
    ) -> Result<Self, StartError> {
        let aws = &aws.invoking(config.lambda.client).with_dry_runs(config.lambda.dry_run);
        let publishing = Publishing::new(&config.mqtt, &connector);
        let by = (publishing.handle().clone(), config.mqtt.protocol);
        let mut destinations = Destinations::new(aws, Some(by));
        let traces = Traces::start(&config.trace, &config.mqtt.client_id, aws.http(), &metrics.traces());
        let mut wanted = Vec::new();
        for mapping in &config.mappings {
            let given = prepare(mapping, aws, &mut destinations, publishing.handle(), (&metrics, &traces))?;
            wanted.push(Wanted::new(mapping, given));
        }
        let admin = bind_admin(config.admin.listen).await?;
        let protocol = config.mqtt.protocol;
        config.mappings.iter().for_each(|mapping| warn_about(mapping, protocol));
        warn_of_circles(&config.mappings);
        let ((announcer, listener), retire) = (shutdown::channel(), watch::Sender::new(false));
        let mut bridge = Self {
            config,
            aws: aws.clone(),
            connector,
            destinations,
            announcer,
            mappings: Vec::new(),
            unproven: false,
            wanted,
            publishing,
            admin: JoinSet::new(),
            admin_address: admin.as_ref().map(Admin::address),
            watched: watch::Sender::default(),
            retirement: retire.subscribe(),
            retire: retire.clone(),
            started: watch::Sender::default(),
            headline: watch::Sender::default(),
            metrics,
            traces,
            tls: tls.clone(),
            tls_watch: JoinSet::new(),
            aside: JoinSet::new(),
        };
        if let Some(tls) = tls {
            bridge.tls_watch.spawn(tls.watch());
        }
        bridge.reconcile();
        if let Some(stats) = broker_stats(&bridge, &listener) {
            bridge.aside.spawn(stats.run());
        }
        status::start(&bridge.config.mqtt, &bridge.connector, bridge.watched.subscribe(), &listener, &mut bridge.aside);
        let lines = cloudwatch::Lines::of(&bridge.config, bridge.watched.subscribe(), &bridge.metrics);
        if let Some(lines) = lines {
            bridge.aside.spawn(lines.write(listener.clone()));
        }
        // A bridge that only retires counts as started, so that a health check does not restart it for never being
        // ready.
        let started = bridge.started.clone();
        started.send_replace(bridge.config.mqtt.is_retiring());
        bridge.retire_if_configured();
        let (mappings, metrics) = (bridge.watched.subscribe(), bridge.metrics.clone());
        let limits = Limits::from(&bridge.config.admin);
        if let Some(admin) = admin {
            let (mappings, shutdown, started) = (mappings.clone(), listener.clone(), started.subscribe());
            let metrics = metrics.clone();
            let (gate, (broker, protocol)) = (gate(&bridge.config), broker(&bridge.config));
            let state = State { mappings, metrics, shutdown, retire, started, gate, limits, broker, protocol };
            bridge.admin.spawn(admin.serve(state));
        }
        let told = Told { started, headline: bridge.headline.clone(), metrics };
        bridge.admin.spawn(readiness::watch(mappings, limits, listener, told));
        Ok(bridge)
    }

    /// Handles internal events, such as a mapping that has drained and is replaced by its successor. Returns when the
    /// bridge is to end. Cancel safe.
    pub async fn tend(&mut self) -> Exit {
        loop {
            let deadline = self.mappings.iter().filter_map(Running::deadline).min();
            let cut = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let mappings = &mut self.mappings;
            let retirement = &mut self.retirement;
            tokio::select! {
                biased;
                Ok(()) = retirement.changed() => self.retire(),
                () = cut => self.cut(Instant::now()),
                happening = poll_fn(|context| poll_any(mappings, context)) => match happening {
                    Happening::Left => self.reconcile(),
                    Happening::Broken { panicked } => {
                        error!(event = "bridge.broken", panicked, "a task ended unexpectedly");
                        return Exit::Broken;
                    }
                },
            }
            if self.phase() == Phase::Retiring && self.mappings.is_empty() {
                return Exit::Retired { unproven: self.unproven };
            }
        }
    }

    /// Admits nothing more, finishes what was admitted, acknowledges it and disconnects. At the end of `patience` the
    /// rest stays unacknowledged. Returns true if nothing was left.
    pub async fn drain(mut self, patience: Duration) -> bool {
        self.announcer.announce(Phase::Draining);
        self.mappings.iter().for_each(Running::drain);
        let deadline = Instant::now() + patience;
        let drained = timeout_at(deadline, self.ended()).await.is_ok();
        self.announcer.announce(Phase::Stopping);
        self.mappings.iter_mut().for_each(Running::stop);
        self.publishing.stop();
        let goodbye = async {
            self.ended().await;
            self.publishing.ended().await;
            while self.aside.join_next().await.is_some() {}
        };
        // A connection that cannot send DISCONNECT now is closed anyway.
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        self.traces.flush().await;
        drained
    }

    async fn ended(&mut self) {
        for mapping in &mut self.mappings {
            mapping.ended().await;
        }
    }

    fn phase(&self) -> Phase {
        self.announcer.phase()
    }

    /// Updates the state that the endpoint shows.
    fn show(&self) {
        let mappings = self.mappings.iter().flat_map(Running::watched);
        self.watched.send_replace(mappings.chain(self.publishing.watched()).collect());
    }
}

fn broker_stats(bridge: &Bridge, listener: &Listener) -> Option<BrokerStats> {
    let topic = bridge.config.mqtt.dropped_topic.clone()?;
    let (link, metrics) = (broker_stats_link(&bridge.config.mqtt), bridge.metrics.broker());
    Some(BrokerStats::new(link, topic, bridge.connector.clone(), metrics, listener.clone()))
}

fn poll_any(mappings: &mut [Running], context: &mut Context<'_>) -> Poll<Happening> {
    let polls = mappings.iter_mut().map(|mapping| mapping.poll(context));
    polls.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
}
