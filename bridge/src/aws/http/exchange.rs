//! One request and its whole response, with a clock for each stage: waiting for a connection is never the service's time.
//! Sends again by itself only what provably was not sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Request, Response, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use super::dial::{Body, Connection, Dialler, Origin};
use super::error::HttpError;
use super::pool::Pool;
use super::roots;

/// How long a connection may take unless a client says otherwise: name, TCP, proxy and TLS together.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest response of any service that the bridge calls is an object of S3 with one message in it.
const LONGEST: usize = 512 * 1024 * 1024;

/// How long the stages of an exchange may take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// Until there is a connection; five seconds unless said.
    pub(crate) connect: Option<Duration>,
    /// From then until the last byte of the response; without limit unless said.
    pub(crate) exchange: Option<Duration>,
}

/// The client; clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    dialler: Arc<Dialler>,
    pool: Arc<Pool>,
    longest: usize,
}

/// What became of a request on one connection.
enum Sent {
    Answered(Response<Bytes>),
    /// The connection had ended before the first byte; here is the request back.
    Unsent(Request<Body>),
}

impl Http {
    /// A client as the environment says: roots, `AWS_CA_BUNDLE`, and the proxies of `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`.
    ///
    /// # Errors
    /// Why `AWS_CA_BUNDLE` cannot be used.
    pub(crate) fn from_environment() -> Result<Self, &'static str> {
        let bundle = std::env::var_os("AWS_CA_BUNDLE");
        let dialler = Dialler::new(roots::roots(bundle.as_deref())?, Matcher::from_env(), CONNECT);
        dialler.map(Self::of).map_err(|_| "TLS cannot be set up with this build")
    }

    /// A client for a local endpoint: without TLS, and straight to its host.
    pub(crate) fn plain() -> Self {
        Self::of(Dialler::plain(CONNECT))
    }

    fn of(dialler: Dialler) -> Self {
        Self { dialler: Arc::new(dialler), pool: Arc::default(), longest: LONGEST }
    }

    /// The same connections, for responses of at most so many bytes.
    pub(crate) fn at_most(&self, longest: usize) -> Self {
        Self { longest, ..self.clone() }
    }

    /// Sends a request with an absolute URL and returns the whole response.
    ///
    /// # Errors
    /// [`HttpError`], by the stage at which it failed. Before [`HttpError::Timeout`] nothing but the exchange has taken time.
    pub(crate) async fn send(&self, mut request: Request<Body>, limits: Limits) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri().clone();
        let origin = Origin::of(&uri)?;
        if !request.headers().contains_key(HOST) {
            let host = HeaderValue::try_from(origin.header()).map_err(|_| HttpError::NoHost)?;
            request.headers_mut().insert(HOST, host);
        }
        loop {
            let connecting = self.connection(&origin, &uri);
            let (mut connection, fresh) =
                within(limits.connect.or(Some(CONNECT)), connecting, HttpError::ConnectTimeout).await?;
            address(&mut request, &uri, &connection);
            let exchange = exchange(&mut connection, request, self.longest);
            let sent = within(limits.exchange, exchange, HttpError::Timeout).await;
            if sent.is_err() {
                self.pool.forget(&origin);
            }
            match sent? {
                Sent::Answered(response) => {
                    self.pool.put(origin, connection);
                    return Ok(response);
                }
                Sent::Unsent(_) if fresh => {
                    let closed = std::io::Error::other("it was closed before anything was sent");
                    return Err(HttpError::Connect(closed));
                }
                Sent::Unsent(back) => request = back,
            }
        }
    }

    /// One from the pool, or a new one (`true`).
    async fn connection(&self, origin: &Origin, uri: &Uri) -> Result<(Connection, bool), HttpError> {
        while let Some(mut connection) = self.pool.take(origin) {
            if connection.sender.ready().await.is_ok() {
                return Ok((connection, false));
            }
        }
        Ok((self.dialler.dial(origin, uri).await?, true))
    }
}

/// A server is asked for a path, a proxy for the whole URL (RFC 9112, 3.2).
fn address(request: &mut Request<Body>, uri: &Uri, connection: &Connection) {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = if connection.forwarded.is_some() { uri.clone() } else { path.parse().unwrap_or_default() };
    request.headers_mut().remove(PROXY_AUTHORIZATION);
    if let Some(login) = connection.forwarded.as_ref().and_then(|proxy| proxy.login.clone()) {
        request.headers_mut().insert(PROXY_AUTHORIZATION, login);
    }
}

async fn exchange(connection: &mut Connection, request: Request<Body>, longest: usize) -> Result<Sent, HttpError> {
    let response = match connection.sender.try_send_request(request).await {
        Ok(response) => response,
        Err(mut error) => {
            return match error.take_message() {
                Some(request) => Ok(Sent::Unsent(request)),
                None => Err(HttpError::Broken(error.into_error())),
            };
        }
    };
    let (head, body) = response.into_parts();
    match Limited::new(body, longest).collect().await {
        Ok(body) => Ok(Sent::Answered(Response::from_parts(head, body.to_bytes()))),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(HttpError::TooLong { status: head.status.as_u16(), limit: longest })
        }
        Err(error) => Err(error.downcast().map_or(HttpError::Timeout, |error| HttpError::Broken(*error))),
    }
}

async fn within<T>(
    limit: Option<Duration>,
    stage: impl Future<Output = Result<T, HttpError>>,
    late: HttpError,
) -> Result<T, HttpError> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, stage).await.unwrap_or(Err(late)),
        None => stage.await,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request on each connection with `body`, and closes it.
    async fn server(body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?b", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                assert!(head.starts_with(b"GET /a?b HTTP/1.1\r\n"));
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        url
    }

    fn get(url: &str) -> Request<Body> {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Request::get(url).body(body).unwrap()
    }

    #[tokio::test]
    async fn what_was_not_sent_goes_out_on_another_connection() {
        let (http, url) = (Http::plain(), server("hello").await);
        let uri = url.parse::<Uri>().unwrap();
        let origin = Origin::of(&uri).unwrap();
        for _ in 0..3 {
            let (mut connection, _) = http.connection(&origin, &uri).await.unwrap();
            let mut first = get(&url);
            address(&mut first, &uri, &connection);
            let answered = exchange(&mut connection, first, LONGEST).await;
            assert!(matches!(answered, Ok(Sent::Answered(_))));
            while !connection.is_closed() {
                tokio::task::yield_now().await;
            }
            let sent = exchange(&mut connection, get(&url), LONGEST).await;
            assert!(matches!(sent, Ok(Sent::Unsent(_))), "hyper gives back what it has not written");
            // In the pool again it is passed over.
            http.pool.put(origin.clone(), connection);
            let response = http.send(get(&url), Limits::default()).await.unwrap();
            assert_eq!(&response.into_body()[..], b"hello");
        }
    }

    #[tokio::test]
    async fn an_endless_response_is_cut() {
        let (http, url) = (Http::plain().at_most(4), server("hello").await);
        let error = http.send(get(&url), Limits::default()).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLong { status: 200, limit: 4 }), "{error:?}");
    }

    #[tokio::test]
    async fn an_exchange_that_times_out_closes_its_connection_and_those_that_are_idle() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (uri, http) = (url.parse::<Uri>().unwrap(), Http::plain());
        let origin = Origin::of(&uri).unwrap();
        let (idle, _) = http.connection(&origin, &uri).await.unwrap();
        let (used, _) = http.connection(&origin, &uri).await.unwrap();
        http.pool.put(origin.clone(), idle);
        http.pool.put(origin.clone(), used);
        let limits = Limits { exchange: Some(Duration::from_millis(50)), ..Limits::default() };
        let error = http.send(get(&url), limits).await.unwrap_err();
        assert!(matches!(error, HttpError::Timeout), "{error:?}");
        assert!(http.pool.take(&origin).is_none());
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut sent = Vec::new();
            let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut sent));
            drop(ended.await.expect("the socket is closed"));
        }
    }
}
