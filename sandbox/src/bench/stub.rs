//! An endpoint of the Invoke API without functions and faults: it accepts any request, waits for a set time and answers
//! with success. It is a separate process, so that its CPU time does not count for the bridge. It counts messages by
//! the times in their payloads.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certs::{IdentityFiles, server_config};

/// Stands before the time of each message, in microseconds since 1970.
const AT: &str = "\"at\":";
/// Stands behind it, before the message's number.
const NUMBER: &str = ",\"n\":";

/// The mark of a message that is published now, as two fields of JSON.
pub(super) fn mark(number: u64) -> String {
    format!("{AT}{}{NUMBER}{number}", now())
}

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nx-amzn-requestid: bench\r\ncontent-length: 24\r\n\r\n{\"batchItemFailures\":[]}";

/// A connection, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What has come since the last reset; times in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) invocations: u64,
    pub(super) messages: u64,
    /// Messages, each counted once.
    pub(super) different: u64,
    /// From the first invocation to the last.
    pub(super) took: u64,
    /// Messages of the first invocation, which that time does not hold.
    pub(super) head: u64,
    /// From publication to invocation.
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
}

#[derive(Debug)]
struct Book {
    invocations: u64,
    head: u64,
    first: u64,
    last: u64,
    delays: Histogram<u64>,
    /// By number, who was there.
    there: Vec<bool>,
    different: u64,
}

impl Book {
    fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            invocations: 0,
            head: 0,
            first: 0,
            last: 0,
            delays: Histogram::new(3)?,
            there: Vec::new(),
            different: 0,
        })
    }

    fn note(&mut self, body: &[u8], now: u64) {
        self.invocations += 1;
        self.last = now;
        if self.first == 0 {
            self.first = now;
        }
        for (at, number) in marks(body) {
            // An auto-resizing histogram: recording cannot fail.
            let _ = self.delays.record(now.saturating_sub(at));
            if self.there.len() <= number {
                self.there.resize(number + 1, false);
            }
            self.different += u64::from(!std::mem::replace(&mut self.there[number], true));
        }
        if self.invocations == 1 {
            self.head = self.delays.len();
        }
    }

    fn seen(&self) -> Seen {
        let percentile = |q| self.delays.value_at_quantile(q);
        Seen {
            invocations: self.invocations,
            messages: self.delays.len(),
            different: self.different,
            took: self.last - self.first,
            head: self.head,
            p50: percentile(0.5),
            p90: percentile(0.9),
            p99: percentile(0.99),
        }
    }
}

/// Says on stdout which port it has, and serves until its stdin ends.
///
/// # Errors
/// When it cannot listen.
pub async fn run(latency: Duration, identity: Option<IdentityFiles>) -> io::Result<()> {
    let tls = identity.map(|identity| server_config(&identity)).transpose().map_err(io::Error::other)?;
    let tls = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let book = Arc::new(Mutex::new(Book::new().map_err(io::Error::other)?));
    let serving = async {
        loop {
            let (stream, _) = listener.accept().await?;
            // The bridge handles a connection that breaks.
            stream.set_nodelay(true)?;
            let (book, tls) = (Arc::clone(&book), tls.clone());
            tokio::spawn(async move {
                match tls {
                    // The benchmark itself asks for figures without TLS.
                    Some(tls) if is_tls(&stream).await? => serve(tls.accept(stream).await?, book, latency).await,
                    _ => serve(stream, book, latency).await,
                }
            });
        }
    };
    let (mut stdin, mut end) = (tokio::io::stdin(), [0]);
    tokio::select! {
        ended = serving => ended,
        // The benchmark that started this process has exited.
        _ = stdin.read(&mut end) => Ok(()),
    }
}

/// Whether a handshake comes (RFC 8446, section 5.1).
async fn is_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? == 1 && first[0] == 22)
}

/// One request after the other, on one connection.
async fn serve(mut stream: impl Stream, book: Arc<Mutex<Book>>, latency: Duration) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(64 * 1024);
    loop {
        let Some((head, whole)) = next(&mut stream, &mut bytes).await? else { return Ok(()) };
        let answer = if bytes.starts_with(b"POST /2015-03-31/") {
            locked(&book).note(&bytes[head..whole], now());
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            ANSWER.to_vec()
        } else {
            let is_reset = bytes.starts_with(b"POST /reset");
            let seen = locked(&book).seen();
            if is_reset {
                *locked(&book) = Book::new().map_err(io::Error::other)?;
            }
            let seen = serde_json::to_string(&seen)?;
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{seen}", seen.len()).into_bytes()
        };
        bytes.drain(..whole);
        stream.write_all(&answer).await?;
    }
}

/// Reads until `bytes` begins with a whole request: where its body begins, and where it ends. `None` at the end.
async fn next(stream: &mut impl Stream, bytes: &mut Vec<u8>) -> io::Result<Option<(usize, usize)>> {
    loop {
        if let Some(head) = find(bytes, b"\r\n\r\n").map(|at| at + 4) {
            let whole = head + length(&bytes[..head]);
            if bytes.len() >= whole {
                return Ok(Some((head, whole)));
            }
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}

fn length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// Times and numbers of the messages in an event.
pub(super) fn marks(body: &[u8]) -> impl Iterator<Item = (u64, usize)> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    text.match_indices(AT).filter_map(|(at, _)| {
        let (time, rest) = number(&text[at + AT.len()..])?;
        let (number, _) = number(rest.strip_prefix(NUMBER)?)?;
        Some((time, usize::try_from(number).ok()?))
    })
}

/// The number that it begins with, and what is behind it.
fn number(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    Some((digits.parse().ok()?, rest))
}

/// Microseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn locked(book: &Mutex<Book>) -> std::sync::MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_their_times() {
        let mut book = Book::new().unwrap();
        book.note(br#"{"records":[{"payload":{"at":100,"n":1}},{"payload":{"at":150,"n":2}}]}"#, 200);
        book.note(br#"{"at":900,"n":2}"#, 50_000);
        book.note(br#"{"at":"never"}"#, 50_000);
        let seen = book.seen();
        assert_eq!((seen.invocations, seen.messages, seen.different, seen.took), (3, 3, 2, 49_800));
        assert_eq!((seen.p50, seen.p99 / 1_000, seen.head), (100, 49, 2));
    }

    #[tokio::test]
    async fn requests_are_told_apart_on_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let book = Arc::new(Mutex::new(Book::new().unwrap()));
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(serve(listener.accept().await.unwrap().0, Arc::clone(&book), Duration::ZERO));
        for body in [r#"{"at":1,"n":1}"#, r#"[{"at":1,"n":1},{"at":2,"n":2}]"#] {
            let head =
                format!("POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
            let mut answer = vec![0; ANSWER.len()];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, ANSWER);
        }
        let seen = locked(&book).seen();
        assert_eq!((seen.invocations, seen.messages), (2, 3));
    }
}
