//! From the name of a broker to a TCP connection: races its addresses (RFC 8305). Knows nothing of TLS, and has no
//! deadline of its own.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::sleep;

use super::stage::{Place, StageCell, some};

/// How long an address has before the next one is tried beside it: RFC 8305, section 5, recommends this.
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses that are tried at the same time. A name may have hundreds.
const AT_ONCE: usize = 16;
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

/// TCP keep-alive notices a dead peer, and reminds NAT gateways and load balancers of an idle connection: MQTT's own
/// PINGREQ may be off, or rarer than their patience. Acknowledgements are small and are written in batches already, so
/// they need not wait in the kernel.
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

/// Starts with the first address; the next one follows when all earlier attempts have failed or [`STAGGER`] has passed.
/// The first connection wins, and dropping the other attempts closes them.
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

/// The running attempts, the oldest first.
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

/// What each address said: `2001:db8::1: Network is unreachable; 192.0.2.1: Connection refused`.
pub(super) fn reasons(failed: &[(SocketAddr, io::Error)]) -> String {
    some(failed.iter().map(|(address, error)| format!("{}: {error}", address.ip())), "; ")
}

#[cfg(test)]
mod tests;
