//! How a subscription, or the whole session, is given up without losing what the broker has confirmed for it. UNSUBSCRIBE
//! first: from then on nothing is added. Then what is left comes and is acknowledged like all else. At the end, when the
//! broker has nothing more, it forgets the session. Admits nothing by itself.

use std::time::Instant as StdInstant;

use tokio::time::{Instant, sleep_until};
use tracing::{error, info};

use super::line::{Line, Unsubscribing};
use super::{End, Session};
use crate::config::Protocol;
use crate::mqtt::retire::{Due, Quiet};
use crate::shutdown::Phase;

/// The packet identifier of every UNSUBSCRIBE: there is one at a time.
const UNSUBSCRIBE_ID: u16 = 2;

/// How far a session has come in leaving for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Retirement {
    /// It is subscribed, or the broker has not been asked yet to end that.
    #[default]
    Ahead,
    /// The broker has been asked for no more messages at all.
    Unsubscribed,
    /// The broker has nothing more for it, and only has to forget the session.
    Emptied,
}

impl Session {
    /// Whether this session goes for good. A drain that comes over it ends it as it stands: nothing is lost, as the
    /// broker keeps the session, but nobody comes for it.
    pub(super) fn leaves(&self) -> bool {
        let phase = self.shutdown.phase();
        phase == Phase::Retiring || (self.settings.leaves && phase < Phase::Draining)
    }

    /// Whether the end of the last connection has made the broker forget the session. If it has not, the next one will.
    pub(super) fn is_forgotten(&mut self) -> bool {
        self.settings.protocol == Protocol::V5
            || std::mem::replace(&mut self.retirement, Retirement::Emptied) == Retirement::Emptied
    }

    /// A session that the broker has lost holds no subscription, former ones included.
    pub(super) fn forget_subscriptions(&mut self) {
        self.settings.former_filters.clear();
        self.subscribed = false;
    }

    /// A connection of a session that leaves. Where the broker has kept nothing, there is nothing to wait for but what is
    /// still under way here.
    pub(super) fn begin_retirement(&mut self, line: &mut Line, session_present: bool) -> Result<(), End> {
        if self.retirement == Retirement::Emptied {
            return Err(End::Retired);
        }
        if !session_present {
            self.retirement = Retirement::Unsubscribed;
            line.quiet = Some(Quiet::default());
        }
        Ok(())
    }

    /// Asks the broker for what the retirement needs next, one thing at a time.
    pub(super) fn continue_retirement(&mut self, line: &mut Line) -> Result<(), End> {
        if line.suback_due.is_some() || line.unsubscribing.is_some() {
            return Ok(());
        }
        let all = self.leaves();
        if all && line.quiet.is_some() {
            return self.watch_for_the_last(line);
        }
        let mut filters = self.settings.former_filters.clone();
        if all {
            filters.push(self.settings.topic_filter.clone());
            self.subscribed = false;
            self.retirement = Retirement::Unsubscribed;
        }
        if filters.is_empty() {
            return Ok(());
        }
        line.unsubscribing = Some(Unsubscribing { due: Instant::now() + self.settings.connect_timeout, all });
        Ok(self.wire.unsubscribe(UNSUBSCRIBE_ID, filters, &mut line.connection.output)?)
    }

    /// MQTT 5, 3.11.3: that there was no such subscription is as good.
    pub(super) fn judge_unsuback(&mut self, packet_id: u16, codes: &[u8], line: &mut Line) -> Result<(), End> {
        let Some(Unsubscribing { all, .. }) = line.unsubscribing.take_if(|_| packet_id == UNSUBSCRIBE_ID) else {
            return Err(End::protocol_error("an UNSUBACK for no UNSUBSCRIBE of ours"));
        };
        if let Some(code) = codes.iter().find(|code| **code >= 0x80) {
            let filter = &self.settings.topic_filter;
            return Err(End::lasting(format!(
                "UNSUBSCRIBE: refused by the broker with reason 0x{code:02x} ({filter})"
            )));
        }
        let (mapping, client_id) = (&self.settings.mapping, &self.settings.client_id);
        let former = std::mem::take(&mut self.settings.former_filters);
        info!(event = "session.unsubscribed", mapping, client_id, ?former, all, "unsubscribed");
        line.quiet = all.then(Quiet::default);
        Ok(())
    }

    fn watch_for_the_last(&mut self, line: &mut Line) -> Result<(), End> {
        line.alarm = None;
        let Some(quiet) = &mut line.quiet else { return Ok(()) };
        // While an operator holds the mapping nothing is read, and so no PINGREQ is answered.
        if self.ledger.unfinished() > 0 {
            quiet.disturbed();
            return Ok(());
        }
        match quiet.due(line.pings, StdInstant::now()) {
            Due::Over => return Err(End::Retired),
            Due::Later(at) => line.alarm = Some(at),
            Due::Nothing => {}
            Due::Ping => {
                self.ping(line)?;
            }
        }
        Ok(())
    }

    /// Tells how a session that was to leave has left.
    pub(super) fn log_retirement(&self) {
        let (mapping, client_id) = (&self.settings.mapping, &self.settings.client_id);
        if self.leaves() {
            info!(event = "session.retired", mapping, client_id, "retired: the broker has nothing more for it");
        } else if self.retirement == Retirement::Unsubscribed
            || (self.settings.leaves && self.retirement == Retirement::Ahead)
        {
            error!(
                event = "session.left_behind",
                mapping,
                client_id,
                "cut short while retiring: the broker may hold messages that only this client id can fetch, until its session \
                 expires"
            );
        }
    }
}

/// Waits until then; for ever without a time.
pub(super) async fn alarm(at: Option<StdInstant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
