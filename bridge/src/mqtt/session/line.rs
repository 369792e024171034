//! What a session keeps for one connection. Decides nothing.

use std::time::{Duration, Instant as StdInstant};

use tokio::time::Instant;

use crate::mqtt::connection::Connection;
use crate::mqtt::decoder::Decoder;
use crate::mqtt::keep_alive::KeepAlive;
use crate::mqtt::retire::Quiet;

/// What a connection needs beside its session.
pub(super) struct Line {
    pub(super) connection: Connection,
    pub(super) decoder: Decoder,
    pub(super) keep_alive: KeepAlive,
    /// Until when SUBACK must be there; `None` when it is, or none is needed.
    pub(super) suback_due: Option<Instant>,
    /// The UNSUBSCRIBE whose UNSUBACK is not there yet.
    pub(super) unsubscribing: Option<Unsubscribing>,
    /// PINGREQs without their answer.
    pub(super) pings: usize,
    /// Watches for the last message, once there is no subscription any more.
    pub(super) quiet: Option<Quiet>,
    /// When to look again whether that was the last.
    pub(super) alarm: Option<StdInstant>,
}

/// An UNSUBSCRIBE on its way.
#[derive(Debug)]
pub(super) struct Unsubscribing {
    /// Until when UNSUBACK must be there.
    pub(super) due: Instant,
    /// Whether no subscription is left after it.
    pub(super) all: bool,
}

impl Line {
    /// An answer to SUBSCRIBE or UNSUBSCRIBE may stand behind any number of messages that the broker had sent before, and
    /// we take these at our own pace.
    pub(super) fn postpone(&mut self, patience: Duration) {
        let due = Instant::now() + patience;
        self.suback_due.iter_mut().for_each(|at| *at = due);
        self.unsubscribing.iter_mut().for_each(|unsubscribing| unsubscribing.due = due);
    }
}
