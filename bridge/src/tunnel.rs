//! The tunnel through a proxy (CONNECT; RFC 9110, 9.3.6). Its user name and password go to the proxy and nowhere else.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// The longest head of an answer that is read.
const LONGEST: usize = 8 * 1024;

/// Why there is no tunnel. Repeats nothing that was sent.
#[derive(Debug)]
pub(crate) enum TunnelError {
    /// The connection to the proxy broke.
    Broken(io::Error),
    /// It answers with another status than success.
    Answered(u16),
    /// It does not answer as an HTTP proxy.
    NotHttp,
}

/// Asks the proxy at the other end of `stream` for a tunnel to `authority`, as in `lambda.eu-west-1.amazonaws.com:443`.
/// `login` is the value of Proxy-Authorization.
///
/// # Errors
/// When the proxy refuses, leaves, or does not speak HTTP.
pub(crate) async fn tunnel<S>(mut stream: S, authority: &str, login: Option<&[u8]>) -> Result<S, TunnelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let lines = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    // Allocated in full: a buffer that grows would leave copies of the login behind.
    let mut ask = Zeroizing::new(Vec::with_capacity(lines.len() + login.map_or(0, <[u8]>::len) + 64));
    ask.extend_from_slice(lines.as_bytes());
    if let Some(login) = login {
        ask.extend_from_slice(b"Proxy-Authorization: ");
        ask.extend_from_slice(login);
        ask.extend_from_slice(b"\r\n");
    }
    ask.extend_from_slice(b"\r\n");
    stream.write_all(&ask).await.map_err(TunnelError::Broken)?;
    let head = head(&mut stream).await.map_err(TunnelError::Broken)?;
    match status(&head) {
        Some(200..=299) => Ok(stream),
        Some(status) => Err(TunnelError::Answered(status)),
        None => Err(TunnelError::NotHttp),
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

    async fn answered(answer: &'static [u8]) -> Result<String, TunnelError> {
        let (ours, mut theirs) = tokio::io::duplex(LONGEST * 2);
        theirs.write_all(answer).await.unwrap();
        let mut tunnel = tunnel(ours, "aws.test:443", Some(b"Basic hidden")).await?;
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
    async fn a_refusal_is_told_by_its_status() {
        for (answer, status) in [(&b"HTTP/1.1 407 no\r\n\r\n"[..], 407), (b"HTTP/1.0 503 no\r\n\r\n", 503)] {
            let error = answered(answer).await.unwrap_err();
            assert!(matches!(error, TunnelError::Answered(found) if found == status), "{error:?}");
        }
        let error = answered(b"SSH-2.0-x\r\n\r\n").await.unwrap_err();
        assert!(matches!(error, TunnelError::NotHttp), "{error:?}");
        let endless: &[u8] = &[b'x'; LONGEST * 2];
        let error = answered(endless).await.unwrap_err();
        assert!(matches!(error, TunnelError::NotHttp), "{error:?}");
    }

    #[tokio::test]
    async fn what_is_asked_for_stands_in_the_request_and_in_no_error() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let (error, head) = tokio::join!(tunnel(ours, "[2001:db8::1]:8883", Some(b"Basic hidden")), async {
            let head = head(&mut theirs).await.unwrap();
            drop(theirs);
            String::from_utf8(head).unwrap()
        });
        let expected =
            "CONNECT [2001:db8::1]:8883 HTTP/1.1\r\nHost: [2001:db8::1]:8883\r\nProxy-Authorization: Basic hidden\r\n";
        assert_eq!(head, format!("{expected}\r\n"));
        let error = error.unwrap_err();
        assert!(matches!(error, TunnelError::Broken(_)) && !format!("{error:?}").contains("hidden"), "{error:?}");
    }
}
