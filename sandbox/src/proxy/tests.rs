//! What the proxy does to bytes and to connections, fault by fault, with an echo behind it.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy in front of a server that sends back what it gets.
async fn echo() -> Proxy {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    Proxy::start(&BrokerUrl::mqtts("127.0.0.1", port)).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.url().port)).await.unwrap()
}

/// Sends `bytes` and says how long they took to come back.
async fn there_and_back(stream: &mut TcpStream, bytes: &[u8]) -> Duration {
    let begun = Instant::now();
    let (mut read, mut write) = stream.split();
    let mut back = vec![0; bytes.len()];
    let both = async { tokio::try_join!(write.write_all(bytes), read.read_exact(&mut back)) };
    timeout(PATIENCE, both).await.unwrap().unwrap();
    assert_eq!(back, bytes);
    begun.elapsed()
}

#[tokio::test]
async fn a_good_line_passes_everything_and_its_end() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    there_and_back(&mut stream, &bytes).await;
    stream.shutdown().await.unwrap();
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    assert_eq!((proxy.connections(), proxy.passed()), (1, 400_000));
}

#[tokio::test]
async fn a_reset_is_a_reset_and_the_next_connection_is_good() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    there_and_back(&mut stream, b"hello").await;
    proxy.reset();
    let error = timeout(PATIENCE, stream.read(&mut [0; 1])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    there_and_back(&mut connect(&proxy).await, b"hello").await;
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn delay_throttle_and_loss_take_their_time() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    let bad = Quality { delay: Duration::from_millis(100), ..Quality::default() };
    proxy.set(bad);
    assert!(there_and_back(&mut stream, b"hello").await >= Duration::from_millis(200));
    proxy.set(Quality { bytes_per_second: Some(50_000), ..Quality::default() });
    assert!(there_and_back(&mut stream, &vec![7; 25_000]).await >= Duration::from_millis(490));
    let loss = Loss { probability: 1.0, timeout: Duration::from_millis(50), seed: 1 };
    proxy.set(Quality { loss: Some(loss), ..Quality::default() });
    assert!(there_and_back(&mut stream, b"hello").await >= Duration::from_millis(100));
    proxy.set(Quality { loss: Some(Loss { probability: 0.0, ..loss }), ..Quality::default() });
    there_and_back(&mut stream, b"hello").await;
    assert_eq!(proxy.connections(), 1, "a slow line is no broken one");
}

#[tokio::test]
async fn a_silent_line_tells_nothing_and_then_everything() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    there_and_back(&mut stream, b"hello").await;
    proxy.set(Quality { silent: true, ..Quality::default() });
    stream.write_all(b"anybody there?").await.unwrap();
    let mut other = connect(&proxy).await;
    other.write_all(b"or here?").await.unwrap();
    let mut back = [0; 14];
    timeout(Duration::from_millis(300), stream.read_exact(&mut back)).await.unwrap_err();
    timeout(Duration::from_millis(10), other.read(&mut [0; 1])).await.unwrap_err();
    proxy.set(Quality::default());
    let mut back = [0; 14];
    timeout(PATIENCE, stream.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"anybody there?");
}

#[tokio::test]
async fn a_line_that_is_cut_has_carried_exactly_so_many_bytes() {
    let proxy = echo().await;
    proxy.cut_after(2_000);
    let mut stream = connect(&proxy).await;
    stream.write_all(&[7; 5_000]).await.unwrap();
    let mut bytes = Vec::new();
    // A reset may overtake the bytes before it on their way to the reader, but none comes after them.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap().unwrap_err();
    assert!(bytes.len() <= 2_000);
    there_and_back(&mut connect(&proxy).await, &[7; 5_000]).await;
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn nobody_behind_it_is_a_reset() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let target = BrokerUrl::mqtts("127.0.0.1", listener.local_addr().unwrap().port());
    drop(listener);
    let proxy = Proxy::start(&target).await.unwrap();
    let mut stream = connect(&proxy).await;
    let error = timeout(PATIENCE, stream.read(&mut [0; 1])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
