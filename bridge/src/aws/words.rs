//! Describes an error of the SDK in our own words. The SDK's texts are never repeated as they are, because some of them
//! print the request, payload and signature included. Only causes that are known to come from the network, TLS or
//! credentials are quoted, cut to one short line.

use std::error::Error;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::SdkError;

use super::http::HttpError;
use crate::foreign::Foreign;

/// Why a call brought no response of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no request: the endpoint, the region or the function is configured wrongly.
    Request,
    /// The SDK cannot use its settings.
    Panicked,
    /// No credentials, for this reason.
    Credentials(String),
    /// The peer could not be verified, or does not speak TLS as we do.
    Tls(String),
    /// The proxy does not let the bridge through.
    Proxy(String),
    /// No whole response in time.
    Timeout,
    /// No connection, or it broke.
    Connection(String),
}

impl Fault {
    /// The cause of an error. `None` when the service has answered.
    pub(crate) fn of<E, R>(error: &SdkError<E, R>) -> Option<Self>
    where
        E: Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        match error {
            SdkError::ServiceError(_) | SdkError::ResponseError(_) => None,
            SdkError::TimeoutError(_) => Some(Self::Timeout),
            SdkError::ConstructionFailure(_) => Some(credentials(error).unwrap_or(Self::Request)),
            SdkError::DispatchFailure(failure) => Some(match credentials(error).or_else(|| tls(error)) {
                Some(fault) => fault,
                // The timeout of the exchange; a timeout while connecting is an error of the network.
                None if failure.is_timeout() => Self::Timeout,
                None if let Some(cause) = proxy(error) => Self::Proxy(cause),
                None if failure.is_io() => Self::Connection(network(error)),
                // Neither the network nor the credentials failed, so the request itself is wrong.
                None => Self::Request,
            }),
            _ => Some(Self::Request),
        }
    }
}

/// The same of an exchange that the SDK knows nothing of.
impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        match (tls(&error), error) {
            (Some(fault), _) => fault,
            (None, HttpError::Timeout) => Self::Timeout,
            (None, HttpError::Proxy(cause)) => Self::Proxy(line(&cause)),
            (None, HttpError::NoHost) => Self::Request,
            (None, error) => Self::Connection(network(&error)),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request => f.write_str(
                "request: none can be made from the environment; check AWS_ENDPOINT_URL, AWS_REGION and the credentials",
            ),
            Self::Panicked => f.write_str("the SDK panicked: something of its configuration cannot be used"),
            Self::Credentials(cause) => write!(f, "credentials: {cause}"),
            Self::Tls(cause) => write!(f, "tls: {cause}"),
            Self::Proxy(cause) => write!(f, "proxy: {cause}; check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"),
            Self::Timeout => f.write_str("timeout: no whole response in time"),
            Self::Connection(cause) => write!(f, "connection: {cause}"),
        }
    }
}

/// The error of a call to which the service itself has not answered.
pub(crate) fn words<E, R>(error: &SdkError<E, R>) -> String
where
    E: Error + 'static,
    R: std::fmt::Debug + 'static,
{
    Fault::of(error)
        .map_or_else(|| "the response broke off, or is not the service's".to_owned(), |fault| fault.to_string())
}

/// Foreign text as one line of bounded length.
pub(crate) fn line(text: &str) -> String {
    Foreign::of(text).to_string()
}

/// An error and its causes, in one line. For errors that never saw a request.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in chain(error).skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    line(&text)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn credentials(error: &(dyn Error + 'static)) -> Option<Fault> {
    let found = chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>());
    found.map(|cause| Fault::Credentials(causes(cause)))
}

fn tls(error: &(dyn Error + 'static)) -> Option<Fault> {
    chain(error).find_map(of_rustls).map(|error| Fault::Tls(line(&error.to_string())))
}

/// An I/O error wraps what it was made of, and does not show it as its source; and it may be one in another.
fn of_rustls<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let inner = || cause.downcast_ref::<io::Error>()?.get_ref();
    cause.downcast_ref().or_else(|| chain(inner()? as &(dyn Error + 'static)).find_map(of_rustls))
}

/// The innermost causes say most: `Connection refused`, `failed to lookup address information`.
fn network(error: &(dyn Error + 'static)) -> String {
    let io = |cause: &&(dyn Error + 'static)| cause.is::<io::Error>();
    let own = || chain(error).find_map(|cause| cause.downcast_ref::<HttpError>()).map(ToString::to_string);
    let io = chain(error).filter(io).last().map(|cause| line(&cause.to_string()));
    io.or_else(own).unwrap_or_else(|| "it broke".to_owned())
}

fn proxy(error: &(dyn Error + 'static)) -> Option<String> {
    chain(error).find_map(|cause| match cause.downcast_ref() {
        Some(HttpError::Proxy(cause)) => Some(line(cause)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::*;

    type Refused = SdkError<io::Error, ()>;

    #[test]
    fn a_request_inside_an_error_is_not_repeated() {
        let text = "failed to construct request: Request { body: \"marker-of-a-payload\" }";
        let of_text = || -> Box<dyn Error + Send + Sync> { text.into() };
        let errors = [
            Refused::construction_failure(of_text()),
            Refused::dispatch_failure(ConnectorError::other(of_text(), None)),
            Refused::dispatch_failure(ConnectorError::user(of_text())),
            Refused::dispatch_failure(ConnectorError::io(of_text())),
            Refused::dispatch_failure(ConnectorError::timeout(of_text())),
            Refused::timeout_error(of_text()),
        ];
        for error in errors {
            let words = Fault::of(&error).unwrap().to_string();
            assert!(!words.contains("marker"), "{words}");
        }
    }

    #[test]
    fn both_ways_to_aws_mean_the_same() {
        let io = |kind| std::io::Error::from(kind);
        let errors: [fn() -> HttpError; 6] = [
            || HttpError::NoHost,
            || HttpError::ConnectTimeout,
            || HttpError::Proxy("it refuses\nus".into()),
            || HttpError::Timeout,
            || HttpError::TooLong { status: 200, limit: 6_000_000 },
            || HttpError::Connect(io::Error::other(rustls::Error::General("not trusted".into()))),
        ];
        let of_the_sdk =
            |error: HttpError| Fault::of(&Refused::dispatch_failure(super::super::http::as_the_sdk_has_it(error)));
        for error in errors {
            assert_eq!(Some(Fault::from(error())), of_the_sdk(error()), "{:?}", error());
        }
        for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset] {
            let error = || HttpError::Connect(io(kind));
            assert_eq!(Some(Fault::from(error())), of_the_sdk(error()), "{kind}");
        }
    }

    #[test]
    fn causes_are_told_apart() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let of = |error: ConnectorError| Fault::of(&Refused::dispatch_failure(error)).unwrap();
        let broken = of(ConnectorError::io(Box::new(refused())));
        assert_eq!(broken, Fault::Connection("connection refused".into()));
        let untrusted = io::Error::other(rustls::Error::General("not trusted".into()));
        assert!(matches!(of(ConnectorError::io(Box::new(untrusted))), Fault::Tls(_)));
        let nested = io::Error::other(io::Error::other(rustls::Error::General("not TLS".into())));
        assert!(matches!(of(ConnectorError::io(Box::new(nested))), Fault::Tls(_)), "as the SDK's connector wraps it");
        assert_eq!(of(ConnectorError::timeout(HttpError::Timeout.into())), Fault::Timeout);
        let late = of(ConnectorError::io(HttpError::ConnectTimeout.into()));
        assert_eq!(late, Fault::Connection("no connection in time".into()));
        let in_the_way = of(ConnectorError::io(HttpError::Proxy("no".into()).into()));
        assert_eq!(in_the_way, Fault::Proxy("no".into()));
        let none = CredentialsError::provider_error(refused());
        let credentials = of(ConnectorError::other(Box::new(none), None));
        let Fault::Credentials(cause) = credentials else { panic!("{credentials:?}") };
        assert!(cause.contains("connection refused"), "{cause}");
    }
}
