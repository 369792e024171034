//! Invocations without the SDK: the parts that all requests to a function share are prepared once, then each request is
//! signed and sent. To Lambda its requests look the same as the SDK's. Retries nothing.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Method, Response};

use super::kind::Kind;
use super::said::{Said, TRACE};
use super::{CONNECT_TIMEOUT, LARGEST_ANSWER};
use crate::aws::{self, Aws, Body, Fault, Http, Identity, Limits, Prepared, REQUEST_IDS, Ready, Signer, Target};
use crate::lambda::Request;

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("mqtt-lambda-bridge/", env!("CARGO_PKG_VERSION")));

static CONTEXT: HeaderName = HeaderName::from_static("x-amz-client-context");
static STAMP: HeaderName = HeaderName::from_static("x-amz-date");
static KIND: HeaderName = HeaderName::from_static("x-amz-invocation-type");
static TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
// Of responses. A name as text is taken apart at each look.
static ERRED: HeaderName = HeaderName::from_static("x-amz-function-error");
static KIND_OF_ERROR: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// That a request may have.
const MOST_HEADERS: usize = 9;

/// Calls of one function.
#[derive(Debug)]
pub(super) struct Lean {
    http: Http,
    limits: Limits,
    credentials: Ready,
    signer: Signer,
    target: Target,
    prepared: Prepared,
    clock: Clock,
}

/// The time of the service, which takes no signature that is off by minutes.
#[derive(Debug, Default)]
struct Clock(Mutex<Skew>);

#[derive(Debug, Default, Clone, Copy)]
struct Skew {
    by: Duration,
    /// Ours is late.
    is_ahead: bool,
}

impl Lean {
    /// `None` when the endpoint is none.
    pub(super) fn new(aws: &Aws, endpoint: &str, function: &str, timeout: Duration) -> Option<Self> {
        let http = aws.http().at_most(LARGEST_ANSWER);
        let target = Target::of(url(endpoint, function)?.parse().ok()?).ok()?;
        Some(Self {
            http,
            limits: Limits { connect: Some(CONNECT_TIMEOUT), exchange: Some(timeout) },
            credentials: aws.ready(),
            signer: Signer::new(aws.region(), "lambda"),
            prepared: prepared(&target)?,
            target,
            clock: Clock::default(),
        })
    }

    /// One call.
    ///
    /// # Errors
    /// Why there is no whole response.
    pub(super) async fn call(&self, kind: Kind, request: Request) -> Result<Said, Fault> {
        // Credentials are fetched before the function's timeout begins.
        let identity = self.credentials.identity().await.map_err(Fault::Credentials)?;
        let request = self.request(kind, request, &identity, self.clock.now()).ok_or(Fault::Request)?;
        let response = self.http.send_to(&self.target, request, self.limits).await?;
        let said = said(&response);
        if said.has_id && !(200..300).contains(&said.status) {
            self.clock.heed(response.headers());
            if said.refuses_credentials() {
                self.credentials.refused(identity.generation);
            }
        }
        Ok(Said { body: response.into_body(), ..said })
    }

    /// `None` if a key or a token is not valid in a header.
    fn request(
        &self,
        kind: Kind,
        request: Request,
        identity: &Identity,
        now: SystemTime,
    ) -> Option<hyper::Request<Body>> {
        let moment = self.signer.moment(identity, now)?;
        let Request { event, context, trace } = request;
        let event = Bytes::from(event);
        let (stamp, date) = moment.date();
        // In the order in which they are signed.
        let mut signed = [("", ""); 4];
        let changing = [
            context.as_deref().map(|context| (CONTEXT.as_str(), context)),
            Some((STAMP.as_str(), stamp)),
            kind.header().map(|kind| (KIND.as_str(), kind)),
            identity.credentials.session_token().map(|token| (TOKEN.as_str(), token)),
        ];
        let mut count = 0;
        for header in changing.into_iter().flatten() {
            signed[count] = header;
            count += 1;
        }
        let authorization = moment.authorization(&self.prepared, &signed[..count], &event);
        let mut headers = HeaderMap::with_capacity(MOST_HEADERS);
        headers.insert(CONTENT_TYPE, OCTETS);
        headers.insert(HOST, self.target.host().clone());
        headers.insert(USER_AGENT, AGENT);
        headers.insert(&STAMP, date.clone());
        headers.insert(AUTHORIZATION, aws::secret_value(authorization).ok()?);
        moment.token().map(|token| headers.insert(&TOKEN, token.clone()));
        kind.header().map(|kind| headers.insert(&KIND, HeaderValue::from_static(kind)));
        if let Some(context) = context {
            headers.insert(&CONTEXT, aws::secret_value(context).ok()?);
        }
        if let Some(trace) = trace {
            headers.insert(TRACE, aws::secret_value(trace).ok()?);
        }
        let body = Full::new(event).map_err(|never| match never {}).boxed_unsync();
        let mut request = hyper::Request::new(body);
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        Some(request)
    }
}

/// What the signatures of all requests that lead there cover.
fn prepared(target: &Target) -> Option<Prepared> {
    let headers = [(CONTENT_TYPE.as_str(), "application/octet-stream"), (HOST.as_str(), target.host().to_str().ok()?)];
    Some(Prepared::new("POST", &aws::canonical(target.path()), &headers))
}

/// Below the path of the endpoint, if it has one.
fn url(endpoint: &str, function: &str) -> Option<String> {
    let parsed: hyper::Uri = endpoint.parse().ok()?;
    let (scheme, authority, base) = (parsed.scheme_str()?, parsed.authority()?, parsed.path());
    let base = base.strip_suffix('/').unwrap_or(base);
    let function = aws::encoded(function);
    Some(format!("{scheme}://{authority}{base}/2015-03-31/functions/{function}/invocations"))
}

/// Without its body.
fn said(response: &Response<Bytes>) -> Said {
    let headers = response.headers();
    let header =
        |name: &HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Said {
        status: response.status().as_u16(),
        has_id: REQUEST_IDS.iter().any(|name| headers.contains_key(name)),
        function_error: header(&ERRED),
        error_type: header(&KIND_OF_ERROR),
        retry_after: header(&RETRY_AFTER),
        body: Bytes::new(),
    }
}

impl Clock {
    fn now(&self) -> SystemTime {
        let (now, skew) = (SystemTime::now(), *self.skew());
        let moved = if skew.is_ahead { now.checked_add(skew.by) } else { now.checked_sub(skew.by) };
        moved.unwrap_or(now)
    }

    /// From the Date of a refusal on, for the next call: the SDK does so, too.
    fn heed(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let Some(theirs) = date.and_then(|date| SystemTime::try_from(date).ok()) else { return };
        let skew = match theirs.duration_since(SystemTime::now()) {
            Ok(by) => Skew { by, is_ahead: true },
            Err(error) => Skew { by: error.duration(), is_ahead: false },
        };
        *self.skew() = skew;
    }

    fn skew(&self) -> std::sync::MutexGuard<'_, Skew> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
