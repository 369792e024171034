//! The state of a session for one connection. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::mqtt::decoder::Decoder;
use crate::mqtt::end::End;
use crate::mqtt::keep_alive::KeepAlive;
use crate::mqtt::retire::{EmptyQueue, QUIET, Quiet, ROUNDS};
use crate::mqtt::wire::Wire;

/// See the module's page.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and none excludes another")]
pub(super) struct Line {
    pub(super) decoder: Decoder,
    pub(super) keep_alive: KeepAlive,
    pub(super) next_tick: Instant,
    /// Nothing was said on it yet.
    pub(super) begins: bool,
    /// What CONNACK said of the session.
    pub(super) session_present: bool,
    /// When the broker has sent again what it had sent to an earlier connection: at once, as it should (MQTT 3.1.1, 4.4), or
    /// by its timer alone.
    pub(super) resent_by: Instant,
    /// CONNACK said that the session is new, and nothing has come that belies it.
    pub(super) session_is_new: bool,
    /// A SUBACK has come.
    pub(super) has_suback: bool,
    /// What CONNACK says that the subscription needs and the broker has not.
    pub(super) missing: Option<End>,
    /// Whether subscriptions may have identifiers.
    pub(super) has_identifiers: bool,
    /// It was said that messages come although SUBACK has not.
    pub(super) said_behind: bool,
    /// The deadline of the next SUBACK; `None` if all have arrived, or none is needed.
    pub(super) suback_due: Option<Instant>,
    /// The SUBSCRIBEs without their SUBACK: their packet identifiers, and the filters in them.
    pub(super) unanswered: BTreeMap<u16, Vec<usize>>,
    /// Why the first of the filters that the broker does not grant is not, and how many there are.
    pub(super) denied: Option<(String, usize)>,
    /// The deadline of the next UNSUBACK.
    pub(super) unsuback_due: Option<Instant>,
    /// The UNSUBSCRIBEs without their UNSUBACK.
    pub(super) unsubscribing: BTreeSet<u16>,
    /// True if the UNSUBSCRIBE in flight leaves no subscription.
    pub(super) unsubscribes_all: bool,
    /// PINGREQs without their answer.
    pub(super) pings: usize,
    /// How many of them, one behind the other, were answered without a message before the answer, and when the first one
    /// was. `None` since the last message, or when the last PINGREQ proves nothing.
    undisturbed: Option<(u8, Option<Instant>)>,
    /// Looks for a moment to unsubscribe.
    pub(super) search: Option<EmptyQueue>,
    /// Watches for the last message, once there is no subscription any more.
    pub(super) quiet: Option<Quiet>,
    /// When to look again whether that was the last, or a moment to unsubscribe.
    pub(super) alarm: Option<Instant>,
    /// The broker says it has no session: when to believe it.
    pub(super) believe_at: Option<Instant>,
}

impl Line {
    pub(super) fn new(wire: Wire, session_present: bool, keep_alive: KeepAlive, now: Instant) -> Self {
        Self {
            decoder: Decoder::new(wire),
            next_tick: now + keep_alive.period(),
            keep_alive,
            begins: true,
            session_present,
            resent_by: now,
            session_is_new: !session_present,
            has_suback: false,
            missing: None,
            has_identifiers: false,
            said_behind: false,
            suback_due: None,
            unanswered: BTreeMap::new(),
            denied: None,
            unsuback_due: None,
            unsubscribing: BTreeSet::new(),
            unsubscribes_all: false,
            pings: 0,
            undisturbed: None,
            search: None,
            quiet: None,
            alarm: None,
            believe_at: None,
        }
    }

    /// Whether an answer is expected that may be queued behind messages.
    pub(super) fn listens(&self) -> bool {
        self.suback_due.is_some() || self.unsuback_due.is_some()
    }

    /// An answer to SUBSCRIBE or UNSUBSCRIBE may stand behind any number of messages that the broker had sent before,
    /// and we take these at our own pace.
    pub(super) fn postpone(&mut self, patience: Duration, now: Instant) {
        self.suback_due.iter_mut().chain(&mut self.unsuback_due).for_each(|due| *due = now + patience);
    }

    /// A message has arrived, so earlier observations prove nothing about messages queued behind it.
    pub(super) fn disturbed(&mut self) {
        self.undisturbed = None;
        // A new session has no subscription, and so no message, before the first SUBACK.
        self.session_is_new &= self.has_suback;
        self.quiet.iter_mut().for_each(Quiet::disturbed);
        self.search.iter_mut().for_each(EmptyQueue::disturbed);
    }

    /// PINGREQ goes out. It proves nothing where the broker has no `room` in its window, or may read it together with an
    /// earlier one.
    pub(super) fn asked(&mut self, room: bool) {
        self.undisturbed = (room && self.pings == 0).then(|| self.undisturbed.unwrap_or_default());
        self.pings += 1;
    }

    /// PINGRESP has come.
    pub(super) fn answered(&mut self, now: Instant) {
        self.pings = self.pings.saturating_sub(1);
        if let Some((answers, since)) = &mut self.undisturbed {
            *answers = answers.saturating_add(1);
            since.get_or_insert(now);
        }
        self.quiet.iter_mut().for_each(Quiet::answered);
        self.search.iter_mut().for_each(|search| search.answered(now));
    }

    /// Whether the broker has shown that nothing is queued; it may answer PINGREQs before it sends what is.
    pub(super) fn is_undisturbed(&self, now: Instant) -> bool {
        let is_quiet = |since: Instant| now.saturating_duration_since(since) >= QUIET;
        let is_silent = |(answers, since): (u8, Option<Instant>)| answers >= ROUNDS && since.is_some_and(is_quiet);
        now >= self.resent_by && self.undisturbed.is_some_and(is_silent)
    }

    pub(super) fn wakes(&self) -> Instant {
        let dues = [self.suback_due, self.unsuback_due, self.alarm, self.believe_at];
        dues.into_iter().flatten().fold(self.next_tick, Instant::min)
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("keep_alive", &self.keep_alive).field("pings", &self.pings).finish_non_exhaustive()
    }
}
