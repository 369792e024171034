//! Accepts connections to the admin endpoint, with a limited number and a limited life, so that a client that sends
//! nothing, or does not read, delays nobody for long. Knows no paths and no responses.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The most connections at once, so that nobody can exhaust descriptors through the operators' endpoint.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection may take from its beginning to its end.
const LONGEST: Duration = Duration::from_secs(10);
/// How long each connection may live at least before it is closed for one that waits. With 1,024 that wait, which is as
/// many as the listener lets wait, the last one is heard within 4 s.
const GRACE: Duration = Duration::from_millis(250);
/// The most of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// Answers with `answer` until it is dropped.
pub(super) async fn serve<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let (mut connections, mut oldest) = (JoinSet::new(), VecDeque::new());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let task = connections.spawn(timeout(LONGEST, converse(stream, answer.clone())));
                oldest.push_back((Instant::now(), task));
                make_room(&mut connections, &mut oldest).await;
            }
            // Most likely no file descriptor is free; wait until one is.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Returns once there are fewer than [`MAX_CONNECTIONS`]: the oldest one is closed as soon as it has had its time.
async fn make_room<T: 'static>(connections: &mut JoinSet<T>, oldest: &mut VecDeque<(Instant, AbortHandle)>) {
    while connections.try_join_next().is_some() {}
    while connections.len() >= MAX_CONNECTIONS {
        oldest.retain(|(_, task)| !task.is_finished());
        let Some((begun, task)) = oldest.front() else { return };
        tokio::select! {
            _ = connections.join_next() => {}
            () = sleep_until(*begun + GRACE) => task.abort(),
        }
    }
    oldest.retain(|(_, task)| !task.is_finished());
}

async fn converse<A, F>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // A client that closes its connection early needs no response and no log line.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn served() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, |_| async { Response::new(Full::new("ok\n".into())) }));
        address
    }

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        // A connection that is closed before its request gets no response.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    /// The limit of waiting connections, 1,024, that docs/status.md documents.
    #[tokio::test(start_paused = true)]
    async fn sixty_four_silent_clients_delay_the_next_one_by_a_quarter_of_a_second() {
        let (mut connections, mut oldest, begun) = (JoinSet::new(), VecDeque::new(), Instant::now());
        for silent in 0..1024_u32 {
            let task = connections.spawn(std::future::pending::<()>());
            oldest.push_back((Instant::now(), task));
            make_room(&mut connections, &mut oldest).await;
            let rounds = (silent + 1).div_ceil(64);
            assert!(begun.elapsed() <= Duration::from_millis(250) * rounds, "{silent}: {:?}", begun.elapsed());
        }
    }

    /// The deadline is a multiple of what it takes; with as many places and no room made it would be 20 s.
    #[tokio::test]
    async fn neither_silent_clients_nor_those_with_half_a_request_keep_others_from_being_heard() {
        let address = served().await;
        let mut silent = Vec::new();
        for number in 0..200 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET /livez HTT").await.unwrap();
            }
            silent.push(stream);
        }
        let answer = timeout(Duration::from_secs(8), ask(address)).await.expect("heard");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok\n"), "{answer}");
        drop(silent);
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let address = served().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(2 * MAX_HEAD));
        // The server may close the connection before all of it is written.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    }
}
