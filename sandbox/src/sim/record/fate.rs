//! The outcome of one message, and of the function's answers about it. Checks nothing by itself.

use std::time::Duration;

use super::blame::Blame;

/// How the function has failed with a message, as the bridge hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Failed {
    /// With all of its event, whatever it was before.
    WithItsEvent,
    /// By its name.
    ByName,
    /// No further attempt can help.
    ForGood,
}

/// What became of a message.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each has happened or has not")]
pub(in crate::sim) struct Fate {
    /// What it is ordered by.
    pub(in crate::sim) key: u64,
    /// A session of the broker has taken it, so it is owed to the bridge.
    pub(in crate::sim) owed: bool,
    /// The broker has dropped it by itself, and why.
    pub(in crate::sim) excused: Option<&'static str>,
    /// The broker has dropped one of its copies by itself.
    pub(in crate::sim) halved: bool,
    /// The broker has dropped it because the bridge has asked for that.
    pub(in crate::sim) dropped: bool,
    /// When it was published.
    pub(in crate::sim) published: Duration,
    /// When nobody wants it any more.
    pub(in crate::sim) expires: Option<Duration>,
    /// How often a function was given it.
    pub(in crate::sim) invoked: u64,
    /// How many of these have a reason beside the message itself.
    pub(in crate::sim) allowed: u64,
    /// The broker has sent it, or sent it again, behind later ones: the order of receipt is another one.
    pub(in crate::sim) late: bool,
    /// The bridge may have two of it that know nothing of each other.
    pub(in crate::sim) copied: bool,
    /// Not to be invoked before, as Lambda has asked.
    pub(in crate::sim) not_before: Option<Duration>,
    /// Whether the function has taken it, as far as the bridge has heard last.
    pub(in crate::sim) taken: bool,
    /// Before the function took it, its attempts were spent: a dead letter may have been on its way.
    pub(in crate::sim) taken_late: bool,
    /// The function has taken it, and nothing has happened since after which it may come again.
    pub(in crate::sim) passed: bool,
    /// Whether it alone is refused.
    pub(in crate::sim) blame: Blame,
    /// No function may be given it.
    pub(in crate::sim) unfit: bool,
    /// Whether no further attempt can help: the function, or Lambda, has said so.
    pub(in crate::sim) hopeless: bool,
    /// When it first had an outcome.
    pub(in crate::sim) settled: Option<Duration>,
    /// How often the bridge heard of a success, or of a dead letter that is safe.
    pub(in crate::sim) outcomes: u64,
    /// A dead letter is safe.
    pub(in crate::sim) dead_lettered: bool,
    /// Of each success since the last failure, the numbers of the answers that came with it.
    pub(in crate::sim) answers: Vec<Vec<u64>>,
    /// When it was first acknowledged to the broker.
    pub(in crate::sim) acknowledged: Option<Duration>,
}

impl Fate {
    /// Whether the bridge still has to bring it to an outcome.
    pub(in crate::sim) fn waits(&self, now: Duration) -> bool {
        self.owed && self.excused.is_none() && self.outcomes == 0 && !self.is_expired(now)
    }

    pub(in crate::sim) fn settle(&mut self, now: Duration) {
        self.outcomes += 1;
        self.settled.get_or_insert(now);
    }

    pub(in crate::sim) fn is_expired(&self, now: Duration) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// What became of a message that the function wants published.
#[derive(Debug, Clone, Default)]
pub(in crate::sim) struct Answer {
    /// The message that it is about.
    pub(in crate::sim) number: u64,
    /// The broker has said that it has it.
    pub(super) confirmed: bool,
    /// A dead letter of its own is safe.
    pub(super) kept: bool,
    /// Nobody will ever take it.
    pub(super) impossible: bool,
    /// How often the broker has refused it for now.
    pub(super) refusals: u32,
    /// How many connections had broken when the bridge heard of it, as far as it could know.
    pub(super) breaks_before: usize,
}

/// After so many refusals in a row an answer may be given up: `mapping.retry.max_attempts`.
const REFUSALS: u32 = super::MAX_ATTEMPTS;
/// After so many broken connections, too.
const BREAKS: usize = 2;

impl Answer {
    /// Whether the bridge may give it up.
    pub(super) fn may_be_given_up(&self, breaks: usize) -> bool {
        self.impossible || self.refusals >= REFUSALS || breaks - self.breaks_before >= BREAKS
    }

    /// Whether its record may be acknowledged. Where there is a failure destination, giving it up alone is not enough.
    pub(super) fn is_settled(&self, breaks: usize, has_destination: bool) -> bool {
        self.confirmed || self.kept || !has_destination && self.may_be_given_up(breaks)
    }
}
