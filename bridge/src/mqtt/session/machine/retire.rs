//! How a subscription, or the whole session, is given up without losing what the broker has confirmed for it. First a
//! moment in which the broker's queue is provably empty, as some brokers drop at UNSUBSCRIBE what they have queued.
//! Then UNSUBSCRIBE: from then on nothing is added. Then what is left comes and is acknowledged like all else. At the
//! end, when the broker has nothing more, it forgets the session. Admits nothing by itself.

use std::time::Instant;

use bytes::BytesMut;

use super::Machine;
use super::line::Line;
use super::subscribe::{FILTERS_IN_ONE, with_their_words};
use crate::config::Protocol;
use crate::mqtt::end::End;
use crate::mqtt::retire::{Due, EmptyQueue, Quiet, Search, Window};
use crate::mqtt::session::event::Event;
use crate::shutdown::Phase;

/// The packet identifier of an UNSUBSCRIBE, of which a connection has some at a time: none that a SUBSCRIBE has.
fn packet_id(number: usize) -> u16 {
    if number == 0 { 2 } else { u16::try_from(number).map_or(u16::MAX, |number| u16::MAX - number) }
}

/// How often UNSUBSCRIBE may stay without an answer, each time on another connection. rumqttd 0.20 never answers it
/// once a session was resumed under MQTT 3.1.1.
const UNANSWERED: u8 = 3;

/// The progress of a session that leaves for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Retirement {
    /// It is subscribed, or the broker has not been asked yet to end that.
    #[default]
    Ahead,
    /// The broker was asked for no more messages at all, and has not confirmed it.
    Asked,
    /// It has.
    Unsubscribed,
    /// The broker has nothing more for it, and only has to forget the session.
    Emptied,
    /// It has.
    Forgotten,
}

impl Retirement {
    pub(super) fn has_begun(self) -> bool {
        self != Self::Ahead
    }
}

impl Machine {
    /// Whether this session goes for good. A drain that comes over it ends it as it stands: nothing is lost, as the
    /// broker keeps the session, but no client will resume it.
    pub(in crate::mqtt::session) fn leaves(&self) -> bool {
        self.phase == Phase::Retiring || self.is_returning() || (self.settings.leaves && self.phase < Phase::Draining)
    }

    /// Whether it was to leave for good, and has not.
    pub(in crate::mqtt::session) fn is_left_behind(&self) -> bool {
        !self.leaves() && self.retirement != Retirement::Forgotten && (self.was_retiring || self.settings.leaves)
    }

    /// A connection of a session that leaves.
    pub(super) fn begin_retirement(&mut self, line: &mut Line, now: Instant) -> Result<(), End> {
        if self.retirement == Retirement::Emptied {
            return Err(End::Retired);
        }
        // No SUBACK will confirm the session, so the doubt about it begins here.
        self.begin_doubt(line, now);
        Ok(())
    }

    /// The broker has nothing more for it, and has been told goodbye. Under MQTT 5 that made it forget the session; if
    /// it has not, the next connection will.
    pub(super) fn note_emptied(&mut self) {
        let forgotten = self.settings.link.protocol == Protocol::V5 || self.retirement == Retirement::Emptied;
        self.retirement = if forgotten { Retirement::Forgotten } else { Retirement::Emptied };
    }

    /// Asks the broker for what the retirement needs next, one thing at a time.
    pub(super) fn go_on_retiring(&mut self, line: &mut Line, output: &mut BytesMut, now: Instant) -> Result<(), End> {
        line.alarm = None;
        // While an operator holds the mapping nothing is read, and so no PINGREQ is answered. While it drains nothing is
        // admitted, so nobody knows how much of the broker's window is in use.
        if line.listens() || self.paused || self.phase >= Phase::Draining {
            // Nor does it prove anything that nothing has come meanwhile.
            line.search.iter_mut().for_each(|search| search.unread(now));
            return Ok(());
        }
        let all = self.leaves();
        if all && line.quiet.is_some() {
            return self.watch_for_the_last(line, output, now);
        }
        if !all && self.former.is_empty() {
            return Ok(());
        }
        // Also when it had unsubscribed on an earlier connection: what it has in flight then comes again on this one.
        let window = Window {
            has_room: self.ledger.broker_has_room(),
            is_full: self.is_window_full(),
            // What waits for PUBREL is ours, whatever becomes of it at the broker.
            is_empty: self.ledger.unfinished() == 0,
        };
        // The broker may never have read an UNSUBSCRIBE that it has not answered.
        let unsubscribed = self.retirement.has_begun() && self.retirement != Retirement::Asked;
        let resent = if unsubscribed { now } else { line.resent_by };
        let search = line.search.get_or_insert_with(|| EmptyQueue::new(now, resent));
        match search.due(window, line.pings, now) {
            Search::Later(at) => {
                line.alarm = Some(at);
                return Ok(());
            }
            Search::Ping => return Ok(self.ping(line, output)?),
            Search::Proven => {}
            Search::Unproven => {
                self.unproven |= all && !self.is_returning();
                self.events.push(Event::QueueUnproven { all });
            }
        }
        self.unsubscribe(all, line, output, now)
    }

    fn unsubscribe(&mut self, all: bool, line: &mut Line, output: &mut BytesMut, now: Instant) -> Result<(), End> {
        let mut filters = self.former.clone();
        if all {
            filters.extend(self.filters.all().iter().map(ToString::to_string));
            self.subscribed.fill(false);
            self.retirement = self.retirement.max_asked();
        }
        line.search = None;
        line.unsubscribes_all = all;
        line.unsuback_due = Some(now + self.settings.link.connect_timeout);
        for (number, filters) in filters.chunks(FILTERS_IN_ONE).enumerate() {
            self.wire.unsubscribe(packet_id(number), filters.to_vec(), output)?;
            line.unsubscribing.insert(packet_id(number));
        }
        Ok(())
    }

    /// MQTT 5, 3.11.3: that there was no such subscription is as good.
    pub(super) fn judge_unsuback(
        &mut self,
        packet_id: u16,
        (codes, said): (&[u8], Option<&str>),
        line: &mut Line,
        now: Instant,
    ) -> Result<(), End> {
        if !line.unsubscribing.remove(&packet_id) {
            return Err(End::protocol_error("an UNSUBACK for no UNSUBSCRIBE of ours"));
        }
        if let Some(code) = codes.iter().find(|code| **code >= 0x80) {
            let filter = self.filters.shown();
            let why = format!("UNSUBSCRIBE `{filter}`: refused by the broker with reason 0x{code:02x}");
            return Err(End::lasting(with_their_words(why, said)));
        }
        // Each UNSUBACK gets the full time.
        line.unsuback_due = (!line.unsubscribing.is_empty()).then(|| now + self.settings.link.connect_timeout);
        if line.unsuback_due.is_some() {
            return Ok(());
        }
        self.unsubscribes_unanswered = 0;
        let (former, all) = (std::mem::take(&mut self.former), line.unsubscribes_all);
        if all {
            self.retirement = Retirement::Unsubscribed;
            line.quiet = Some(Quiet::default());
        }
        self.events.push(Event::Unsubscribed { former, all });
        Ok(())
    }

    /// The broker does not answer UNSUBSCRIBE. Another connection may help; if that does not either, what is asked for
    /// counts as done: a session that leaves must come to its end, which takes its subscription with it.
    pub(super) fn unsuback_is_late(&mut self, line: &mut Line) -> Result<(), End> {
        self.unsubscribes_unanswered += 1;
        if self.unsubscribes_unanswered < UNANSWERED {
            return Err(End::lost(format!("no UNSUBACK within {:?}", self.settings.link.connect_timeout)));
        }
        line.unsuback_due = None;
        line.unsubscribing.clear();
        let (former, all) = (std::mem::take(&mut self.former), line.unsubscribes_all);
        if all {
            self.unproven |= !self.is_returning();
            self.retirement = Retirement::Unsubscribed;
            line.quiet = Some(Quiet::default());
        }
        self.events.push(Event::UnsubscribeUnanswered { former, all });
        Ok(())
    }

    fn watch_for_the_last(&mut self, line: &mut Line, output: &mut BytesMut, now: Instant) -> Result<(), End> {
        let Some(quiet) = &mut line.quiet else { return Ok(()) };
        if self.ledger.unfinished() > 0 {
            quiet.disturbed();
            return Ok(());
        }
        match quiet.due(line.pings, now) {
            Due::Over => return Err(End::Retired),
            Due::Later(at) => line.alarm = Some(at),
            Due::Nothing => {}
            Due::Ping => self.ping(line, output)?,
        }
        Ok(())
    }
}

impl Retirement {
    /// An UNSUBSCRIBE on a later connection takes nothing back.
    fn max_asked(self) -> Self {
        if self == Self::Ahead { Self::Asked } else { self }
    }
}
