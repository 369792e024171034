//! The parts of an Invoke response that the bridge reads, and the headers that both clients use. Pure.

use bytes::Bytes;

/// The header by which both sides say to which trace a request belongs. A proxy may change it, so nobody signs it.
pub(super) const TRACE: &str = "x-amzn-trace-id";

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) status: u16,
    /// Whether it names the request, as all that AWS says does.
    pub(super) has_id: bool,
    /// `X-Amz-Function-Error`.
    pub(super) function_error: Option<String>,
    /// `X-Amzn-ErrorType`.
    pub(super) error_type: Option<String>,
    /// `Retry-After`.
    pub(super) retry_after: Option<String>,
    pub(super) body: Bytes,
}

/// The credentials themselves are refused, and others may be better (docs/errors.md).
const REFUSES_CREDENTIALS: [&str; 5] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

impl Said {
    pub(super) fn refuses_credentials(&self) -> bool {
        // Some services write a URL behind the code.
        let code = self.error_type.as_deref().and_then(|code| code.split(':').next());
        code.is_some_and(|code| REFUSES_CREDENTIALS.contains(&code))
    }
}
