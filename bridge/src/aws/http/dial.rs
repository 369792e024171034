//! A new connection: TCP, straight or through a proxy, and TLS over it. The caller limits the time.

use std::io;
use std::sync::Arc;

use hyper::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Forwarded};
use super::error::HttpError;
use super::origin::Origin;
use super::proxy::tunnel;
use super::tcp::Tcp;
use crate::crypto;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Makes connections.
pub(super) struct Dialler {
    tcp: Tcp,
    tls: Option<TlsConnector>,
    proxies: Matcher,
}

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialler")
    }
}

impl Dialler {
    pub(super) fn new(tcp: Tcp, roots: RootCertStore, proxies: Matcher) -> Result<Self, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::provider(&[], &[])));
        let builder = builder.with_safe_default_protocol_versions()?;
        let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
        // Alone, so that nobody chooses HTTP/2.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tcp, tls: Some(Arc::new(tls).into()), proxies })
    }

    /// One that knows neither TLS nor proxies.
    pub(super) fn plain(tcp: Tcp) -> Self {
        Self { tcp, tls: None, proxies: Matcher::builder().build() }
    }

    /// A connection to `origin`, which is that of `uri`.
    pub(super) async fn dial(&self, origin: &Origin, uri: &Uri) -> Result<Connection, HttpError> {
        let (stream, forwarded) = match self.proxy_to(origin, uri) {
            None => (self.tcp(uri).await?, None),
            Some(proxy) => self.through(&proxy, origin).await?,
        };
        let stream = if origin.is_secure() { self.tls(origin.host(), stream).await? } else { stream };
        Connection::over(stream, forwarded).await
    }

    fn proxy_to(&self, origin: &Origin, uri: &Uri) -> Option<Intercept> {
        if origin.is_link_local() { None } else { self.proxies.intercept(uri) }
    }

    /// A tunnel for TLS; plain requests are read and passed on by the proxy.
    async fn through(
        &self,
        proxy: &Intercept,
        origin: &Origin,
    ) -> Result<(Box<dyn Stream>, Option<Forwarded>), HttpError> {
        let stream = self.to_proxy(proxy.uri()).await?;
        let login = proxy.basic_auth();
        if origin.is_secure() {
            Ok((tunnel(stream, &origin.authority(), login).await?, None))
        } else {
            Ok((stream, Some(Forwarded { login: login.cloned() })))
        }
    }

    async fn to_proxy(&self, proxy: &Uri) -> Result<Box<dyn Stream>, HttpError> {
        match (proxy.scheme_str(), proxy.host()) {
            (Some("http"), Some(_)) => self.tcp(proxy).await,
            (Some("https"), Some(host)) => self.tls(host, self.tcp(proxy).await?).await,
            _ => Err(HttpError::Proxy("its URL is neither http:// nor https://".into())),
        }
    }

    async fn tcp(&self, uri: &Uri) -> Result<Box<dyn Stream>, HttpError> {
        Ok(Box::new(self.tcp.connect(uri.clone()).await?))
    }

    async fn tls(&self, host: &str, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, HttpError> {
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|_| HttpError::NoHost)?;
        let tls = self.tls.as_ref().ok_or_else(|| HttpError::Connect(io::Error::other("this client has no TLS")))?;
        Ok(Box::new(tls.connect(name, stream).await.map_err(HttpError::Connect)?))
    }
}
