//! The little HTTP that all local services need: an accept loop, a reply that may stall, a body that has a limit.
//!
//! Knows no path and no header of any of them.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A service answers with this to have its connection reset instead.
#[derive(Debug, thiserror::Error)]
#[error("connection: reset on request")]
pub(crate) struct Reset;

/// Serves until dropped; every connection ends with it.
pub(crate) async fn serve<S, F>(listener: TcpListener, service: S)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Reply>, Reset>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, service.clone()));
                }
                // No file descriptor is free: wait for connections to close instead of looping.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve_connection<S, F>(stream: TcpStream, service: S)
where
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<Reply>, Reset>>,
{
    // Without it a small answer waits for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(service));
    let Err(error) = Pin::new(&mut connection).await else { return };
    if error.source().is_some_and(<dyn Error>::is::<Reset>) {
        // A linger of zero makes the close a TCP reset, which is what a broken path looks like.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

/// The body of an answer: whole, or stalled after its first half.
#[derive(Debug)]
pub(crate) struct Reply {
    data: Option<Bytes>,
    length: u64,
    stalls: bool,
}

impl Reply {
    pub(crate) fn whole(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        Self { length: data.len() as u64, data: (!data.is_empty()).then_some(data), stalls: false }
    }

    /// Promises all of `data`, sends half, and then nothing until the peer gives up.
    pub(crate) fn stalled(data: &Bytes) -> Self {
        let half = data.slice(..data.len() / 2);
        Self { length: data.len() as u64 + 1, data: (!half.is_empty()).then_some(half), stalls: true }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.data.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            // Nobody wakes it: the connection itself notices when the peer leaves.
            None if self.stalls => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.stalls
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

/// An answer in JSON.
pub(crate) fn json(status: u16, headers: &[(&'static str, String)], body: impl Into<Bytes>) -> Response<Reply> {
    reply(status, headers, Reply::whole(body))
}

/// An answer with any body. A header value that HTTP does not allow is left out.
pub(crate) fn reply(status: u16, headers: &[(&'static str, String)], body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = [("content-type", "application/json".to_owned())];
    for (name, value) in json.iter().chain(headers) {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

/// The header's value, when it is there and text.
pub(crate) fn header<'a, B>(request: &'a Request<B>, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Why a body could not be read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It has more bytes than anyone may send.
    TooLong,
    /// The peer left half-way.
    Gone,
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(body: Incoming, limit: usize) -> Result<Bytes, Unread> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLong),
        Err(_) => Err(Unread::Gone),
    }
}
