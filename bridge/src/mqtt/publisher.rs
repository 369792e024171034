//! The connection on which the bridge publishes, as a task: the [`Machine`] that decides, and the channels through
//! which other tasks send messages to publish. Subscribes to nothing and acknowledges nothing. It is a separate
//! connection, because on a session's connection acknowledgements would wait behind messages.
//!
//! It starts over at every connection (Clean Start): what the broker has not confirmed is sent again from here, for as
//! long as somebody waits for it. So a message may arrive twice, and none is lost.

mod machine;
mod window;

use std::collections::HashMap;
use std::time::Instant as StdInstant;

use bytes::BytesMut;
use tokio::sync::{mpsc, watch};
use tracing::info;

use self::machine::Machine;
use self::window::Number;
use super::connector::Connector;
use super::driver::{self, Client};
use super::end::End;
use super::failing::Failing;
use super::link::Link;
use super::packet::{ConnAck, Hello};
use super::reconnect::Failure;
use super::session::Status;
use super::transport::Agreed;
use crate::clock;
use crate::outgoing::{PublishHandle, Request, Waiting, channel};
use crate::shutdown::{Listener, Phase};

/// How many messages may wait for their PUBACK, if the broker takes as many; as many again may queue.
const WINDOW: usize = 256;

/// The publisher of a bridge. [`Publisher::run`] is its whole life.
pub struct Publisher {
    link: Link,
    connector: Connector,
    machine: Machine,
    requests: mpsc::Receiver<Request>,
    /// The senders that wait for the messages in the window.
    waiting: HashMap<Number, Waiting>,
    last_number: Number,
    /// All senders are gone, so nobody waits for the messages in the window either.
    deserted: bool,
    status: watch::Sender<Status>,
    shutdown: Listener,
    failing: Failing,
}

impl Publisher {
    /// A publisher for all who have a clone of the handle returned. No session may have its client id.
    #[must_use]
    pub fn new(link: Link, connector: Connector, shutdown: Listener) -> (Self, PublishHandle, watch::Receiver<Status>) {
        let (handle, requests) = channel(WINDOW);
        let (status, heard) = watch::channel(Status::Connecting);
        let machine = Machine::new(&link, WINDOW);
        let (waiting, last_number, deserted, failing) = (HashMap::new(), 0, false, Failing::default());
        let publisher =
            Self { link, connector, machine, requests, waiting, last_number, deserted, status, shutdown, failing };
        (publisher, handle, heard)
    }

    /// Connects, publishes and connects again until the last handle is dropped or the bridge stops. A drain alone does
    /// not end it: the lanes still have answers to publish.
    pub async fn run(mut self) {
        let (connector, link) = (self.connector.clone(), self.link.clone());
        driver::run(&mut self, &connector, &link).await;
    }

    /// Tells what has been decided.
    fn tell(&mut self) {
        for (number, verdict) in self.machine.window.take_verdicts() {
            if let Some(waiting) = self.waiting.remove(&number) {
                waiting.tell(verdict);
            }
        }
    }

    /// Those who have left leave nothing behind.
    fn forget(&mut self) {
        self.waiting.retain(|_, waiting| waiting.is_there());
        self.machine.window.forget(|number| self.waiting.contains_key(&number));
    }

    fn take_in(&mut self, first: Option<Request>) {
        self.deserted |= first.is_none();
        let mut next = first;
        while let Some(request) = next {
            let (outgoing, waiting) = request.into_parts();
            self.last_number += 1;
            self.waiting.insert(self.last_number, waiting);
            self.machine.window.push(self.last_number, outgoing);
            next = if self.machine.window.is_full() { None } else { self.requests.try_recv().ok() };
        }
    }
}

impl Client for Publisher {
    fn hello(&self, _broker: usize) -> Hello {
        self.machine.hello()
    }

    fn connected(&mut self, connack: &ConnAck, agreed: &Agreed, now: StdInstant) {
        let broker = self.connector.url_of(&self.link.client_id);
        info!(event = "broker.connected", client_id = self.link.client_id, broker, tls = %agreed, "publisher connected");
        self.machine.connected(connack, now);
        self.failing.connected(now);
        self.status.send_replace(Status::Ready(None));
    }

    fn received(&mut self, bytes: usize, now: StdInstant) {
        self.machine.received(bytes, now);
    }

    fn turn(&mut self, input: &mut BytesMut, output: &mut BytesMut, now: StdInstant) -> Result<(), End> {
        if self.is_done() {
            return Err(End::Drained);
        }
        let waiting = &self.waiting;
        let is_awaited = |number| waiting.get(&number).is_some_and(Waiting::is_there);
        let turn = self.machine.turn(input, output, now, is_awaited);
        self.tell();
        turn
    }

    fn written(&mut self, now: StdInstant) -> bool {
        self.machine.written(now);
        self.tell();
        true
    }

    fn reads(&self) -> bool {
        true
    }

    fn wakes(&self, now: StdInstant) -> StdInstant {
        self.machine.wakes(now)
    }

    fn give_way(&mut self, now: StdInstant) -> bool {
        self.machine.give_way(now);
        false
    }

    fn go_back(&mut self, now: StdInstant) -> bool {
        self.give_way(now)
    }

    fn disconnected(&mut self, end: End) -> End {
        let end = self.machine.disconnected(end);
        self.tell();
        end
    }

    fn failed(&mut self, failure: Failure) {
        if self.shutdown.phase() == Phase::Stopping {
            return;
        }
        self.failing.failed(None, &self.link.client_id, &failure, clock::now());
        self.status.send_replace(Status::Failing(failure.why));
    }

    fn is_done(&self) -> bool {
        self.deserted || self.shutdown.phase() == Phase::Stopping
    }

    async fn hear(&mut self) {
        let full = self.machine.window.is_full();
        let next = self.machine.window.next_unsent().and_then(|number| self.waiting.get_mut(&number));
        tokio::select! {
            biased;
            () = self.shutdown.changed() => {}
            request = self.requests.recv(), if !full => self.take_in(request),
            () = left(next), if full => self.forget(),
        }
    }
}

/// Returns when nobody waits any more; never, when there is nobody. Cancel safe.
async fn left(waiting: Option<&mut Waiting>) {
    match waiting {
        Some(waiting) => waiting.left().await,
        None => std::future::pending().await,
    }
}
