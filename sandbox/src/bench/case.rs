//! What can be measured: who carries the messages, and what is asked of them. Pure.

use std::fmt;
use std::time::Duration;

/// Who carries messages from the broker to the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    /// The bridge, invoking by its lean client.
    Lean,
    /// The bridge, invoking by the AWS SDK.
    Sdk,
    /// Subscribes and acknowledges, and invokes nothing: the least that receiving costs.
    Raw,
    /// Invokes by the AWS SDK, and receives nothing: the least that invoking by it costs.
    SdkLoop,
    /// Python, paho-mqtt and boto3: so many threads invoke.
    Python(u32),
    /// Node, mqtt.js and the SDK for JavaScript: so many invocations at once, acknowledged before they are made.
    Node(u32),
}

impl Contender {
    /// Whether it is the bridge.
    pub(super) fn is_bridge(self) -> bool {
        matches!(self, Self::Lean | Self::Sdk)
    }

    /// Whether it loses nothing when it is killed, so that copies and losses are counted.
    pub(super) fn invokes(self) -> bool {
        self != Self::Raw
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lean => f.pad("bridge, lean"),
            Self::Sdk => f.pad("bridge, sdk"),
            Self::Raw => f.pad("raw subscriber"),
            Self::SdkLoop => f.pad("sdk loop"),
            Self::Python(threads) => f.pad(&format!("python, {threads}")),
            Self::Node(calls) => f.pad(&format!("node, {calls}")),
        }
    }
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
}

/// One run of one contender.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Case {
    pub(super) contender: Contender,
    pub(super) messages: u64,
    /// Messages a second; `None` for a backlog that is there at the start.
    pub(super) rate: Option<f64>,
    /// Messages an invocation, at most.
    pub(super) batch: u32,
    /// Invocations at once.
    pub(super) concurrency: u32,
    /// How long the endpoint takes.
    pub(super) latency: Duration,
    pub(super) publishers: u32,
    /// With a filter, an ordering key and a message id from the payload.
    pub(super) looks_inside: bool,
    /// The endpoint speaks TLS.
    pub(super) https: bool,
    /// So many bridges share the subscription; `None` for one with a subscription of its own.
    pub(super) shared_by: Option<u32>,
    pub(super) incident: Incident,
}

impl Case {
    /// A backlog, one message an invocation, with an endpoint that answers at once.
    pub(super) const fn backlog(contender: Contender, messages: u64) -> Self {
        Self {
            contender,
            messages,
            rate: None,
            batch: 1,
            concurrency: 64,
            latency: Duration::ZERO,
            publishers: 1,
            looks_inside: false,
            https: false,
            shared_by: None,
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

    /// By so many bridges with one shared subscription.
    pub(super) const fn shared_by(self, members: u32) -> Self {
        Self { shared_by: Some(members), ..self }
    }

    /// The same, so many times smaller: for those who take long.
    pub(super) fn scaled(self, scale: f64) -> Self {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts of a benchmark are positive and far below 2^52"
        )]
        let messages = (self.messages as f64 * scale).ceil() as u64;
        Self { messages: messages.max(100), ..self }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, rate, batch, concurrency, latency, publishers, .. } = self;
        write!(f, "{messages}")?;
        match rate {
            Some(rate) => write!(f, " at {rate}/s")?,
            None => write!(f, " queued")?,
        }
        if *batch > 1 {
            write!(f, ", batches of {batch}")?;
        }
        if !latency.is_zero() || *concurrency != 64 {
            write!(f, ", {} ms, {concurrency} at once", latency.as_millis())?;
        }
        if *publishers > 1 {
            write!(f, ", {publishers} publishers")?;
        }
        if let Some(members) = self.shared_by {
            write!(f, ", shared by {members}")?;
        }
        for (is, word) in [
            (self.looks_inside, ", filter, key and id"),
            (self.https, ", https"),
            (self.incident == Incident::Kill, ", killed half way"),
            (self.incident == Incident::Hold, ", held"),
        ] {
            f.write_str(if is { word } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_says_what_it_is() {
        let case = Case { https: true, ..Case::batches(Contender::Lean, 1000, 10).at(5, 256) };
        assert_eq!(case.to_string(), "1000 queued, batches of 10, 5 ms, 256 at once, https");
        let case = Case::backlog(Contender::Lean, 7).shared_by(2);
        assert_eq!(case.to_string(), "7 queued, shared by 2");
        let case = Case { rate: Some(500.0), publishers: 50, ..Case::backlog(Contender::Raw, 7) };
        assert_eq!(case.to_string(), "7 at 500/s, 50 publishers");
        assert_eq!(format!("{:<16}|", Contender::Python(32)), "python, 32      |");
    }

    #[test]
    fn a_smaller_case_still_says_something() {
        assert_eq!(Case::backlog(Contender::Lean, 20_000).scaled(0.5).messages, 10_000);
        assert_eq!(Case::backlog(Contender::Lean, 20_000).scaled(0.0001).messages, 100);
    }
}
