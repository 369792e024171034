//! `GetCallerIdentity` of STS, which the endpoint of a whole local AWS has beside Lambda. It takes every access key but
//! three.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>.

use hyper::body::Incoming;
use hyper::{Request, Response};

use super::ACCOUNT;
use super::http::{self, Reply};

/// With this access key it answers as to one that was deleted.
const DELETED_KEY: &str = "deleted";
/// With this one, as to credentials that have expired.
const EXPIRED_KEY: &str = "expired";
/// With this one, as where the policy of a VPC endpoint does not allow the call (IAM user guide, "Troubleshoot access
/// denied error messages").
const FENCED_KEY: &str = "fenced";

/// Answers whoever has signed the request.
pub(super) fn answer(request: &Request<Incoming>) -> Response<Reply> {
    let signed = http::header(request, "authorization").unwrap_or_default();
    let key = signed.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next());
    let refusal = |code: &str, message: &str| {
        let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
        (403, format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"))
    };
    let (status, body) = match key {
        None => refusal("MissingAuthenticationToken", "Request is missing Authentication Token"),
        Some(DELETED_KEY) => refusal("InvalidClientTokenId", "The security token included in the request is invalid."),
        Some(EXPIRED_KEY) => refusal("ExpiredToken", "The security token included in the request is expired"),
        Some(FENCED_KEY) => {
            refusal("AccessDenied", "because no VPC endpoint policy allows the sts:GetCallerIdentity action")
        }
        Some(_) => {
            let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/sandbox/bridge");
            let result = format!("<Arn>{arn}</Arn><UserId>AROA:bridge</UserId><Account>{ACCOUNT}</Account>");
            let result = format!("<GetCallerIdentityResult>{result}</GetCallerIdentityResult>");
            let rest = "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>";
            (200, format!("<GetCallerIdentityResponse>{result}{rest}</GetCallerIdentityResponse>"))
        }
    };
    http::json(status, &[("content-type", "text/xml".to_owned())], body)
}
