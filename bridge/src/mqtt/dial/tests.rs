use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::*;

const V6: [&str; 3] = ["[2001:db8::1]:8883", "[2001:db8::2]:8883", "[2001:db8::3]:8883"];
const V4: [&str; 2] = ["192.0.2.1:8883", "192.0.2.2:8883"];

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn broker(host: &str, port: u16) -> Place {
    Place { host: host.into(), port }
}

/// How an address answers an attempt.
#[derive(Clone, Copy)]
enum Does {
    Swallow,
    Refuse,
    AcceptAfter(Duration),
}

/// A network of scripted addresses, which counts what is open.
#[derive(Default)]
struct Network {
    script: Vec<(SocketAddr, Does)>,
    started: RefCell<Vec<(SocketAddr, Duration)>>,
    open: Rc<Cell<usize>>,
}

/// Counts as open until it is dropped, whether it connected or not.
struct Socket(Rc<Cell<usize>>);

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Network {
    fn of(script: &[(&str, Does)]) -> Self {
        let script = script.iter().map(|(address, does)| (address.parse().unwrap(), *does)).collect();
        Self { script, ..Self::default() }
    }

    async fn race(&self) -> Result<(SocketAddr, Socket), Vec<(SocketAddr, io::Error)>> {
        let begun = Instant::now();
        let connect = |address| {
            self.started.borrow_mut().push((address, begun.elapsed()));
            let does = self.script.iter().find(|(known, _)| *known == address).unwrap().1;
            self.open.set(self.open.get() + 1);
            let socket = Socket(self.open.clone());
            async move {
                match does {
                    Does::Swallow => pending().await,
                    Does::Refuse => Err(io::ErrorKind::ConnectionRefused.into()),
                    Does::AcceptAfter(time) => {
                        sleep(time).await;
                        Ok(socket)
                    }
                }
            }
        };
        let addresses = self.script.iter().map(|(address, _)| *address).collect();
        timeout(Duration::from_hours(1), race(addresses, connect)).await.expect("the race never ends")
    }

    /// When each attempt has begun.
    fn started(&self) -> Vec<(String, u128)> {
        self.started.borrow().iter().map(|(address, time)| (address.to_string(), time.as_millis())).collect()
    }
}

#[test]
fn address_families_take_turns_in_the_order_of_the_resolver() {
    let mixed = interleaved(addresses(&[V6[0], V6[1], V6[2], V4[0], V4[1]]));
    assert_eq!(mixed, addresses(&[V6[0], V4[0], V6[1], V4[1], V6[2]]));
    let mixed = interleaved(addresses(&[V4[0], V6[0], V6[0], V6[1]]));
    assert_eq!(mixed, addresses(&[V4[0], V6[0], V6[1]]));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_swallows_syns_holds_the_next_one_only_for_the_stagger() {
    let network = Network::of(&[(V6[0], Does::Swallow), (V4[0], Does::AcceptAfter(Duration::from_millis(20)))]);
    let (address, socket) = network.race().await.ok().unwrap();
    assert_eq!(address.to_string(), V4[0]);
    assert_eq!(network.started(), [(V6[0].into(), 0), (V4[0].into(), 250)]);
    assert_eq!(network.open.get(), 1, "the attempt that lost is still open");
    drop(socket);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_fails_gives_way_at_once() {
    let network = Network::of(&[(V6[0], Does::Refuse), (V4[0], Does::AcceptAfter(Duration::ZERO))]);
    let (address, _socket) = network.race().await.ok().unwrap();
    assert_eq!(address.to_string(), V4[0]);
    assert_eq!(network.started(), [(V6[0].into(), 0), (V4[0].into(), 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_address_may_still_win() {
    let slow = Does::AcceptAfter(Duration::from_millis(400));
    let slower = Does::AcceptAfter(Duration::from_millis(900));
    let network = Network::of(&[(V6[0], slow), (V4[0], slower), (V6[1], Does::Swallow)]);
    let (address, _socket) = network.race().await.ok().unwrap();
    assert_eq!(address.to_string(), V6[0]);
    assert_eq!(network.started().len(), 2);
    assert_eq!(network.open.get(), 1, "the attempt that lost is still open");
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_each_is_named() {
    let network = Network::of(&[(V6[0], Does::Refuse), (V4[0], Does::Refuse)]);
    let failed = network.race().await.err().unwrap();
    assert_eq!(reasons(&failed), "2001:db8::1: connection refused; 192.0.2.1: connection refused");
    assert_eq!(network.open.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_name_with_hundreds_of_addresses_opens_few_sockets_and_makes_a_short_error() {
    let many: Vec<_> = (0..200).map(|n| format!("192.0.2.{n}:8883")).collect();
    let swallow: Vec<_> = many.iter().map(|address| (address.as_str(), Does::Swallow)).collect();
    let network = Network::of(&swallow);
    assert!(timeout(Duration::from_mins(10), network.race()).await.is_err());
    assert_eq!(network.started().len(), AT_ONCE);
    let refuse: Vec<_> = many.iter().map(|address| (address.as_str(), Does::Refuse)).collect();
    let failed = Network::of(&refuse).race().await.err().unwrap();
    assert_eq!(failed.len(), 200);
    assert!(reasons(&failed).ends_with("192.0.2.7: connection refused; and 192 more"), "{}", reasons(&failed));
}

/// `localhost` has `::1` too on most machines, where nobody listens.
#[tokio::test]
async fn a_socket_comes_with_keep_alive_and_without_delay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = listener.local_addr().unwrap();
    let stage = StageCell::default();
    let broker = broker("localhost", local.port());
    let (address, tcp) = timeout(Duration::from_secs(30), dial(&broker, None, &stage)).await.unwrap().unwrap();
    assert_eq!((address, tcp.peer_addr().unwrap()), (local, local));
    assert!(tcp.nodelay().unwrap());
    let socket = SockRef::from(&tcp);
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    assert!(stage.to_string().contains("127.0.0.1"), "{stage}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_with_its_address() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = dial(&broker("broker.example", free.port()), Some(free), &StageCell::default()).await.err().unwrap();
    let DialError::Connect(failed) = error else { panic!("{error:?}") };
    assert!(reasons(&failed).starts_with("127.0.0.1: Connection refused"), "{}", reasons(&failed));
}
