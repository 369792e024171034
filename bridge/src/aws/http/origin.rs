//! The target of a request: scheme, host and port, and the headers that follow from them. Knows no connection.

use hyper::Uri;
use hyper::header::HeaderValue;

use super::error::HttpError;

/// Where requests of one URL lead, worked out once for all of them.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(super) uri: Uri,
    pub(super) origin: Origin,
    /// A server is asked for a path (RFC 9112, 3.2.1).
    pub(super) path: Uri,
    host: HeaderValue,
}

impl Target {
    /// That of an absolute URL.
    ///
    /// # Errors
    /// When it has no host.
    pub(crate) fn of(uri: Uri) -> Result<Self, HttpError> {
        let origin = Origin::of(&uri)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse().unwrap_or_default();
        Ok(Self { host: origin.header()?, uri, origin, path })
    }

    /// The header Host.
    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// The path, as it is written.
    pub(crate) fn path(&self) -> &str {
        self.path.path()
    }
}

/// Requests to one origin can share connections.
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

    /// Whether TLS is spoken there.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Host and port, as a proxy is asked for them.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The header Host, without a port that its scheme implies (RFC 9110, 7.2).
    pub(super) fn header(&self) -> Result<HeaderValue, HttpError> {
        let implied = if self.secure { 443 } else { 80 };
        let host = if self.port == implied { self.host.clone() } else { self.authority() };
        HeaderValue::try_from(host).map_err(|_| HttpError::NoHost)
    }

    /// Credentials of the instance, the task or the pod, which no proxy reaches.
    pub(super) fn is_link_local(&self) -> bool {
        self.host.starts_with("169.254.") || self.host == "[fd00:ec2::254]" || self.host == "[fd00:ec2::23]"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Origin {
        Origin::of(&uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_port_of_the_scheme_is_the_same_origin_and_not_in_the_header() {
        assert_eq!(of("https://AWS.test/a"), of("https://aws.test:443/b"));
        assert_ne!(of("https://aws.test"), of("http://aws.test:443"));
        for (uri, header) in [
            ("https://aws.test:443/", "aws.test"),
            ("http://aws.test/", "aws.test"),
            ("http://aws.test:443/", "aws.test:443"),
            ("http://[::1]:4566/", "[::1]:4566"),
        ] {
            assert_eq!(of(uri).header().unwrap(), header, "{uri}");
        }
        assert_eq!(of("https://aws.test").authority(), "aws.test:443", "a proxy always wants a port");
        assert!(matches!(Origin::of(&"/path".parse().unwrap()), Err(HttpError::NoHost)));
    }

    #[test]
    fn credentials_of_the_machine_are_beside_it() {
        assert!(of("http://169.254.170.2/creds").is_link_local() && of("http://[fd00:ec2::254]/").is_link_local());
        assert!(!of("https://lambda.eu-west-1.amazonaws.com").is_link_local());
    }
}
