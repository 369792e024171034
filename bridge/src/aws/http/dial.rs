//! A new connection: name, TCP, proxy, TLS. Asks for the name each time, so that a service that has moved is found again.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::Uri;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::error::HttpError;
use super::proxy::tunnel;
use crate::crypto;

/// NAT gateways and load balancers forget a connection that is silent for 350 s, and a function may take 900 s.
const KEEP_ALIVE: Duration = Duration::from_mins(1);
/// How often a peer that does not answer the keep-alive is asked again, and how many times.
const ASK_AGAIN: (Duration, u32) = (Duration::from_secs(15), 4);

/// A request's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    pub(super) fn of(uri: &Uri) -> Result<Self, HttpError> {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(HttpError::NoHost)?.to_ascii_lowercase();
        Ok(Self { secure, host, port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }) })
    }

    /// The header Host, without a port that its scheme implies (RFC 9110, 7.2).
    pub(super) fn header(&self) -> String {
        let implied = if self.secure { 443 } else { 80 };
        if self.port == implied { self.host.clone() } else { self.authority() }
    }

    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Credentials of the instance, the task or the pod, which no proxy reaches.
    fn is_link_local(&self) -> bool {
        self.host.starts_with("169.254.") || self.host == "[fd00:ec2::254]" || self.host == "[fd00:ec2::23]"
    }
}

/// A connection on which one exchange may run. Dropping it closes the socket at once.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<Body>,
    /// A proxy on the way reads the requests.
    pub(super) forwarded: Option<Forwarded>,
    task: JoinHandle<()>,
}

/// What a proxy wants that passes plain requests on.
#[derive(Debug)]
pub(super) struct Forwarded {
    pub(super) login: Option<HeaderValue>,
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // What is still to be written would otherwise keep a dead connection for as long as TCP hopes.
        self.task.abort();
    }
}

/// Makes connections.
pub(super) struct Dialler {
    tcp: HttpConnector,
    tls: Option<TlsConnector>,
    proxies: Matcher,
}

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialler")
    }
}

impl Dialler {
    pub(super) fn new(roots: RootCertStore, proxies: Matcher, longest: Duration) -> Result<Self, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::provider(&[], &[])));
        let builder = builder.with_safe_default_protocol_versions()?;
        let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tcp: tcp(longest), tls: Some(Arc::new(tls).into()), proxies })
    }

    /// One that knows neither TLS nor proxies.
    pub(super) fn plain(longest: Duration) -> Self {
        Self { tcp: tcp(longest), tls: None, proxies: Matcher::builder().build() }
    }

    /// A connection to `origin`; the caller limits the time.
    pub(super) async fn dial(&self, origin: &Origin, uri: &Uri) -> Result<Connection, HttpError> {
        let proxy = if origin.is_link_local() { None } else { self.proxies.intercept(uri) };
        let mut stream = match &proxy {
            None => self.tcp(uri.clone()).await?,
            Some(proxy) => self.proxy(proxy).await?,
        };
        let mut forwarded = None;
        if let Some(proxy) = proxy {
            let login = proxy.basic_auth();
            if origin.secure {
                stream = tunnel(stream, &origin.authority(), login).await?;
            } else {
                forwarded = Some(Forwarded { login: login.cloned() });
            }
        }
        if origin.secure {
            stream = self.tls(&origin.host, stream).await?;
        }
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(HttpError::Broken)?;
        // Why it ended, the exchange that runs on it is told.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, forwarded, task })
    }

    async fn proxy(&self, proxy: &Intercept) -> Result<Box<dyn Stream>, HttpError> {
        let uri = proxy.uri();
        match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(_)) => self.tcp(uri.clone()).await,
            (Some("https"), Some(host)) => self.tls(host, self.tcp(uri.clone()).await?).await,
            _ => Err(HttpError::Proxy("its URL is neither http:// nor https://".into())),
        }
    }

    async fn tcp(&self, uri: Uri) -> Result<Box<dyn Stream>, HttpError> {
        let mut tcp = self.tcp.clone();
        let failed = |error| HttpError::Connect(innermost(&error));
        poll_fn(|context| Service::<Uri>::poll_ready(&mut tcp, context)).await.map_err(failed)?;
        Ok(Box::new(tcp.call(uri).await.map_err(failed)?.into_inner()))
    }

    async fn tls(&self, host: &str, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, HttpError> {
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|_| HttpError::NoHost)?;
        let tls = self.tls.as_ref().ok_or_else(|| HttpError::Connect(io::Error::other("this client has no TLS")))?;
        Ok(Box::new(tls.connect(name, stream).await.map_err(HttpError::Connect)?))
    }
}

fn tcp(longest: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_keepalive_interval(Some(ASK_AGAIN.0));
    tcp.set_keepalive_retries(Some(ASK_AGAIN.1));
    // Shared by the addresses that a name has, so that one that is dead leaves time for the next.
    tcp.set_connect_timeout(Some(longest));
    tcp
}

/// The I/O error at the bottom, which says most: `Connection refused`.
fn innermost(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        found = error.downcast_ref::<io::Error>().or(found);
        next = error.source();
    }
    found.map_or_else(|| io::Error::other("no address answers"), |io| io::Error::new(io.kind(), io.to_string()))
}
