//! The connection on which the bridge publishes, as a task: the [`Machine`] that decides, and the channels that connect it
//! with those who have something to say. Subscribes to nothing and acknowledges nothing: publishing on the connection of a
//! session would make its acknowledgements wait behind messages.
//!
//! It starts anew at every connection (Clean Start): what the broker has not confirmed is sent again from here, for as
//! long as somebody waits for it. So a message may arrive twice, and none is lost.

mod machine;
mod window;

use std::time::Instant as StdInstant;

use bytes::BytesMut;
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use self::machine::Machine;
use super::connection::{Agreed, Connector};
use super::driver::{self, Client};
use super::end::End;
use super::link::Link;
use super::packet::{ConnAck, Hello};
use super::reconnect::Failure;
use super::session::Status;
use crate::outgoing::{PublishHandle, Request, channel};
use crate::shutdown::{Listener, Phase};

/// How many messages may wait for their PUBACK, if the broker takes as many; as many again may queue.
const WINDOW: usize = 256;

/// The publisher of a bridge. [`Publisher::run`] is its whole life.
pub struct Publisher {
    link: Link,
    connector: Connector,
    machine: Machine,
    requests: mpsc::Receiver<Request>,
    /// Nobody can send any more; then nobody waits for those in the window either.
    deserted: bool,
    status: watch::Sender<Status>,
    shutdown: Listener,
}

impl Publisher {
    /// A publisher for all who have a clone of the handle returned. No session may have its client id.
    #[must_use]
    pub fn new(link: Link, connector: Connector, shutdown: Listener) -> (Self, PublishHandle, watch::Receiver<Status>) {
        let (handle, requests) = channel(WINDOW);
        let (status, heard) = watch::channel(Status::Connecting);
        let machine = Machine::new(&link, WINDOW);
        (Self { link, connector, machine, requests, deserted: false, status, shutdown }, handle, heard)
    }

    /// Connects, publishes and connects again until the last handle is dropped or the bridge stops. A drain alone does
    /// not end it: the lanes still have answers to publish.
    pub async fn run(mut self) {
        let (connector, link) = (self.connector.clone(), self.link.clone());
        driver::run(&mut self, &connector, &link).await;
    }

    fn take_in(&mut self, first: Option<Request>) {
        self.deserted |= first.is_none();
        let mut next = first;
        while let Some(request) = next {
            self.machine.window.push(request);
            next = if self.machine.window.is_full() { None } else { self.requests.try_recv().ok() };
        }
    }
}

impl Client for Publisher {
    fn hello(&self) -> Hello {
        self.machine.hello()
    }

    fn connected(&mut self, connack: &ConnAck, agreed: &Agreed, now: StdInstant) {
        info!(event = "broker.connected", client_id = self.link.client_id, tls = %agreed, "publisher connected");
        self.machine.connected(connack, now);
        self.status.send_replace(Status::Ready(None));
    }

    fn received(&mut self, bytes: usize, now: StdInstant) {
        self.machine.received(bytes, now);
    }

    fn turn(&mut self, input: &mut BytesMut, output: &mut BytesMut, now: StdInstant) -> Result<(), End> {
        if self.is_done() {
            return Err(End::Drained);
        }
        self.machine.turn(input, output, now)
    }

    fn written(&mut self, now: StdInstant) -> bool {
        self.machine.written(now);
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

    fn disconnected(&mut self, end: End) -> End {
        self.machine.disconnected(end)
    }

    fn failed(&mut self, failure: Failure) {
        if self.shutdown.phase() == Phase::Stopping {
            return;
        }
        let (client_id, Failure { why, lasting, taken_over, wait }) = (&self.link.client_id, failure);
        if taken_over {
            error!(event = "session.taken_over", client_id, reason = why, retry_in = ?wait, "publisher taken over");
        } else if lasting {
            error!(event = "broker.refused", client_id, reason = why, retry_in = ?wait, "publisher failing");
        } else {
            warn!(event = "broker.lost", client_id, reason = why, retry_in = ?wait, "publisher failing");
        }
        self.status.send_replace(Status::Failing(why));
    }

    fn is_done(&self) -> bool {
        self.deserted || self.shutdown.phase() == Phase::Stopping
    }

    async fn hear(&mut self) {
        let window = &mut self.machine.window;
        let full = window.is_full();
        tokio::select! {
            biased;
            () = self.shutdown.changed() => {}
            request = self.requests.recv(), if !full => self.take_in(request),
            () = window.oldest_forsaken(), if full => window.forget_forsaken(),
        }
    }
}
