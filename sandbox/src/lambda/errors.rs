//! The errors of the Invoke API as the service spells them. Never decides when one is due.
//!
//! The table is "Errors" of <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>, with the common errors of
//! every AWS service.

use std::fmt;
use std::time::Duration;

use hyper::Response;
use serde_json::json;

use super::http::{self, Reply};
use super::kind::Kind;

/// Why the service did not run the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 400: the payload is not JSON.
    InvalidContent(String),
    /// 400: the request contradicts itself.
    InvalidParameter(String),
    /// 403: the caller may not invoke this function.
    AccessDenied,
    /// 403: the caller's session credentials have expired.
    ExpiredToken,
    /// 404: no such function, version or alias.
    NotFound,
    /// 413: the payload has more bytes than this kind of invocation allows.
    TooLarge {
        /// The bytes that came.
        bytes: usize,
        /// The kind of invocation.
        kind: Kind,
    },
    /// 415: the content type is not JSON.
    UnsupportedMediaType,
    /// 429: a limit of concurrency or rate is reached.
    Throttled {
        /// Which limit.
        reason: ThrottleReason,
        /// What the header `Retry-After` says, rounded up to whole seconds; no header when absent.
        retry_after: Option<Duration>,
    },
    /// 500: the service failed.
    Service,
    /// 502: the service could not reach the function's network.
    BadGateway,
    /// 503: the service is not available.
    Unavailable,
    /// Any other status, with an error type that no client knows.
    Other(u16),
    /// Any status, error type and body: another error of the service, or what a proxy in front of it answers.
    Raw {
        /// The HTTP status.
        status: u16,
        /// The header `X-Amzn-ErrorType`; none for what does not come from the service.
        code: Option<&'static str>,
        /// The body, as it is.
        body: &'static str,
    },
}

impl Refusal {
    /// The refusal that the service gives with a status code.
    #[must_use]
    pub fn from_status(status: u16) -> Self {
        match status {
            400 => Self::InvalidContent("expected value at line 1 column 1".into()),
            403 => Self::AccessDenied,
            404 => Self::NotFound,
            413 => Self::TooLarge { bytes: super::SYNC_LIMIT + 1, kind: Kind::RequestResponse },
            415 => Self::UnsupportedMediaType,
            429 => Self::Throttled { reason: ThrottleReason::default(), retry_after: None },
            500 => Self::Service,
            502 => Self::BadGateway,
            503 => Self::Unavailable,
            other => Self::Other(other),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidContent(_) | Self::InvalidParameter(_) => 400,
            Self::AccessDenied | Self::ExpiredToken => 403,
            Self::NotFound => 404,
            Self::TooLarge { .. } => 413,
            Self::UnsupportedMediaType => 415,
            Self::Throttled { .. } => 429,
            Self::Service => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::Other(status) | Self::Raw { status, .. } => *status,
        }
    }

    /// The error type, the value of the header `X-Amzn-ErrorType`.
    ///
    /// 413 is `RequestEntityTooLargeException` on the wire, though the API reference says `RequestTooLargeException`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidContent(_) => "InvalidRequestContentException",
            Self::InvalidParameter(_) => "InvalidParameterValueException",
            Self::AccessDenied => "AccessDeniedException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::NotFound => "ResourceNotFoundException",
            Self::TooLarge { .. } => "RequestEntityTooLargeException",
            Self::UnsupportedMediaType => "UnsupportedMediaTypeException",
            Self::Throttled { .. } => "TooManyRequestsException",
            Self::Service => "ServiceException",
            Self::BadGateway => "EC2UnexpectedException",
            Self::Unavailable => "ServiceUnavailableException",
            Self::Other(_) => "UnknownError",
            Self::Raw { code, .. } => code.unwrap_or_default(),
        }
    }

    /// The answer to a request about the function `arn`.
    pub(super) fn reply(&self, request_id: &str, arn: &str) -> Response<Reply> {
        if let Self::Raw { status, code, body } = self {
            let code = code.map(|code| ("x-amzn-errortype", code.to_owned()));
            return http::json(*status, code.as_slice(), *body);
        }
        let message = self.message(arn);
        let blame = if self.status() < 500 { "User" } else { "Service" };
        let body = match self {
            Self::Throttled { reason, .. } => json!({"Reason": reason.as_str(), "Type": blame, "message": message}),
            // These come from the layer in front of Lambda, which sends no `Type`.
            Self::AccessDenied => json!({"Message": message}),
            Self::ExpiredToken | Self::Unavailable | Self::Other(_) | Self::Raw { .. } => json!({"message": message}),
            Self::InvalidContent(_)
            | Self::InvalidParameter(_)
            | Self::TooLarge { .. }
            | Self::UnsupportedMediaType => {
                json!({"Type": blame, "message": message})
            }
            Self::NotFound | Self::Service | Self::BadGateway => json!({"Type": blame, "Message": message}),
        };
        let mut headers = vec![("x-amzn-requestid", request_id.to_owned()), ("x-amzn-errortype", self.code().into())];
        if let Self::Throttled { retry_after: Some(after), .. } = self {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.push(("retry-after", seconds.to_string()));
        }
        http::json(self.status(), &headers, body.to_string())
    }

    fn message(&self, arn: &str) -> String {
        match self {
            Self::InvalidContent(cause) => {
                format!("Could not parse request body into json: Could not parse payload into json: {cause}")
            }
            Self::InvalidParameter(cause) => cause.clone(),
            Self::AccessDenied => format!(
                "User: arn:aws:iam::{}:user/sandbox is not authorized to perform: lambda:InvokeFunction on resource: \
                 {arn} because no identity-based policy allows the lambda:InvokeFunction action",
                super::ACCOUNT
            ),
            Self::ExpiredToken => "The security token included in the request is expired".into(),
            Self::NotFound => format!("Function not found: {arn}"),
            Self::TooLarge { bytes, kind } => {
                let limit = kind.limit();
                format!("{bytes} byte payload is too large for the {kind} invocation type (limit {limit} bytes)")
            }
            Self::UnsupportedMediaType => "Unsupported media type".into(),
            Self::Throttled { .. } => "Rate Exceeded.".into(),
            Self::Service => "Internal server error".into(),
            Self::BadGateway => "Unexpected error from Amazon EC2 during the Lambda function initialization".into(),
            Self::Unavailable => "Service Unavailable".into(),
            Self::Other(status) | Self::Raw { status, .. } => format!("Status {status}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status(), self.code())?;
        if let Self::Throttled { retry_after: Some(after), .. } = self {
            write!(f, " (retry after {after:?})")?;
        }
        Ok(())
    }
}

/// Which limit a throttled invocation met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ThrottleReason {
    /// The function's own reserved concurrency.
    #[default]
    ReservedFunctionConcurrentInvocationLimitExceeded,
    /// The function's own rate.
    ReservedFunctionInvocationRateLimitExceeded,
    /// The account's concurrency.
    ConcurrentInvocationLimitExceeded,
    /// The rate at which a function may be invoked.
    FunctionInvocationRateLimitExceeded,
    /// The rate at which one caller may call the API.
    CallerRateLimitExceeded,
}

impl ThrottleReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::ReservedFunctionConcurrentInvocationLimitExceeded => {
                "ReservedFunctionConcurrentInvocationLimitExceeded"
            }
            Self::ReservedFunctionInvocationRateLimitExceeded => "ReservedFunctionInvocationRateLimitExceeded",
            Self::ConcurrentInvocationLimitExceeded => "ConcurrentInvocationLimitExceeded",
            Self::FunctionInvocationRateLimitExceeded => "FunctionInvocationRateLimitExceeded",
            Self::CallerRateLimitExceeded => "CallerRateLimitExceeded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_keeps_its_number() {
        for status in [400, 403, 404, 413, 415, 418, 429, 500, 502, 503] {
            assert_eq!(Refusal::from_status(status).status(), status);
        }
    }

    #[test]
    fn retry_after_is_in_whole_seconds_and_never_too_short() {
        let retry_after = Some(Duration::from_millis(1_200));
        let refusal = Refusal::Throttled { reason: ThrottleReason::CallerRateLimitExceeded, retry_after };
        let reply = refusal.reply("id", "arn");
        assert_eq!(reply.headers()["retry-after"], "2");
        assert_eq!(reply.headers()["x-amzn-errortype"], "TooManyRequestsException");
    }
}
