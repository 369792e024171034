//! What can be measured: which program carries the messages, and with which load. Pure.

mod contender;
mod inside;

pub(super) use contender::Contender;
pub(super) use inside::Inside;

use std::fmt;
use std::time::Duration;

/// Of a payload unless a case says otherwise, in bytes.
const PAYLOAD: usize = 65;

/// When the messages come.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Load {
    /// They wait at the broker when the contender starts.
    #[default]
    Queued,
    /// So many a second, while it runs.
    Rate(f64),
    /// As fast as the publishers go, while it runs: it is saturated, and what it cannot take at once waits at the
    /// broker.
    Flood,
}

/// Who shares the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Members {
    /// Nobody: one bridge with one session of its own.
    #[default]
    Alone,
    /// So many bridges, each a process.
    Bridges(u32),
    /// So many sessions of one bridge (`sessions = N`).
    Sessions(u32),
}

/// What happens while messages flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Incident {
    /// Nothing.
    #[default]
    None,
    /// The contender is killed half way, and started again.
    Kill,
    /// The endpoint answers nothing until the window is full; what is held is weighed.
    Hold,
    /// One message is never published, so that it is lost as far as the benchmark knows.
    Withhold,
}

/// One run of one contender.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Case {
    pub(super) contender: Contender,
    pub(super) messages: u64,
    pub(super) load: Load,
    /// Of each payload, in bytes.
    pub(super) payload: usize,
    /// Messages an invocation, at most.
    pub(super) batch: u32,
    /// Invocations at once.
    pub(super) concurrency: u32,
    /// How long the endpoint takes.
    pub(super) latency: Duration,
    pub(super) publishers: u32,
    /// What the bridge looks for in a payload.
    pub(super) inside: Inside,
    /// The endpoint speaks TLS.
    pub(super) https: bool,
    pub(super) members: Members,
    pub(super) incident: Incident,
}

impl Case {
    /// A backlog, one message an invocation, with an endpoint that answers at once.
    pub(super) const fn backlog(contender: Contender, messages: u64) -> Self {
        Self {
            contender,
            messages,
            load: Load::Queued,
            payload: PAYLOAD,
            batch: 1,
            concurrency: 64,
            latency: Duration::ZERO,
            publishers: 1,
            inside: Inside::NOTHING,
            https: false,
            members: Members::Alone,
            incident: Incident::None,
        }
    }

    /// The same in batches.
    pub(super) const fn batches(contender: Contender, messages: u64, batch: u32) -> Self {
        Self { batch, ..Self::backlog(contender, messages) }
    }

    /// With an endpoint that takes so long, and so many invocations at once.
    pub(super) const fn at(self, milliseconds: u64, concurrency: u32) -> Self {
        Self { latency: Duration::from_millis(milliseconds), concurrency, ..self }
    }

    /// The same, carried by another.
    pub(super) const fn by(self, contender: Contender) -> Self {
        Self { contender, ..self }
    }

    /// The same, so many times smaller: for those who take long.
    pub(super) fn scaled(self, scale: f64) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts of a benchmark are positive and far below 2^52"
        )]
        let messages = (self.messages as f64 * scale).ceil() as u64;
        Self { messages: messages.max(100), ..self }
    }

    /// Whether it is the bridge that carries, and nothing happens to it: then nothing is invoked twice.
    pub(super) fn is_faultless_bridge(&self) -> bool {
        self.contender.is_bridge() && matches!(self.incident, Incident::None | Incident::Withhold)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, batch, concurrency, latency, publishers, .. } = self;
        f.write_str(&grouped(*messages))?;
        match self.load {
            Load::Queued => write!(f, " queued")?,
            Load::Rate(rate) => write!(f, " at {rate}/s")?,
            Load::Flood => write!(f, " published at full speed")?,
        }
        if self.payload != PAYLOAD {
            write!(f, ", {} bytes", grouped(self.payload as u64))?;
        }
        if *batch > 1 {
            write!(f, ", batches of {}", grouped(u64::from(*batch)))?;
        }
        let is_held = self.incident == Incident::Hold;
        if !is_held && (!latency.is_zero() || *concurrency != 64) {
            write!(f, ", {} ms, {concurrency} at once", latency.as_millis())?;
        }
        if *publishers > 1 || self.load == Load::Flood {
            write!(f, ", {publishers} publisher{}", if *publishers > 1 { "s" } else { "" })?;
        }
        match self.members {
            Members::Alone => {}
            Members::Bridges(members) => write!(f, ", shared by {members}")?,
            Members::Sessions(sessions) => write!(f, ", sessions = {sessions}")?,
        }
        write!(f, "{}", self.inside)?;
        f.write_str(if self.https { ", https" } else { "" })?;
        f.write_str(match self.incident {
            Incident::None => "",
            Incident::Kill => ", killed half way",
            Incident::Hold => ", held",
            Incident::Withhold => ", one withheld",
        })
    }
}

/// With commas between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_says_what_it_is() {
        let lean = Case::backlog(Contender::Lean, 7);
        let batches = Case::batches(Contender::Lean, 1000, 10).at(5, 256);
        for (case, text) in [
            (Case { https: true, ..batches }, "1,000 queued, batches of 10, 5 ms, 256 at once, https"),
            (Case { members: Members::Bridges(2), ..lean }, "7 queued, shared by 2"),
            (Case { members: Members::Sessions(4), ..lean }, "7 queued, sessions = 4"),
            (Case { load: Load::Rate(500.0), publishers: 50, ..lean }, "7 at 500/s, 50 publishers"),
            (Case { load: Load::Flood, ..lean }, "7 published at full speed, 1 publisher"),
            (Case { payload: 1024, inside: Inside::ALL, ..lean }, "7 queued, 1,024 bytes, filter, key and id"),
            (Case { incident: Incident::Withhold, ..lean }, "7 queued, one withheld"),
            (Case { incident: Incident::Hold, ..lean.at(3_600_000, 64) }, "7 queued, held"),
        ] {
            assert_eq!(case.to_string(), text);
        }
    }

    #[test]
    fn thousands_are_seen() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_smaller_case_still_says_something() {
        assert_eq!(Case::backlog(Contender::Lean, 20_000).scaled(0.5).messages, 10_000);
        assert_eq!(Case::backlog(Contender::Lean, 20_000).scaled(0.0001).messages, 100);
    }
}
