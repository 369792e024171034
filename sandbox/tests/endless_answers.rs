//! Promise: an answer that does not end is cut where Lambda's own ends, and its connection closed.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails, fails the test")]

mod common;

use std::time::Duration;

use bridge::aws::{Aws, LocalEndpoint};
use bridge::lambda::Disposition;
use common::PATIENCE;
use sandbox::world::FUNCTION;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What fits between two processes of one machine beside what is read.
const IN_BETWEEN: usize = 16 << 20;
const LIMIT: usize = 6_291_556;

/// Answers one request with this status and a body without an end. Returns how much of it could be written.
async fn endless(listener: TcpListener, status: u16) -> usize {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 64 * 1024];
    assert!(stream.read(&mut request).await.unwrap() > 0);
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
        let client = aws.client(&FUNCTION.parse().unwrap(), Duration::from_mins(10));
        let server = tokio::spawn(endless(listener, status));
        let error = tokio::time::timeout(PATIENCE, client.invoke(b"{}".to_vec())).await.unwrap().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.disposition(), Disposition::Retry);
        // The client stands, and so would a connection that it keeps.
        let written = tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap();
        assert!((LIMIT..LIMIT + IN_BETWEEN).contains(&written), "{written}");
        drop(client);
    }
}
