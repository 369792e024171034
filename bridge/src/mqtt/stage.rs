//! The progress of one attempt to connect: to which address, how far it got, and how long each step took, for the
//! message when it fails or its deadline has passed. Connects nothing.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{BrokerUrl, authority};

/// Addresses that an error names.
const NAMED: usize = 8;

/// The target of the connection: a name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Place {
    pub(super) fn of(broker: &BrokerUrl) -> Self {
        Self { host: broker.host.clone(), port: broker.port }
    }
}

/// The progress of one attempt to connect, to explain why its deadline has passed, and how long its steps took.
#[derive(Debug, Default)]
pub struct StageCell(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    stage: Stage,
    /// When each step began, in their order; a step once.
    begun: Vec<(&'static str, Instant)>,
    /// The other end, once there is a TCP connection.
    peer: Option<String>,
}

/// A step of an attempt that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// `dns`, `tcp`, `proxy`, `tls`, `websocket` or `connect`.
    pub step: &'static str,
    /// Until the next one began, or until now.
    pub took: Duration,
}

/// The steps of an attempt, in their order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Resolving {
        host: String,
    },
    Connecting {
        place: Place,
        tried: Vec<IpAddr>,
    },
    Tunnelling {
        peer: String,
    },
    Handshaking {
        peer: String,
        hint: &'static str,
    },
    Upgrading {
        peer: String,
    },
    Connected {
        peer: String,
    },
    Answered,
}

impl StageCell {
    pub(super) fn resolving(&self, host: &str) {
        self.enter("dns", Stage::Resolving { host: host.to_owned() });
    }

    /// One more address is tried.
    pub(super) fn connecting(&self, place: &Place, address: IpAddr) {
        if let Stage::Connecting { tried, .. } = &mut self.progress().stage {
            return tried.push(address);
        }
        self.enter("tcp", Stage::Connecting { place: place.clone(), tried: vec![address] });
    }

    /// The proxy is asked for the way to the broker.
    pub(super) fn tunnelling(&self, peer: &str) {
        self.reach("proxy", peer, Stage::Tunnelling { peer: peer.to_owned() });
    }

    /// `hint` is what a handshake that never ends may mean, for the end of the sentence.
    pub(super) fn handshaking(&self, peer: &str, hint: &'static str) {
        self.reach("tls", peer, Stage::Handshaking { peer: peer.to_owned(), hint });
    }

    /// TLS stands; the WebSocket does not yet.
    pub(super) fn upgrading(&self, peer: &str) {
        self.reach("websocket", peer, Stage::Upgrading { peer: peer.to_owned() });
    }

    pub(super) fn connected(&self, peer: &str) {
        self.reach("connect", peer, Stage::Connected { peer: peer.to_owned() });
    }

    /// CONNACK has arrived, whatever its reason code.
    pub(super) fn answered(&self) {
        self.progress().stage = Stage::Answered;
    }

    /// Whether CONNECT may have reached the broker and no CONNACK came back.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.progress().stage, Stage::Connected { .. })
    }

    /// The whole sentence: what has not happened in this time, and what to look at.
    pub(super) fn overdue(&self, patience: Duration) -> String {
        let hint = match &self.progress().stage {
            Stage::Handshaking { hint, .. } => *hint,
            _ => "",
        };
        format!("{self} within {patience:?}{hint}")
    }

    /// The steps that have begun. All but the last have been passed.
    pub(super) fn passed(&self) -> Vec<Passed> {
        let begun = self.progress().begun.clone();
        let ends = begun.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        begun.iter().zip(ends).map(|((step, at), end)| Passed { step, took: end - *at }).collect()
    }

    /// Host and port of the other end, and its address, once there is a TCP connection.
    pub(super) fn peer(&self) -> Option<String> {
        self.progress().peer.clone()
    }

    fn reach(&self, step: &'static str, peer: &str, stage: Stage) {
        self.progress().peer = Some(peer.to_owned());
        self.enter(step, stage);
    }

    fn enter(&self, step: &'static str, stage: Stage) {
        let mut progress = self.progress();
        progress.stage = stage;
        progress.begun.push((step, Instant::now()));
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has not happened, in words that "within 10s" may follow: `broker.example:8883 (192.0.2.1): no TCP connection`.
impl fmt::Display for StageCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.progress().stage {
            Stage::Idle => f.write_str("no connection attempt"),
            Stage::Resolving { host } => write!(f, "{host}: name not resolved"),
            Stage::Connecting { place, tried } => write!(f, "{}: no TCP connection", peer(place, tried)),
            Stage::Tunnelling { peer } => write!(f, "{peer}: no answer of the proxy"),
            Stage::Handshaking { peer, .. } => write!(f, "{peer}: no TLS handshake"),
            Stage::Upgrading { peer } => write!(f, "{peer}: no WebSocket"),
            Stage::Connected { peer } => write!(f, "{peer}: no CONNACK"),
            Stage::Answered => f.write_str("CONNACK received, but the connection attempt did not complete"),
        }
    }
}

/// A place and the addresses that it was tried at: `broker.example:8883 (2001:db8::1, 192.0.2.1)`.
pub(super) fn peer(place: &Place, tried: &[IpAddr]) -> String {
    let at = authority(&place.host, place.port);
    if tried.is_empty() || tried.iter().all(|address| place.host.parse() == Ok(*address)) {
        return at;
    }
    format!("{at} ({})", some(tried.iter().map(IpAddr::to_string), ", "))
}

/// The first few, and how many more there are.
pub(super) fn some(all: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let rest = all.len().saturating_sub(NAMED);
    let mut named: Vec<_> = all.take(NAMED).collect();
    if rest > 0 {
        named.push(format!("and {rest} more"));
    }
    named.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(host: &str, port: u16) -> Place {
        Place { host: host.into(), port }
    }

    fn addresses() -> [IpAddr; 2] {
        ["2001:db8::1", "192.0.2.1"].map(|address| address.parse().unwrap())
    }

    #[test]
    fn each_stage_has_words_for_its_deadline() {
        let stage = StageCell::default();
        let (broker, [v6, v4]) = (broker("broker.example", 8883), addresses());
        assert_eq!(stage.to_string(), "no connection attempt");
        stage.resolving(&broker.host);
        assert_eq!(stage.to_string(), "broker.example: name not resolved");
        stage.connecting(&broker, v6);
        stage.connecting(&broker, v4);
        assert_eq!(stage.to_string(), "broker.example:8883 (2001:db8::1, 192.0.2.1): no TCP connection");
        let peer = peer(&broker, &[v4]);
        assert!(stage.overdue(Duration::from_secs(10)).ends_with(": no TCP connection within 10s"));
        stage.tunnelling(&peer);
        assert_eq!(stage.to_string(), "broker.example:8883 (192.0.2.1): no answer of the proxy");
        stage.handshaking(&peer, "; look there");
        assert!(stage.overdue(Duration::from_secs(10)).ends_with(": no TLS handshake within 10s; look there"));
        assert_eq!(stage.to_string(), "broker.example:8883 (192.0.2.1): no TLS handshake");
        stage.upgrading(&peer);
        assert_eq!(stage.to_string(), "broker.example:8883 (192.0.2.1): no WebSocket");
        stage.connected(&peer);
        assert_eq!(stage.to_string(), "broker.example:8883 (192.0.2.1): no CONNACK");
    }

    #[tokio::test(start_paused = true)]
    async fn each_step_has_its_time_and_is_one_however_many_addresses_are_tried() {
        let (stage, broker, [v6, v4]) = (StageCell::default(), broker("broker.example", 8883), addresses());
        assert_eq!((stage.passed(), stage.peer()), (Vec::new(), None));
        let second = Duration::from_secs(1);
        stage.resolving(&broker.host);
        tokio::time::advance(second).await;
        stage.connecting(&broker, v6);
        tokio::time::advance(second).await;
        stage.connecting(&broker, v4);
        tokio::time::advance(second).await;
        assert_eq!(stage.peer(), None);
        stage.handshaking("broker.example:8883 (192.0.2.1)", "");
        tokio::time::advance(second * 5).await;
        let passed = |steps: &[(&'static str, u32)]| -> Vec<_> {
            steps.iter().map(|(step, seconds)| Passed { step, took: second * *seconds }).collect()
        };
        assert_eq!(stage.passed(), passed(&[("dns", 1), ("tcp", 2), ("tls", 5)]));
        stage.connected("broker.example:8883 (192.0.2.1)");
        stage.answered();
        assert_eq!(stage.passed(), passed(&[("dns", 1), ("tcp", 2), ("tls", 5), ("connect", 0)]));
        assert_eq!(stage.peer().as_deref(), Some("broker.example:8883 (192.0.2.1)"));
    }

    #[test]
    fn a_broker_that_is_given_by_address_is_named_once() {
        let [address, _] = addresses();
        assert_eq!(peer(&broker("2001:db8::1", 8883), &[address]), "[2001:db8::1]:8883");
        assert_eq!(peer(&broker("192.0.2.1", 8883), &[address]), "192.0.2.1:8883 (2001:db8::1)");
    }
}
