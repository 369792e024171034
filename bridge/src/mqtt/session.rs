//! One MQTT session as a task: the [`Machine`] that decides, and the channels that connect it with lanes and operators.
//! Decides nothing itself.

mod ages;
mod event;
mod filters;
mod log;
mod machine;
mod settings;
mod shown;

use std::time::{Instant as StdInstant, SystemTime};

use bytes::BytesMut;
use tokio::sync::{mpsc, watch};

use self::event::Event;
use self::machine::Machine;
use self::shown::Shown;
use super::connector::Connector;
use super::driver::{self, Client};
use super::end::End;
use super::failing::Failing;
use super::packet::{ConnAck, Hello};
use super::reconnect::Failure;
use super::transport::Agreed;
use crate::clock;
use crate::delivery::{Delivery, Settlement, Settler};
use crate::latest::Heard;
use crate::metrics::MappingMetrics;
use crate::otlp::Tracer;
use crate::shutdown::{Listener, Phase};

pub use settings::{Identifies, Settings, Status};

/// One MQTT session. [`Session::run`] is its whole life.
pub struct Session {
    machine: Machine,
    connector: Connector,
    settler: Settler,
    settlements: mpsc::Receiver<Settlement>,
    /// The sender of deliveries to the lanes; dropped while draining, which tells the lanes that no more deliveries
    /// will come.
    deliveries: Option<mpsc::Sender<Delivery>>,
    status: watch::Sender<Status>,
    paused: Heard<bool>,
    metrics: MappingMetrics,
    tracer: Tracer,
    shutdown: Listener,
    shown: Shown,
    failing: Failing,
    /// Notes for operators about this connection, although the session is ready.
    note: Option<String>,
}

/// How a session has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The filters that the broker's session holds, as far as is known.
    pub subscribed: Vec<String>,
    /// Whether it unsubscribed although the broker may have had messages queued.
    pub unproven: bool,
}

impl Session {
    /// A session that sends its deliveries there; the queue must have room for the [`Settings::max_running`] of all
    /// sessions that share it.
    #[must_use]
    pub fn new(
        settings: Settings,
        connector: Connector,
        deliveries: mpsc::Sender<Delivery>,
        paused: Heard<bool>,
        (metrics, tracer): (MappingMetrics, Tracer),
        shutdown: Listener,
    ) -> (Self, watch::Receiver<Status>) {
        let (settler, settlements) = mpsc::channel(settings.max_running());
        let (status, heard) = watch::channel(Status::Connecting);
        let shown = Shown::new(metrics.clone(), &settings.link.client_id);
        let last = connector.choice(&settings.link.client_id).at();
        let machine = Machine::new(settings, metrics.clone(), fastrand::u64(..)).resuming_at(last);
        let (deliveries, note) = (Some(deliveries), None);
        let session = Self {
            machine,
            connector,
            settler,
            settlements,
            deliveries,
            status,
            paused,
            metrics,
            tracer,
            shutdown,
            shown,
            failing: Failing::default(),
            note,
        };
        (session, heard)
    }

    /// Connects, serves and connects again until it drains, stops, or has left for good.
    pub async fn run(mut self) -> Ended {
        self.hold();
        self.shown.capacity(usize::from(self.machine.settings.receive_maximum));
        self.enter_phase();
        let (connector, link) = (self.connector.clone(), self.machine.settings.link.clone());
        driver::run(&mut self, &connector, &link).await;
        self.withdraw();
        Ended { subscribed: self.machine.subscribed(), unproven: self.machine.is_unproven() }
    }

    /// Takes its part out of what the mapping shows, and says how it has ended.
    fn withdraw(&mut self) {
        let (unacknowledged, _) = self.machine.outstanding();
        self.shown.withdraw();
        let (retired, left_behind) = (self.machine.leaves(), self.machine.is_left_behind());
        log::log_ended(&self.machine.settings, unacknowledged, retired, left_behind);
    }

    /// Takes in whether an operator holds the mapping.
    fn hold(&mut self) {
        let paused = self.paused.get();
        self.machine.pause(paused);
        self.shown.paused(paused);
    }

    fn enter_phase(&mut self) {
        let phase = self.shutdown.phase();
        self.machine.enter(phase);
        if phase >= Phase::Draining {
            self.deliveries = None;
        }
    }

    /// There is room for all that is admitted. Should there not be, the delivery is dropped here, which abandons it,
    /// and the broker sends it again.
    fn hand_over(&mut self, now: StdInstant) {
        let received_at = SystemTime::now();
        for admitted in self.machine.take_admitted() {
            self.shown.received(admitted.ticket, (received_at, now));
            let mut delivery = Delivery::received(
                admitted.message,
                admitted.id,
                admitted.ticket,
                self.settler.clone(),
                (received_at, now),
            );
            delivery.subscription = admitted.subscription;
            delivery.trace = self.tracer.begin(delivery.message.properties.as_deref());
            if let Some(deliveries) = &self.deliveries {
                let _ = deliveries.try_send(delivery);
            }
        }
    }

    fn tell(&mut self) {
        for event in self.machine.take_events() {
            log::log_event(&self.machine.settings, &event);
            match event {
                Event::SessionExpiryRefused { .. } => self.note = Some("the broker keeps no session".to_owned()),
                Event::SessionExpiryShortened { asked, granted } => {
                    self.note = Some(format!("the broker keeps the session for {granted:?}, not for {asked:?}"));
                }
                Event::Subscribed => {
                    self.shown.ready(true);
                    self.status.send_replace(Status::Ready(self.note.clone()));
                }
                Event::SubscribedBehind { .. } => {
                    let note = "the broker's answer to SUBSCRIBE stands behind messages that wait for their turn";
                    let note = [self.note.as_deref(), Some(note)].into_iter().flatten().collect::<Vec<_>>().join("; ");
                    self.shown.ready(true);
                    self.status.send_replace(Status::Ready(Some(note)));
                }
                _ => {}
            }
        }
    }

    fn settle(&mut self, first: Settlement) {
        let (mut next, now) = (Some(first), clock::now());
        while let Some(settlement) = next {
            self.machine.settled(settlement);
            self.shown.settled(settlement, now);
            next = self.settlements.try_recv().ok();
        }
        // Outcomes come without a connection, too, which has no turns then.
        self.shown.outstanding(self.machine.outstanding());
    }
}

impl Client for Session {
    fn hello(&self, broker: usize) -> Hello {
        self.machine.hello_to(broker)
    }

    fn at_broker(&mut self, broker: usize) {
        self.metrics.connects_by_url.connected(broker);
        self.machine.at_broker(broker);
        self.tell();
    }

    fn connected(&mut self, connack: &ConnAck, agreed: &Agreed, now: StdInstant) {
        self.metrics.connects.inc();
        let (broker, url) = (self.machine.broker(), self.connector.url(self.machine.broker()));
        self.note =
            url.as_ref().filter(|_| broker > 0).map(|url| format!("connected to {url}, not to the first broker"));
        log::log_connected(&self.machine.settings, connack.session_present, agreed, url);
        self.shown.connected(&self.machine.settings, connack, agreed);
        self.failing.connected(now);
        self.machine.connected(connack, now);
    }

    fn unanswered(&mut self, broker: usize) {
        self.machine.unanswered_by(broker);
    }

    fn received(&mut self, bytes: usize, now: StdInstant) {
        self.machine.received(bytes, now);
    }

    fn turn(&mut self, input: &mut BytesMut, output: &mut BytesMut, now: StdInstant) -> Result<(), End> {
        if let Ok(settlement) = self.settlements.try_recv() {
            self.settle(settlement);
        }
        let result = self.machine.turn(input, output, now);
        self.hand_over(now);
        self.shown.outstanding(self.machine.outstanding());
        self.tell();
        result
    }

    fn written(&mut self, now: StdInstant) -> bool {
        self.machine.written(now);
        false
    }

    fn reads(&self) -> bool {
        self.machine.reads()
    }

    fn wakes(&self, now: StdInstant) -> StdInstant {
        self.machine.wakes(now)
    }

    fn give_way(&mut self, _: StdInstant) -> bool {
        true
    }

    fn go_back(&mut self, _: StdInstant) -> bool {
        self.machine.go_back();
        false
    }

    fn has_left(&mut self, _: bool) -> bool {
        self.machine.has_left()
    }

    fn keeps_broker(&self) -> bool {
        self.machine.keeps_broker()
    }

    fn disconnected(&mut self, end: End) -> End {
        let end = self.machine.disconnected(end);
        self.tell();
        self.shown.ready(false);
        self.shown.disconnected();
        end
    }

    fn failed(&mut self, failure: Failure) {
        if self.shutdown.phase() >= Phase::Draining {
            return;
        }
        self.metrics.connection_failures.inc();
        if failure.taken_over {
            self.metrics.taken_over.inc();
        }
        let Settings { mapping, link, .. } = &self.machine.settings;
        self.failing.failed(Some(mapping), &link.client_id, &failure, clock::now());
        self.shown.failed(&failure.why);
        self.status.send_replace(Status::Failing(failure.why));
    }

    fn is_done(&self) -> bool {
        self.machine.is_done()
    }

    async fn hear(&mut self) {
        tokio::select! {
            biased;
            () = self.shutdown.changed() => self.enter_phase(),
            () = self.paused.changed() => self.hold(),
            Some(settlement) = self.settlements.recv() => self.settle(settlement),
        }
    }
}
