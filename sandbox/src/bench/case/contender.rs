//! The programs that carry messages from the broker to the endpoint, or do only a part of that. Pure.

use std::fmt;

/// Who carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Contender {
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
    pub(in super::super) fn is_bridge(self) -> bool {
        matches!(self, Self::Lean | Self::Sdk)
    }

    /// Whether the endpoint sees what it has received.
    pub(in super::super) fn invokes(self) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contender_fits_its_column() {
        assert_eq!(format!("{:<16}|", Contender::Python(32)), "python, 32      |");
    }
}
