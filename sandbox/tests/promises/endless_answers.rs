//! Promise: a response without an end is cut at Lambda's own limit and its connection closed, and no other mapping
//! waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{PATIENCE, eventually, publish};
use crate::replica::{SHORT, broker, mapping};
use bridge::Bridge;
use bridge::aws::{Aws, LocalEndpoint};
use bridge::config::{Config, Overrides, Protocol};
use bridge::lambda::Disposition;
use sandbox::world::{FUNCTION, World, lambda_client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What fits between two processes of one machine beside what is read.
const IN_BETWEEN: usize = 16 << 20;
const LIMIT: usize = 6_291_556;

/// Answers one request with this status and a body without an end. Returns how much of it could be written.
async fn endless(listener: TcpListener, status: u16) -> usize {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 64 * 1024];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    babble(&mut stream, status).await
}

async fn babble(stream: &mut TcpStream, status: u16) -> usize {
    let head = format!("HTTP/1.1 {status} X\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();
    let mut written = 0;
    while stream.write_all(&chunk).await.is_ok() {
        written += 0x4000;
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_an_end_is_cut_and_its_connection_closed() {
    for (status, words) in [(200, "larger than the 6 MB that the service answers at most"), (502, "HTTP 502")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = Aws::local(LocalEndpoint { url: format!("http://{}", listener.local_addr().unwrap()) });
        let client = aws.invoking(lambda_client()).client(&FUNCTION.parse().unwrap(), Duration::from_mins(10));
        let server = tokio::spawn(endless(listener, status));
        let error = tokio::time::timeout(PATIENCE, client.invoke(b"{}".to_vec())).await.unwrap().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.disposition(), Disposition::Retry);
        // The client still exists, so a connection that it kept would be open.
        let written = tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap();
        assert!((LIMIT..LIMIT + IN_BETWEEN).contains(&written), "{written}");
        drop(client);
    }
}

/// How often each of two functions was invoked.
#[derive(Debug, Default)]
struct Invoked {
    endless: AtomicU64,
    other: AtomicU64,
}

/// An endpoint with a runtime of its own: what it writes must not wait for the bridge's thread. One function answers without an end,
/// the other at once.
fn two_functions(invoked: Arc<Invoked>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&invoked)));
            }
        });
    });
    url
}

/// Requests of one connection, each of which is small.
async fn serve(mut stream: TcpStream, invoked: Arc<Invoked>) {
    let (mut request, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let Ok(read) = stream.read(&mut part).await else { return };
        if read == 0 {
            return;
        }
        request.extend_from_slice(&part[..read]);
        if !request.ends_with(b"}]}") {
            continue;
        }
        if request.windows(18).any(|window| window == b"functions/endless/") {
            invoked.endless.fetch_add(1, Ordering::Relaxed);
            babble(&mut stream, 200).await;
            return;
        }
        invoked.other.fetch_add(1, Ordering::Relaxed);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull").await.unwrap();
        request.clear();
    }
}

/// On one thread, as the bridge runs.
#[tokio::test]
async fn f46_an_answer_without_an_end_does_not_stop_another_mapping() {
    let world = World::builder().without_bridge().await.unwrap();
    let invoked = Arc::new(Invoked::default());
    let endpoint = two_functions(Arc::clone(&invoked));
    let of = |name: &str| mapping(name, &format!("{name}/data"), "timeout = \"15m\"").replace("sensor-handler", name);
    let config = broker(world.url(), &world.files, Protocol::V5, "b", SHORT) + &of("endless") + &of("other");
    let file = world.directory().join("bridge.toml");
    std::fs::write(&file, config).unwrap();
    let overrides = Overrides::default().set("lambda.client", lambda_client().to_string());
    let config = Config::load(Some(&file), std::iter::empty(), overrides).unwrap();
    let bridge = Bridge::start(config, &Aws::local(LocalEndpoint { url: endpoint })).await.unwrap();
    tokio::time::timeout(PATIENCE, bridge.ready()).await.expect("ready");

    publish(&world, 1, |options| options.topic = "endless/data".into()).await;
    eventually("it is cut, and comes again", || invoked.endless.load(Ordering::Relaxed) >= 2).await;
    publish(&world, 50, |options| options.topic = "other/data".into()).await;
    let acknowledged = |name: &str| bridge.metrics().mapping(name).acknowledged.get();
    eventually("the other mapping goes on", || acknowledged("other") == 50).await;
    let seen = invoked.endless.load(Ordering::Relaxed);
    eventually("while the endless one does, too", || invoked.endless.load(Ordering::Relaxed) > seen).await;
    assert_eq!(acknowledged("endless"), 0);
    assert!(invoked.other.load(Ordering::Relaxed) > 0);
}
