//! One running mapping: its sessions, its lanes and its own shutdown, so that it can be started, drained, retired and
//! ended while the others continue. Does not decide when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::settings::session_settings;
use crate::admin::{About, Signs, Standing, Watched};
use crate::config::{self, Qos};
use crate::dead_letter::Destination;
use crate::delivery::Delivery;
use crate::lambda::Client;
use crate::latest::Latest;
use crate::mapping::filter::Filters;
use crate::mapping::{self, Parts};
use crate::metrics::MappingMetrics;
use crate::mqtt::{self, Connector, Session, Settings};
use crate::otlp::Tracer;
use crate::outgoing::PublishHandle;
use crate::shutdown::{self, Announcer, Listener, Phase};
use crate::topic::TopicFilter;

/// The parts that a mapping gets in addition to its settings.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) filters: Filters,
    pub(super) client: Client,
    pub(super) destination: Option<Destination>,
    pub(super) publisher: Option<PublishHandle>,
    pub(super) metrics: MappingMetrics,
    pub(super) tracer: Tracer,
}

/// The state that a mapping takes over from its predecessor of the same name.
#[derive(Debug, Default)]
pub(super) struct Heritage {
    /// The former subscriptions of the sessions at the broker.
    filters: Vec<String>,
    /// How many sessions there were.
    sessions: usize,
    /// Which filters each of them holds, by client id, and at which quality of service.
    subscribed: BTreeMap<String, Vec<String>>,
    qos: Option<Qos>,
    /// Whether an operator holds it.
    paused: bool,
}

impl Heritage {
    /// What the sessions of the next mapping need to know; those above its own number leave.
    fn settings_of_sessions(&self, next: &config::Mapping, mqtt: &config::Mqtt) -> Vec<Settings> {
        let configured = next.former_topic_filters.iter().map(ToString::to_string);
        let former = self
            .filters
            .iter()
            .cloned()
            .chain(configured)
            .filter(|filter| next.topic_filter.iter().all(|next| filter != next.as_str()));
        let mut former: Vec<_> = former.collect();
        former.sort();
        former.dedup();
        let settings = |index| {
            let mut settings = session_settings(mqtt, next, index);
            if let Some(held) = self.subscribed.get(&settings.link.client_id).filter(|_| self.qos == Some(next.qos)) {
                let is_held = |filter: &TopicFilter| held.iter().any(|held| held == filter.as_str());
                settings.subscribed = next.topic_filter.iter().map(is_held).collect();
            }
            settings.former_filters.clone_from(&former);
            settings
        };
        (0..next.sessions.max(self.sessions)).map(settings).collect()
    }
}

/// A mapping that runs. Dropping it ends it between two instructions.
pub(super) struct Running {
    settings: config::Mapping,
    given: Given,
    /// Further filters to which its sessions may be subscribed.
    former_filters: Vec<String>,
    /// With how many sessions it was started, those included that only leave.
    started: usize,
    announcer: Announcer,
    /// Each gives its client id back when it ends, and says how it has ended.
    sessions: JoinSet<(String, mqtt::Ended)>,
    /// The subscriptions of the ended sessions, by client id.
    subscribed: BTreeMap<String, Vec<String>>,
    lanes: JoinSet<()>,
    paused: Latest<bool>,
    about: Arc<About>,
    /// The sessions that have not ended, by client id.
    watched: BTreeMap<String, Watched>,
    standing: Standing,
    /// When a drain that makes way for new settings is over.
    deadline: Option<Instant>,
    /// Whether a session has unsubscribed although the broker may have had messages queued.
    unproven: bool,
}

/// How a mapping has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// A session that was to end has ended.
    Left,
    /// A session or a lane has ended that was not to.
    Broken {
        /// Whether by a panic.
        panicked: bool,
    },
}

impl Running {
    /// Starts sessions and lanes. Returns before anything is connected. Sessions that were there before and are not
    /// wanted any more are started too, to leave for good.
    pub(super) fn start(
        settings: &config::Mapping,
        given: Given,
        heritage: Heritage,
        mqtt: &config::Mqtt,
        connector: &Connector,
    ) -> Self {
        let (announcer, shutdown) = shutdown::channel();
        let (fault, holding) = (watch::Sender::new(None), watch::Sender::new(None));
        let silent = Signs::default();
        let letters = given.destination.as_ref().map_or(silent.letters, Destination::note);
        let chain = given.destination.clone();
        let signs = Signs { fault: fault.subscribe(), letters, holding: holding.subscribe(), chain };
        let sessions = heritage.settings_of_sessions(settings, mqtt);
        let about = Arc::new(About::of(settings, given.metrics.clone()));
        let mut running = Self {
            settings: settings.clone(),
            given,
            former_filters: heritage.filters,
            started: sessions.len(),
            announcer,
            sessions: JoinSet::new(),
            subscribed: BTreeMap::new(),
            lanes: JoinSet::new(),
            paused: Latest::new(heritage.paused),
            about,
            watched: BTreeMap::new(),
            standing: Standing::Stays,
            deadline: None,
            unproven: false,
        };
        // Room for all that all sessions may admit: none of them ever waits for a lane.
        let (deliveries, queue) = mpsc::channel(sessions.iter().map(Settings::max_running).sum());
        for session in sessions {
            running.start_session(session, connector, &deliveries, &signs, &shutdown);
        }
        let Given { filters, client, destination, publisher, metrics, .. } = running.given.clone();
        let settings = settings.clone();
        let parts = Parts { settings, filters, client, destination, publisher, metrics, fault, holding };
        mapping::start(parts, queue, &shutdown, &mut running.lanes);
        running
    }

    fn start_session(
        &mut self,
        settings: Settings,
        connector: &Connector,
        deliveries: &mpsc::Sender<Delivery>,
        signs: &Signs,
        shutdown: &Listener,
    ) {
        let (mapping, client_id) = (settings.mapping.clone(), settings.link.client_id.clone());
        let standing = if settings.leaves { Standing::Retires } else { Standing::Stays };
        let (paused, counted) = (self.paused.listen(), (self.given.metrics.clone(), self.given.tracer.clone()));
        let (session, status) =
            Session::new(settings, connector.clone(), deliveries.clone(), paused, counted, shutdown.clone());
        let (signs, paused, about) = (signs.clone(), Some(self.paused.clone()), Some(self.about.clone()));
        self.watched.insert(client_id.clone(), Watched { mapping, session: status, signs, paused, standing, about });
        self.sessions.spawn(async move { (client_id, Box::pin(session.run()).await) });
    }

    /// Its settings.
    pub(super) fn settings(&self) -> &config::Mapping {
        &self.settings
    }

    /// The parts that it got in addition to them.
    pub(super) fn given(&self) -> &Given {
        &self.given
    }

    /// Whether it stays, and if not, why.
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// How it stands, session by session.
    pub(super) fn watched(&self) -> impl Iterator<Item = Watched> {
        let standing = |own| if self.standing == Standing::Stays { own } else { self.standing };
        self.watched.values().map(move |watched| Watched { standing: standing(watched.standing), ..watched.clone() })
    }

    /// Whether one of its sessions has this client id.
    pub(super) fn holds(&self, client_id: &str) -> bool {
        self.watched.contains_key(client_id)
    }

    /// Whether a session has unsubscribed for good although the broker may have had messages queued for it, and may
    /// have dropped them.
    pub(super) fn is_unproven(&self) -> bool {
        self.unproven
    }

    /// Whether all its sessions have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.sessions.is_empty()
    }

    /// When its drain is to be cut, if it makes way.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Admits nothing more; finishes what was admitted.
    pub(super) fn drain(&self) {
        self.announcer.announce(Phase::Draining);
    }

    /// Drains it to make way for other settings; until then at the latest.
    pub(super) fn make_way(&mut self, deadline: Instant) {
        (self.standing, self.deadline) = (Standing::Changes, Some(deadline));
        self.drain();
    }

    /// Gives up its subscriptions, finishes what the broker still has for it, and has the broker forget its sessions.
    pub(super) fn retire(&mut self) {
        self.standing = Standing::Retires;
        self.announcer.announce(Phase::Retiring);
    }

    /// Leaves what is not finished un-acknowledged, and says goodbye.
    pub(super) fn stop(&mut self) {
        self.deadline = None;
        self.announcer.announce(Phase::Stopping);
        self.lanes.abort_all();
        // An invocation that is cancelled here does not decrement the count itself.
        self.given.metrics.in_flight.set(0);
    }

    /// The state that the next mapping of this name takes over.
    pub(super) fn into_heritage(mut self) -> Heritage {
        self.stop();
        let (sessions, paused) = (self.started, self.paused.get());
        let mut filters = std::mem::take(&mut self.former_filters);
        let own = self.settings.topic_filter.iter().map(ToString::to_string);
        filters.retain(|former| self.settings.topic_filter.iter().all(|own| former != own.as_str()));
        filters.extend(own);
        Heritage { filters, sessions, subscribed: self.subscribed, qos: Some(self.settings.qos), paused }
    }

    /// Returns once all sessions have ended.
    pub(super) async fn ended(&mut self) {
        while self.sessions.join_next().await.is_some() {}
    }

    /// Ready with what has become of it.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Happening> {
        if let Poll::Ready(Some(ended)) = self.sessions.poll_join_next(context) {
            return Poll::Ready(match ended {
                Ok((client_id, ended)) => self.session_ended(client_id, ended),
                Err(error) => Happening::Broken { panicked: error.is_panic() },
            });
        }
        while let Poll::Ready(Some(ended)) = self.lanes.poll_join_next(context) {
            let panicked = ended.is_err_and(|error| error.is_panic());
            // Lanes end when no session is left that could send them anything.
            if panicked || !self.has_ended() && self.standing == Standing::Stays {
                return Poll::Ready(Happening::Broken { panicked });
            }
        }
        Poll::Pending
    }

    fn session_ended(&mut self, client_id: String, ended: mqtt::Ended) -> Happening {
        let left = self.watched.remove(&client_id).is_some_and(|session| session.standing == Standing::Retires);
        self.unproven |= ended.unproven;
        self.subscribed.insert(client_id, ended.subscribed);
        if left || self.standing != Standing::Stays { Happening::Left } else { Happening::Broken { panicked: false } }
    }
}
