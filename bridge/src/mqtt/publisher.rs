//! The connection on which the bridge publishes. Subscribes to nothing and acknowledges nothing: publishing on the
//! connection of a session would make its acknowledgements wait behind messages.
//!
//! It starts anew at every connection (Clean Start): what the broker has not confirmed is sent again from here, for as
//! long as somebody waits for it. So a message may arrive twice, and none is lost.

mod serve;
mod window;

use std::time::{Duration, Instant as StdInstant};

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{error, warn};

use self::window::Window;
use super::connect::{STABLE, greet};
use super::connection::{Connection, Connector};
use super::end::End;
use super::login::Login;
use super::packet::{ConnAck, Hello, Limits};
use super::session::Status;
use super::takeover::TakeoverGuard;
use super::wire::Wire;
use crate::backoff::Backoff;
use crate::config::{Protocol, Range};
use crate::outgoing::{PublishHandle, channel};
use crate::shutdown::{Listener, Phase};

/// How many messages may wait for their PUBACK, if the broker takes as many; as many again may queue.
const WINDOW: usize = 256;

/// What a publisher needs to know.
#[derive(Debug, Clone)]
pub struct PublisherSettings {
    /// Names it at the broker; no session may have the same.
    pub client_id: String,
    /// The protocol version.
    pub protocol: Protocol,
    /// The Keep Alive to ask for.
    pub keep_alive: Duration,
    /// Time for TCP, TLS and CONNACK together.
    pub connect_timeout: Duration,
    /// Waits between attempts to connect.
    pub backoff: Range,
}

/// The publisher of a bridge. [`Publisher::run`] is its whole life.
pub struct Publisher {
    settings: PublisherSettings,
    connector: Connector,
    wire: Wire,
    window: Window,
    /// Of the broker on the other end of this connection.
    limits: Limits,
    status: watch::Sender<Status>,
    shutdown: Listener,
}

impl Publisher {
    /// A publisher for all who have a clone of the handle returned.
    #[must_use]
    pub fn new(
        settings: PublisherSettings,
        connector: Connector,
        shutdown: Listener,
    ) -> (Self, PublishHandle, watch::Receiver<Status>) {
        let (handle, requests) = channel(WINDOW);
        let (status, heard) = watch::channel(Status::Connecting);
        let (wire, window) = (Wire(settings.protocol), Window::new(requests, WINDOW));
        let publisher = Self { settings, connector, wire, window, limits: Limits::default(), status, shutdown };
        (publisher, handle, heard)
    }

    /// Connects, publishes and connects again until the last handle is dropped or the bridge stops. A drain alone does
    /// not end it: the lanes still have answers to publish.
    pub async fn run(mut self) {
        let (mut backoff, mut takeover) =
            (Backoff::new(self.settings.backoff), TakeoverGuard::new(self.settings.backoff.max));
        loop {
            let mut freshness = self.connector.freshness(self.connector.generation());
            let mut login = self.connector.login();
            let (end, lived) = match self.open(&mut login).await {
                Ok((connection, connack)) => {
                    let made = Instant::now();
                    (self.serve(connection, &connack).await, Some(made.elapsed()))
                }
                Err(end) => (end, None),
            };
            self.window.disconnect();
            let (why, lasting) = match takeover.judge(end, lived, &self.settings.client_id, StdInstant::now()) {
                End::Drained | End::Retired => return,
                End::Renewed => continue,
                End::Lost { why, lasting, .. } => (why, lasting),
            };
            if lived.is_some_and(|lived| lived >= STABLE) {
                backoff.reset();
            }
            let wait = if lasting { self.settings.backoff.max } else { backoff.next(fastrand::f64()) };
            self.log_failure(why, lasting, wait);
            tokio::select! {
                () = sleep(wait) => {}
                () = freshness.renewed() => {}
                () = login.renewed(), if lasting => {}
                () = self.window.deserted() => return,
                () = self.shutdown.reached(Phase::Stopping) => return,
            }
        }
    }

    async fn open(&mut self, login: &mut Login) -> Result<(Connection, ConnAck), End> {
        let hello = Hello {
            client_id: &self.settings.client_id,
            clean_start: true,
            keep_alive: self.settings.keep_alive,
            session_expiry: Duration::ZERO,
            // Nothing is subscribed to, so nothing comes; zero is forbidden (MQTT 5, 3.1.2.11.3).
            receive_maximum: 1,
        };
        let greeting = greet(
            &self.connector,
            self.wire,
            &hello,
            login,
            self.settings.connect_timeout,
            self.shutdown.clone(),
            Phase::Stopping,
        );
        tokio::select! {
            greeted = greeting => greeted,
            () = self.window.deserted() => Err(End::Drained),
        }
    }

    fn log_failure(&self, why: String, lasting: bool, wait: Duration) {
        if self.shutdown.phase() == Phase::Stopping {
            return;
        }
        let client_id = &self.settings.client_id;
        if lasting {
            error!(event = "broker.refused", client_id, reason = why, retry_in = ?wait, "publisher failing");
        } else {
            warn!(event = "broker.lost", client_id, reason = why, retry_in = ?wait, "publisher failing");
        }
        self.status.send_replace(Status::Failing(why));
    }
}
