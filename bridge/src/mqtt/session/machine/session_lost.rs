//! Decides whether the broker has lost the session. CONNACK says so, and with most brokers it is true. But ActiveMQ
//! says it of every session, and still sends the messages that it kept. So if messages were in flight, they get some
//! time to come again first.

use std::time::{Duration, Instant};

use super::Machine;
use super::line::Line;
use super::retire::Retirement;
use crate::mqtt::ledger::Kept;
use crate::mqtt::session::event::Event;

/// How long after SUBACK what was in flight may still come again: a broker sends it before all else.
const BELIEVE_AFTER: Duration = Duration::from_secs(5);

impl Machine {
    pub(super) fn judge_session_present(&mut self, present: bool) {
        let expected = self.established && self.retirement != Retirement::Emptied;
        self.established = true;
        // A session that is there may have lost a subscription meanwhile, so that a copy is the only one.
        self.paired = false;
        if present {
            self.ledger.connect(Kept::Yes);
            return;
        }
        self.subscribed.fill(false);
        if !expected {
            self.ledger.connect(Kept::No);
            return;
        }
        self.ledger.connect(Kept::Doubtful);
        // If nothing was in flight, the broker cannot send anything again.
        if !self.ledger.is_doubtful() {
            self.lose_session();
        }
    }

    /// SUBACK has arrived.
    pub(super) fn begin_doubt(&self, line: &mut Line, now: Instant) {
        line.believe_at = self.ledger.is_doubtful().then(|| now + BELIEVE_AFTER);
    }

    /// Accepts the broker's statement after the waiting time, which does not run while nothing is read.
    pub(super) fn doubt_session(&mut self, line: &mut Line, now: Instant) {
        if self.is_closed(line) {
            line.believe_at.iter_mut().for_each(|at| *at = now + BELIEVE_AFTER);
        }
        if line.believe_at.take_if(|at| *at <= now).is_some() && self.ledger.is_doubtful() {
            self.lose_session();
        }
    }

    fn lose_session(&mut self) {
        let unacknowledged = self.ledger.give_up_session();
        if !self.denies_sessions {
            self.metrics.session_lost.inc();
        }
        self.events.push(Event::SessionLost { unacknowledged, usual: self.denies_sessions });
    }

    /// A message came again under its own packet identifier: the session was never lost.
    pub(super) fn trust_session(&mut self, line: &mut Line) {
        line.believe_at = None;
        if !std::mem::replace(&mut self.denies_sessions, true) {
            self.events.push(Event::SessionDenied);
        }
    }
}
