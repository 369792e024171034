//! The tunnel through a proxy (CONNECT; RFC 9110, 9.3.6). Its user name and password go to the proxy and nowhere else.

use std::io;

use hyper::header::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::error::HttpError;

/// The longest head of an answer that is read.
const LONGEST: usize = 8 * 1024;

/// Asks the proxy at the other end of `stream` for a tunnel to `authority`, as in `lambda.eu-west-1.amazonaws.com:443`.
///
/// # Errors
/// When the proxy refuses, leaves, or does not speak HTTP.
pub(super) async fn tunnel<S>(mut stream: S, authority: &str, login: Option<&HeaderValue>) -> Result<S, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut ask = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(login) = login {
        ask.extend_from_slice(b"Proxy-Authorization: ");
        ask.extend_from_slice(login.as_bytes());
        ask.extend_from_slice(b"\r\n");
    }
    ask.extend_from_slice(b"\r\n");
    stream.write_all(&ask).await.map_err(HttpError::Connect)?;
    let head = head(&mut stream).await.map_err(HttpError::Connect)?;
    match status(&head) {
        Some(200..=299) => Ok(stream),
        Some(407) => Err(HttpError::Proxy("it wants a user name and a password, or others (407)".into())),
        // It would let the bridge through, but does not reach the other side now.
        Some(status @ 500..=599) => Err(HttpError::Connect(io::Error::other(format!("the proxy answers {status}")))),
        Some(status) => Err(HttpError::Proxy(format!("it refuses the way to {authority} ({status})"))),
        None => Err(HttpError::Proxy("it does not answer as an HTTP proxy".into())),
    }
}

/// Up to the empty line, and no byte of what comes behind it.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST {
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.strip_prefix("HTTP/1.")?.split(' ');
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &'static [u8]) -> Result<String, HttpError> {
        let (ours, mut theirs) = tokio::io::duplex(LONGEST * 2);
        theirs.write_all(answer).await.unwrap();
        let mut login = HeaderValue::from_static("Basic hidden");
        login.set_sensitive(true);
        let mut tunnel = tunnel(ours, "aws.test:443", Some(&login)).await?;
        drop(theirs.shutdown().await);
        let mut rest = String::new();
        tunnel.read_to_string(&mut rest).await.unwrap();
        Ok(rest)
    }

    #[tokio::test]
    async fn what_comes_behind_the_answer_stays_in_the_tunnel() {
        assert_eq!(answered(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello").await.unwrap(), "hello");
    }

    #[tokio::test]
    async fn a_refusal_is_told_from_a_proxy_that_cannot() {
        for refused in [&b"HTTP/1.1 407 no\r\n\r\n"[..], b"HTTP/1.0 403 no\r\n\r\n", b"SSH-2.0-x\r\n\r\n"] {
            let error = answered(refused).await.unwrap_err();
            assert!(matches!(error, HttpError::Proxy(_)), "{error:?}");
            assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
        }
        let error = answered(b"HTTP/1.1 503 later\r\n\r\n").await.unwrap_err();
        assert!(matches!(error, HttpError::Connect(_)), "{error:?}");
    }
}
