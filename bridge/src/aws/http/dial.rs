//! Opens a connection: TCP, directly or through a proxy, and TLS over it. The caller limits the time.

use std::io;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Forwarded};
use super::error::HttpError;
use super::origin::Origin;
use super::tcp::Tcp;
use crate::crypto;
use crate::tunnel::{TunnelError, tunnel};

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
        // The only protocol offered, so that the server cannot choose HTTP/2.
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
            let authority = origin.authority();
            let opened = tunnel(stream, &authority, login.map(HeaderValue::as_bytes)).await;
            Ok((opened.map_err(|error| refused(error, &authority))?, None))
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

fn refused(error: TunnelError, authority: &str) -> HttpError {
    match error {
        TunnelError::Broken(error) => HttpError::Connect(error),
        TunnelError::Answered(407) => HttpError::Proxy("it wants a user name and a password, or others (407)".into()),
        // The proxy accepts the bridge but cannot reach the target now.
        TunnelError::Answered(status @ 500..=599) => {
            HttpError::Connect(io::Error::other(format!("the proxy answers {status}")))
        }
        TunnelError::Answered(status) => HttpError::Proxy(format!("it refuses the way to {authority} ({status})")),
        TunnelError::NotHttp => HttpError::Proxy("it does not answer as an HTTP proxy".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_proxy_that_cannot() {
        for answer in [TunnelError::Answered(407), TunnelError::Answered(403), TunnelError::NotHttp] {
            let error = refused(answer, "aws.test:443");
            assert!(matches!(error, HttpError::Proxy(_)), "{error:?}");
        }
        for answer in [TunnelError::Answered(503), TunnelError::Broken(io::ErrorKind::UnexpectedEof.into())] {
            let error = refused(answer, "aws.test:443");
            assert!(matches!(error, HttpError::Connect(_)), "{error:?}");
        }
    }
}
