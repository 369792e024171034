//! Exchanges with small servers: what closes a connection, what keeps it, and which timeout applies.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Empty;
use hyper::header::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::super::connection::Forwarded;
use super::super::origin::Origin;
use super::super::pool;
use super::*;

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const PAGE: &str = "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
const ERROR: &str = "HTTP/1.1 404 Not Found\r\nx-amzn-RequestId: 1\r\ncontent-length: 2\r\n\r\n{}";

impl Http {
    fn network(&self) -> &Network {
        match &self.way {
            Way::Network(network) => network,
            Way::Memory(service) => unreachable!("{service:?}"),
        }
    }
}

/// The head of a request; none if the client has closed the connection.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

async fn asked(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let head = head(stream).await;
    assert!(head.as_ref().is_none_or(|head| head.starts_with("GET /a?b HTTP/1.1\r\n")), "{head:?}");
    head.is_some()
}

/// Answers each request on each connection, and says how many connections there were.
fn serve(listener: TcpListener, answer: &'static str) -> Arc<AtomicUsize> {
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                while asked(&mut stream).await {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    accepted
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a?b", listener.local_addr().unwrap());
    (listener, url)
}

fn get(url: &str) -> Request<Body> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::get(url).body(body).unwrap()
}

fn origin(url: &str) -> Origin {
    Origin::of(&url.parse().unwrap()).unwrap()
}

/// An idle connection in the pool, with its other end.
async fn pooled(http: &Http, url: &str) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(4096);
    let mut connection = Connection::over(ours, None).await.unwrap();
    connection.sender.ready().await.unwrap();
    http.network().pool.put(&origin(url), connection);
    theirs
}

#[tokio::test]
async fn a_proxy_that_passes_requests_on_gets_the_whole_url_and_its_password_and_a_server_neither() {
    let (http, url) = (Http::plain(), "http://aws.test/a?b");
    let login = HeaderValue::from_static("Basic secret");
    for (forwarded, asks, has_login) in [
        (Some(Forwarded { login: Some(login.clone()) }), "GET http://aws.test/a?b HTTP/1.1\r\n", true),
        (Some(Forwarded { login: None }), "GET http://aws.test/a?b HTTP/1.1\r\n", false),
        (None, "GET /a?b HTTP/1.1\r\n", false),
    ] {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        http.network().pool.put(&origin(url), Connection::over(ours, forwarded).await.unwrap());
        let serves = async {
            let head = head(&mut theirs).await.unwrap();
            theirs.write_all(HELLO.as_bytes()).await.unwrap();
            head
        };
        let (sent, head) = tokio::join!(http.send(get(url), Limits::default()), serves);
        assert_eq!(sent.unwrap().status(), 200);
        assert!(head.starts_with(asks) && head.contains("host: aws.test\r\n"), "{head}");
        assert_eq!(head.contains("proxy-authorization: Basic secret\r\n"), has_login, "{head}");
        http.network().pool.forget(&origin(url));
    }
}

fn exchange_within(limit: Duration) -> Limits {
    Limits { exchange: Some(limit), ..Limits::default() }
}

#[tokio::test]
async fn what_was_not_sent_goes_out_on_another_connection() {
    let (listener, url) = listener().await;
    let (http, accepted) = (Http::plain(), serve(listener, HELLO));
    // It closes when the client has already chosen it, but not written yet.
    drop(pooled(&http, &url).await);
    let response = http.send(get(&url), Limits::default()).await.unwrap();
    assert_eq!((&response.into_body()[..], accepted.load(Ordering::Relaxed)), (&b"hello"[..], 1));
}

#[tokio::test]
async fn what_may_have_been_read_is_not_sent_again() {
    let (listener, url) = listener().await;
    let (http, accepted) = (Http::plain(), serve(listener, HELLO));
    let mut theirs = pooled(&http, &url).await;
    let reads = async {
        assert!(asked(&mut theirs).await);
        drop(theirs);
    };
    let (sent, ()) = tokio::join!(http.send(get(&url), Limits::default()), reads);
    assert!(matches!(sent, Err(HttpError::Broken(_))), "{sent:?}");
    assert_eq!(accepted.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_endless_response_is_cut() {
    let (listener, url) = listener().await;
    serve(listener, HELLO);
    let error = Http::plain().at_most(4).send(get(&url), Limits::default()).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLong { status: 200, limit: 4 }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_times_out_closes_its_connection_and_those_that_are_idle() {
    let (http, url) = (Http::plain(), "http://aws.test/a?b");
    let mut ends = [pooled(&http, url).await, pooled(&http, url).await];
    let error = http.send(get(url), exchange_within(Duration::from_secs(3))).await.unwrap_err();
    assert!(matches!(error, HttpError::Timeout), "{error:?}");
    assert!(http.network().pool.take(&origin(url)).is_none());
    for end in &mut ends {
        // Read until the client has closed the connection.
        end.read_to_end(&mut Vec::new()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_of_fifteen_minutes_has_its_time_and_its_connection_is_used_again() {
    let (http, url) = (Http::plain(), "http://aws.test/a?b");
    let theirs = pooled(&http, url).await;
    tokio::spawn(slow(theirs, Duration::from_secs(899)));
    let answered = http.send(get(url), exchange_within(Duration::from_mins(15))).await.unwrap();
    assert_eq!(answered.status(), 200);
}

async fn slow(mut stream: impl AsyncRead + AsyncWrite + Unpin, takes: Duration) {
    while asked(&mut stream).await {
        tokio::time::sleep(takes).await;
        stream.write_all(HELLO.as_bytes()).await.unwrap();
    }
}

/// A client with these names and addresses.
fn with_names(address: Arc<Mutex<IpAddr>>) -> Http {
    let lookup = move |_| {
        let address = *address.lock().unwrap();
        async move { Ok(vec![SocketAddr::new(address, 0)]) }
    };
    Http::of(Dialler::plain(Tcp::new(Names::looked_up(lookup), CONNECT)))
}

/// Two servers at one port of two addresses, the first of which answers so; and what leads to the second from then on.
async fn moved(answer: &'static str) -> (Http, String, Arc<AtomicUsize>, Arc<AtomicUsize>, impl Fn()) {
    let [before, after] = ["127.0.0.1", "127.0.0.2"].map(|address| address.parse::<IpAddr>().unwrap());
    let (old, new) = loop {
        let old = TcpListener::bind((before, 0)).await.unwrap();
        let Ok(new) = TcpListener::bind((after, old.local_addr().unwrap().port())).await else { continue };
        break (old, new);
    };
    let url = format!("http://aws.test:{}/a?b", old.local_addr().unwrap().port());
    let address = Arc::new(Mutex::new(before));
    let http = with_names(address.clone());
    (http, url, serve(old, answer), serve(new, HELLO), move || *address.lock().unwrap() = after)
}

#[tokio::test]
async fn a_page_of_somebody_else_makes_the_next_request_look_the_name_up_again() {
    let (http, url, old, new, moves) = moved(PAGE).await;
    // Another that is idle leads to the old address, too.
    let first = http.network().dialler.dial(&origin(&url), &url.parse().unwrap()).await.unwrap();
    http.network().pool.put(&origin(&url), first);
    let second = http.network().dialler.dial(&origin(&url), &url.parse().unwrap()).await.unwrap();
    http.network().pool.put(&origin(&url), second);
    moves();
    assert_eq!(http.send(get(&url), Limits::default()).await.unwrap().status(), 404);
    assert_eq!(http.send(get(&url), Limits::default()).await.unwrap().status(), 200);
    assert_eq!((old.load(Ordering::Relaxed), new.load(Ordering::Relaxed)), (2, 1));
}

#[tokio::test]
async fn an_error_of_the_service_itself_keeps_its_connection() {
    let (http, url, old, new, moves) = moved(ERROR).await;
    for _ in 0..3 {
        assert_eq!(http.send(get(&url), Limits::default()).await.unwrap().status(), 404);
        moves();
    }
    assert_eq!((old.load(Ordering::Relaxed), new.load(Ordering::Relaxed)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_found_in_time_is_no_connection_whatever_the_exchange_may_take() {
    let never = Names::looked_up(|_| std::future::pending());
    let http = Http::of(Dialler::plain(Tcp::new(never, CONNECT)));
    let error = http.send(get("http://aws.test/"), exchange_within(Duration::from_secs(1))).await.unwrap_err();
    assert!(matches!(error, HttpError::ConnectTimeout), "{error:?}");
}

/// Requests of a cold start.
const AT_ONCE: usize = 64;

/// Sends them all, and opens the gate once no more names are looked up.
async fn cold_start(http: &Http, url: &str, looked_up: &AtomicUsize, gate: &watch::Sender<bool>) -> Vec<Outcome> {
    let sends = (0..AT_ONCE).map(|_| http.send(get(url), Limits::default()));
    let opens = async {
        let mut before = usize::MAX;
        while std::mem::replace(&mut before, looked_up.load(Ordering::Relaxed)) != before {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(before, pool::FIRST_DIALS, "connections are being made");
        gate.send_replace(true);
    };
    tokio::join!(futures_util::future::join_all(sends), opens).0
}

type Outcome = Result<Response<Bytes>, HttpError>;

/// A client whose names resolve to this address once the gate is open, and the number of look-ups.
fn gated(address: Option<IpAddr>) -> (Http, Arc<AtomicUsize>, watch::Sender<bool>) {
    let (gate, opened) = watch::channel(false);
    let count = Arc::new(AtomicUsize::new(0));
    let looked_up = count.clone();
    let lookup = move |_| {
        let mut opened = opened.clone();
        looked_up.fetch_add(1, Ordering::Relaxed);
        async move {
            opened.wait_for(|is_open| *is_open).await.map_err(io::Error::other)?;
            let address = address.ok_or_else(|| io::Error::other("no such name"))?;
            Ok(vec![SocketAddr::new(address, 0)])
        }
    };
    (Http::of(Dialler::plain(Tcp::new(Names::looked_up(lookup), CONNECT))), count, gate)
}

#[tokio::test]
async fn a_cold_start_makes_a_few_connections_at_once_and_answers_all() {
    let (listener, _) = listener().await;
    let url = format!("http://aws.test:{}/a?b", listener.local_addr().unwrap().port());
    let (http, looked_up, gate) = gated(Some("127.0.0.1".parse().unwrap()));
    let accepted = serve(listener, HELLO);
    let answers = cold_start(&http, &url, &looked_up, &gate).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200)), "{answers:?}");
    assert!(accepted.load(Ordering::Relaxed) <= AT_ONCE);
}

#[tokio::test]
async fn a_cold_start_at_an_endpoint_that_is_not_there_fails_at_once_and_not_one_by_one() {
    let (http, looked_up, gate) = gated(None);
    let answers = cold_start(&http, "http://aws.test/a?b", &looked_up, &gate).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(HttpError::Connect(_)))), "{answers:?}");
    assert_eq!(looked_up.load(Ordering::Relaxed), AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_at_an_endpoint_that_is_silent_waits_no_longer_than_one_request() {
    let (http, _, _gate) = gated(None);
    let begun = tokio::time::Instant::now();
    let sends = (0..AT_ONCE).map(|_| http.send(get("http://aws.test/a?b"), Limits::default()));
    let answers = futures_util::future::join_all(sends).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(HttpError::ConnectTimeout))), "{answers:?}");
    assert_eq!(begun.elapsed(), CONNECT);
}
