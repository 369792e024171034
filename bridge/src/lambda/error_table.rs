//! What each error code of the Invoke API and of AWS's common errors means for the messages: the one table that lanes,
//! redrive and docs/errors.md share. Pure data; reads no response.
//!
//! Codes and statuses are those of the service model of Lambda that botocore 1.44 ships (`Invoke`, `errors`), of
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html> and of
//! <https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html>. A code that says of itself that it passes is
//! retried. One that somebody has to repair is held, also when Lambda calls it a 502: retrying it by policy would end
//! with dead letters of messages that no function has seen.

use super::error::Disposition;

/// What a response that is no answer of the function means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A temporary error: retry by the retry policy.
    Retry,
    /// Too many requests: retry, not before the time that Lambda asks for, and with fewer invocations at once.
    Throttled,
    /// The set-up is wrong: keep all messages, be not ready, and retry until somebody has repaired it.
    Hold,
    /// The event itself is refused, and always will be.
    GiveUp,
}

impl Meaning {
    /// What becomes of the messages.
    #[must_use]
    pub fn disposition(self) -> Disposition {
        match self {
            Self::Retry | Self::Throttled => Disposition::Retry,
            Self::Hold => Disposition::Hold,
            Self::GiveUp => Disposition::GiveUp,
        }
    }
}

/// One error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// As in the header `X-Amzn-ErrorType`.
    pub code: &'static str,
    /// The HTTP status that it comes with. Only the code decides.
    pub status: u16,
    /// What it means.
    pub meaning: Meaning,
    /// Why, in a few words.
    pub why: &'static str,
}

const fn row(status: u16, code: &'static str, meaning: Meaning, why: &'static str) -> Row {
    Row { code, status, meaning, why }
}

use Meaning::{GiveUp, Hold, Retry, Throttled};

/// All codes that the bridge knows, by status.
pub const ERRORS: &[Row] = &[
    // About the event. According to AWS's model 400 may also mean an invalid header; the bridge's headers are constant.
    row(400, "InvalidRequestContentException", GiveUp, "the event is not JSON for Lambda"),
    row(413, "RequestTooLargeException", GiveUp, "the event is too large"),
    row(413, "RequestEntityTooLargeException", GiveUp, "the event is too large; what Lambda really sends"),
    row(413, "SerializedRequestEntityTooLargeException", GiveUp, "the event is too large"),
    // About the request, which is the same for every event.
    row(400, "InvalidParameterValueException", Hold, "a parameter of the request is wrong: function name or qualifier"),
    row(400, "InvalidParameterCombination", Hold, "parameters of the request contradict each other"),
    row(400, "InvalidParameterValue", Hold, "a parameter of the request is wrong"),
    row(400, "InvalidQueryParameter", Hold, "a parameter of the request is wrong"),
    row(400, "InvalidAction", Hold, "the endpoint does not know Invoke"),
    row(400, "MalformedHttpRequestException", Hold, "the request was changed on its way"),
    row(400, "MalformedQueryString", Hold, "the request was changed on its way"),
    row(400, "MissingAction", Hold, "the endpoint does not know Invoke"),
    row(400, "MissingParameter", Hold, "the endpoint does not know Invoke"),
    row(400, "ModeNotSupportedException", Hold, "the function does not take this kind of invocation"),
    row(400, "NoPublishedVersionException", Hold, "the function has no published version"),
    row(400, "RecursiveInvocationException", Hold, "Lambda has stopped a recursive loop"),
    row(400, "ValidationError", Hold, "a parameter of the request is wrong"),
    row(400, "ValidationException", Hold, "a parameter of the request is wrong"),
    row(402, "ServiceQuotaExceededException", Hold, "a quota has to be raised"),
    row(404, "ResourceNotFoundException", Hold, "no such function, version or alias"),
    row(404, "UnknownOperationException", Hold, "the endpoint does not know Invoke"),
    row(415, "UnsupportedMediaTypeException", Hold, "the content type, which is the same for every event"),
    // About the identity of the caller.
    row(400, "ExpiredToken", Hold, "the credentials have expired"),
    row(400, "IncompleteSignature", Hold, "the signature was changed on its way"),
    row(400, "NotAuthorized", Hold, "a permission is missing"),
    row(400, "RequestExpired", Hold, "the clock is wrong"),
    row(400, "RequestTimeTooSkewed", Hold, "the clock is wrong"),
    row(403, "AccessDenied", Hold, "the permission lambda:InvokeFunction is missing"),
    row(403, "AccessDeniedException", Hold, "the permission lambda:InvokeFunction is missing"),
    row(403, "ExpiredTokenException", Hold, "the credentials have expired"),
    row(403, "IncompleteSignatureException", Hold, "the signature was changed on its way"),
    row(403, "InvalidClientTokenId", Hold, "the access key does not exist"),
    row(403, "InvalidSignatureException", Hold, "the secret key is wrong, or the clock"),
    row(403, "MissingAuthenticationToken", Hold, "the request came without a signature"),
    row(403, "MissingAuthenticationTokenException", Hold, "the request came without a signature"),
    row(403, "OptInRequired", Hold, "the account has not subscribed to the service"),
    row(403, "SignatureDoesNotMatch", Hold, "the secret key is wrong"),
    row(403, "UnrecognizedClientException", Hold, "the access key does not exist"),
    // About the function's own configuration: its network, its keys, its file systems, its code.
    row(403, "EFSMountFailureException", Hold, "permission or configuration of the file system"),
    row(403, "S3FilesMountFailureException", Hold, "permission or configuration of the access point"),
    row(408, "EFSMountConnectivityException", Hold, "the function does not reach its file system"),
    row(408, "EFSMountTimeoutException", Hold, "the file system does not mount in time"),
    row(408, "S3FilesMountConnectivityException", Hold, "the function does not reach its access point"),
    row(408, "S3FilesMountTimeoutException", Hold, "the access point does not mount in time"),
    row(409, "CodeArtifactUserDeletedException", Hold, "the function's code package has to be updated"),
    row(409, "CodeArtifactUserFailedException", Hold, "the function's code package has to be updated"),
    row(409, "DurableExecutionAlreadyStartedException", Hold, "the bridge names no execution: something adds a header"),
    row(409, "RuntimeAliasDeletedException", Hold, "the function needs another runtime"),
    row(409, "RuntimeVersionDeletedException", Hold, "the function needs another runtime"),
    row(410, "EFSIOException", Hold, "the function's file system fails"),
    row(502, "EC2AccessDeniedException", Hold, "the function's role lacks permissions for its VPC"),
    row(502, "ENILimitReachedException", Hold, "a quota of network interfaces has to be raised"),
    row(502, "InvalidRuntimeException", Hold, "the function needs another runtime"),
    row(502, "InvalidSecurityGroupIDException", Hold, "the function's security group does not exist"),
    row(502, "InvalidSubnetIDException", Hold, "the function's subnet does not exist"),
    row(502, "InvalidZipFileException", Hold, "the function's code package cannot be unpacked"),
    row(502, "KMSAccessDeniedException", Hold, "the function may not use its key"),
    row(502, "KMSDisabledException", Hold, "the function's key is disabled"),
    row(502, "KMSInvalidStateException", Hold, "the function's key cannot decrypt in its state"),
    row(502, "KMSNotFoundException", Hold, "the function's key does not exist"),
    row(502, "SubnetIPAddressLimitReachedException", Hold, "the function's subnets have no addresses left"),
    // Throttles.
    row(400, "RequestLimitExceeded", Throttled, "a limit of requests"),
    row(400, "Throttling", Throttled, "a limit of requests"),
    row(400, "ThrottlingException", Throttled, "a limit of requests"),
    row(400, "RequestThrottled", Throttled, "a limit of requests"),
    row(400, "RequestThrottledException", Throttled, "a limit of requests"),
    row(429, "TooManyRequestsException", Throttled, "a limit of concurrency or of requests"),
    // Temporary errors.
    row(400, "PriorRequestNotComplete", Retry, "an earlier request is still at work"),
    row(400, "RequestAbortedException", Retry, "the request was broken off"),
    row(400, "RequestTimeout", Retry, "the request took too long on its way"),
    row(400, "RequestTimeoutException", Retry, "the request took too long on its way"),
    row(400, "SnapStartException", Retry, "a hook after the restore of a snapshot failed"),
    row(408, "SnapStartTimeoutException", Retry, "a snapshot was not restored in time"),
    row(409, "CodeArtifactUserPendingException", Retry, "the function is being set up"),
    row(409, "ResourceConflictException", Retry, "the function is being updated"),
    row(409, "SnapStartNotReadyException", Retry, "the function is being set up"),
    row(409, "SnapStartRegenerationFailureException", Retry, "Lambda makes the snapshot again"),
    row(500, "InternalFailure", Retry, "the service failed"),
    row(500, "InternalServerError", Retry, "the service failed"),
    row(500, "InternalServerException", Retry, "the service failed"),
    row(500, "ServiceException", Retry, "the service failed"),
    row(502, "EC2ThrottledException", Retry, "EC2 throttles Lambda while it sets up the function's network"),
    row(502, "EC2UnexpectedException", Retry, "EC2 failed while Lambda set up the function's network"),
    row(502, "ENINotReadyException", Retry, "the function's network interface is being made"),
    row(502, "ResourceNotReadyException", Retry, "the function was idle, and its network is being made again"),
    row(503, "ServiceUnavailable", Retry, "the service is not available"),
    row(503, "ServiceUnavailableException", Retry, "the service is not available"),
];

/// The row of this code.
#[must_use]
pub fn known(code: &str) -> Option<&'static Row> {
    ERRORS.iter().find(|row| row.code == code)
}

/// What a status means when its code is not in the table, or when there is none.
#[must_use]
pub fn by_status(status: u16) -> Meaning {
    match status {
        // Lambda or a proxy: the event is too large.
        413 => GiveUp,
        429 => Throttled,
        // Request Timeout and Too Early (RFC 9110, 15.5.9; RFC 8470): both ask for the same request once more.
        408 | 425 | 500.. => Retry,
        // Not a response that Lambda is known to give: a proxy's, or a new error. An operator has to look at it.
        _ => Hold,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn word(meaning: Meaning) -> &'static str {
        match meaning {
            Retry => "retry",
            Throttled => "throttled",
            Hold => "hold",
            GiveUp => "give up",
        }
    }

    #[test]
    fn every_code_stands_there_once() {
        let codes: BTreeSet<_> = ERRORS.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), ERRORS.len());
    }

    #[test]
    fn only_what_is_about_the_event_is_given_up() {
        let given_up: Vec<_> = ERRORS.iter().filter(|row| row.meaning == GiveUp).map(|row| row.status).collect();
        assert_eq!(given_up, [400, 413, 413, 413]);
        let statuses: Vec<_> = (100..600).filter(|status| by_status(*status) == GiveUp).collect();
        assert_eq!(statuses, [413]);
    }

    #[test]
    fn an_unknown_4xx_is_held() {
        for status in [300, 301, 400, 401, 402, 403, 404, 405, 407, 409, 410, 411, 415, 418, 421, 451] {
            assert_eq!(by_status(status), Hold, "{status}");
        }
        assert_eq!((by_status(429), by_status(408), by_status(503)), (Throttled, Retry, Retry));
    }

    #[test]
    fn the_page_shows_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        let page = std::fs::read_to_string(path).unwrap();
        let section = page.split("\n## Error codes\n").nth(1).unwrap().split("\n## ").next().unwrap();
        let shown: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let line = |row: &Row| format!("| `{}` | {} | {} | {} |", row.code, row.status, word(row.meaning), row.why);
        let table: Vec<_> = ERRORS.iter().map(line).collect();
        assert_eq!(shown, table, "docs/errors.md and the table differ; the table is:\n{}", table.join("\n"));
    }
}
