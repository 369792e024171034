//! From the name of a broker to a TCP connection: races its addresses (RFC 8305), and says where an attempt stands. Knows
//! nothing of TLS, and has no deadline of its own.

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep};

use crate::config::{BrokerUrl, authority};

/// How long an address has before the next one is tried beside it: RFC 8305, section 5, recommends this.
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses that are tried at the same time. A name may have hundreds.
const AT_ONCE: usize = 16;
/// Addresses that an error names.
const NAMED: usize = 8;

/// Whom to connect to: a name or an address, and a port.
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

/// Where one attempt to connect stands, for whoever has to say why its deadline has passed, and how long its steps took.
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
    fn connecting(&self, place: &Place, address: IpAddr) {
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

    /// CONNACK is there, whatever it says.
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
            Stage::Answered => f.write_str("CONNACK is there, and no end of the attempt"),
        }
    }
}

/// Why there is no TCP connection.
#[derive(Debug)]
pub(super) enum DialError {
    Resolve(io::Error),
    /// What became of each address.
    Connect(Vec<(SocketAddr, io::Error)>),
}

/// Connects to the first of its addresses that accepts, or to this one. Connections that lose are closed.
pub(super) async fn dial(
    place: &Place,
    found_at: Option<SocketAddr>,
    stage: &StageCell,
) -> Result<(SocketAddr, TcpStream), DialError> {
    let addresses = match found_at {
        Some(address) => vec![address],
        None => resolve(place, stage).await.map_err(DialError::Resolve)?,
    };
    let connect = |address: SocketAddr| {
        stage.connecting(place, address.ip());
        TcpStream::connect(address)
    };
    let (address, tcp) = race(interleaved(addresses), connect).await.map_err(DialError::Connect)?;
    // A socket that refuses these options can still carry MQTT.
    let _ = prepare(&tcp);
    Ok((address, tcp))
}

async fn resolve(place: &Place, stage: &StageCell) -> io::Result<Vec<SocketAddr>> {
    stage.resolving(&place.host);
    let addresses: Vec<_> = lookup_host((place.host.as_str(), place.port)).await?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// TCP keep-alive notices a dead peer, and reminds NAT gateways and load balancers of an idle connection: MQTT's own PINGREQ
/// may be off, or rarer than their patience. Acknowledgements are small and are written in batches already, so they need not
/// wait in the kernel.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)).with_retries(3);
    SockRef::from(tcp).set_tcp_keepalive(&keepalive)?;
    tcp.set_nodelay(true)
}

/// RFC 8305, section 4: the resolver's order, with the address families taking turns. Each address once.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut mixed = Vec::new();
    loop {
        let turn = [preferred.next(), other.next()];
        if turn == [None, None] {
            return mixed;
        }
        for address in turn.into_iter().flatten() {
            if !mixed.contains(&address) {
                mixed.push(address);
            }
        }
    }
}

/// Starts with the first address; the next one follows when all earlier attempts have failed or [`STAGGER`] has passed. The
/// first connection wins, and dropping the other attempts closes them.
async fn race<T, F>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(SocketAddr, T), Vec<(SocketAddr, io::Error)>>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut running = Attempts(Vec::new());
    let mut failed = Vec::new();
    loop {
        if running.0.len() < AT_ONCE
            && let Some(address) = waiting.next()
        {
            running.0.push((address, Box::pin(connect(address))));
        }
        if running.0.is_empty() {
            return Err(failed);
        }
        let another = waiting.len() > 0 && running.0.len() < AT_ONCE;
        tokio::select! {
            biased;
            (address, ended) = running.first_to_end() => match ended {
                Ok(connection) => return Ok((address, connection)),
                Err(error) => failed.push((address, error)),
            },
            () = stagger(another) => {}
        }
    }
}

async fn stagger(another: bool) {
    if another { sleep(STAGGER).await } else { pending().await }
}

/// The attempts under way, the oldest first.
struct Attempts<F>(Vec<(SocketAddr, Pin<Box<F>>)>);

impl<T, F: Future<Output = io::Result<T>>> Attempts<F> {
    /// Removes the attempt that ends next. Cancel safe.
    async fn first_to_end(&mut self) -> (SocketAddr, io::Result<T>) {
        poll_fn(|cx| {
            for (index, (address, attempt)) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(ended) = attempt.as_mut().poll(cx) {
                    let address = *address;
                    drop(self.0.remove(index));
                    return Poll::Ready((address, ended));
                }
            }
            Poll::Pending
        })
        .await
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

/// What each address said: `2001:db8::1: Network is unreachable; 192.0.2.1: Connection refused`.
pub(super) fn reasons(failed: &[(SocketAddr, io::Error)]) -> String {
    some(failed.iter().map(|(address, error)| format!("{}: {error}", address.ip())), "; ")
}

/// The first few, and how many more there are.
fn some(all: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let rest = all.len().saturating_sub(NAMED);
    let mut named: Vec<_> = all.take(NAMED).collect();
    if rest > 0 {
        named.push(format!("and {rest} more"));
    }
    named.join(between)
}

#[cfg(test)]
mod tests;
