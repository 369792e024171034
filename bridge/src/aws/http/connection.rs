//! An open connection, for one exchange at a time. Does not connect itself, and measures no time but its age.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::error::HttpError;

/// A request's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A connection on which one exchange may run. Dropping it closes the socket at once.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<Body>,
    /// A proxy on the way reads the requests.
    pub(super) forwarded: Option<Forwarded>,
    pub(super) made: Instant,
    task: JoinHandle<()>,
}

/// The parts that a request needs if a proxy forwards it without a tunnel.
#[derive(Debug)]
pub(super) struct Forwarded {
    pub(super) login: Option<HeaderValue>,
}

impl Connection {
    /// HTTP/1.1 over a stream that leads there.
    pub(super) async fn over<S>(stream: S, forwarded: Option<Forwarded>) -> Result<Self, HttpError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| HttpError::Broken(error.into()))?;
        // The exchange that runs on the connection gets the error, so it is dropped here.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, forwarded, made: Instant::now(), task })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Otherwise unsent data would keep a dead connection open until TCP gives up.
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::{BodyExt, Full};
    use hyper::Request;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_is_dropped_is_closed_though_nobody_reads_what_it_writes() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut connection = Connection::over(ours, None).await.unwrap();
        let body = Full::new(Bytes::from(vec![0; 4096])).map_err(|never| match never {}).boxed_unsync();
        let sending = connection.sender.try_send_request(Request::post("/").body(body).unwrap());
        assert!(tokio::time::timeout(Duration::from_millis(50), sending).await.is_err());
        drop(connection);
        let closed = async { while theirs.write_all(b" ").await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(10), closed).await.expect("our end is gone");
    }
}
