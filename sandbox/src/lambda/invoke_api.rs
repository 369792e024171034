//! The Invoke API as the AWS SDKs speak it: paths, headers and bodies. Decides nothing but what the request says.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html> and
//! <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html>.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde::de::IgnoredAny;
use serde_json::json;

use super::caller;
use super::errors::Refusal;
use super::execution::{self, Host, Hosted};
use super::http::{self, Reply, Reset, Unread};
use super::kind::Kind;
use super::{ACCOUNT, REGION, SYNC_LIMIT};

/// Read this far to learn how large a payload that is too large is; beyond it the exact size is not told.
const READ_LIMIT: usize = 4 * SYNC_LIMIT;
/// The longest client context, in base64.
const CONTEXT_LIMIT: usize = 3583;

/// Answers one request.
pub(super) async fn route(host: Arc<Host>, request: Request<Incoming>) -> Result<Response<Reply>, Reset> {
    let path: Vec<_> = request.uri().path().split('/').skip(1).collect();
    match (request.method(), &path[..]) {
        (&Method::POST, ["2015-03-31", "functions", name, "invocations"]) => {
            let target = Target::parse(name, request.uri().query());
            invoke(host, target, request).await
        }
        (&Method::GET, ["2015-03-31", "functions", name, "configuration"]) => {
            Ok(configuration(&host, &Target::parse(name, request.uri().query())))
        }
        (&Method::GET, ["2019-09-30", "functions", name, "concurrency"]) => {
            Ok(concurrency(&host, &Target::parse(name, request.uri().query())))
        }
        (&Method::POST, [""]) => Ok(caller::answer(&request)),
        _ => {
            let headers = [("x-amzn-errortype", "UnknownOperationException".to_owned())];
            Ok(http::json(404, &headers, json!({"message": "Unknown operation"}).to_string()))
        }
    }
}

async fn invoke(host: Arc<Host>, target: Target, request: Request<Incoming>) -> Result<Response<Reply>, Reset> {
    let kind = match http::header(&request, "x-amz-invocation-type") {
        Some("Event") => Kind::Event,
        Some("DryRun") => Kind::DryRun,
        _ => Kind::RequestResponse,
    };
    let trace_id = http::header(&request, "x-amzn-trace-id").map_or_else(new_trace_id, str::to_owned);
    let given = http::header(&request, "x-amz-client-context").map(client_context).transpose();
    let (payload, content) = match http::read(request.into_body(), READ_LIMIT).await {
        Ok(payload) => judge(payload, kind),
        Err(Unread::TooLong) => (Bytes::new(), Err(Refusal::TooLarge { bytes: READ_LIMIT, kind })),
        Err(Unread::Gone) => return Err(Reset),
    };
    let found = target.find(&host).cloned();
    let (client_context, content) = match given {
        Ok(given) => (given, content),
        Err(refusal) => (None, Err(refusal)),
    };
    let request = execution::InvokeRequest {
        request_id: new_request_id(),
        trace_id,
        arn: target.arn(),
        name: target.name,
        kind,
        client_context,
        payload,
        target: found.and_then(|hosted| content.map(|()| hosted)),
    };
    host.invoke(request).await
}

/// The JSON of a client context, which comes in base64 and has a limit of its own.
fn client_context(header: &str) -> Result<String, Refusal> {
    let json = BASE64_STANDARD.decode(header).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let json = json.filter(|json| header.len() <= CONTEXT_LIMIT && json.is_ascii());
    json.filter(|json| serde_json::from_str::<IgnoredAny>(json).is_ok())
        .ok_or_else(|| Refusal::InvalidContent("Client context must be a valid Base64-encoded JSON object.".into()))
}

/// The payload as the function gets it, and whether it may have it.
fn judge(payload: Bytes, kind: Kind) -> (Bytes, Result<(), Refusal>) {
    if payload.is_empty() {
        return (Bytes::from_static(b"{}"), Ok(()));
    }
    if payload.len() > kind.limit() {
        // The payload is not logged, as Lambda would not keep it either.
        return (Bytes::new(), Err(Refusal::TooLarge { bytes: payload.len(), kind }));
    }
    let parsed = match std::str::from_utf8(&payload) {
        Ok(text) => serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    (payload, parsed.map(drop).map_err(Refusal::InvalidContent))
}

fn configuration(host: &Host, target: &Target) -> Response<Reply> {
    let request_id = new_request_id();
    let refusal = match target.find(host) {
        Ok(hosted) if hosted.function.configuration_readable => {
            return describe(hosted, target, request_id);
        }
        Ok(_) => Refusal::AccessDenied,
        Err(refusal) => refusal,
    };
    refusal.reply(&request_id, &target.arn())
}

/// All of a local function's concurrency is reserved for it.
fn concurrency(host: &Host, target: &Target) -> Response<Reply> {
    let request_id = new_request_id();
    match target.find(host) {
        Ok(hosted) => {
            let body = json!({"ReservedConcurrentExecutions": hosted.function.concurrency});
            http::json(200, &[("x-amzn-requestid", request_id)], body.to_string())
        }
        Err(refusal) => refusal.reply(&request_id, &target.arn()),
    }
}

fn describe(hosted: &Hosted, target: &Target, request_id: String) -> Response<Reply> {
    let function = &hosted.function;
    let body = json!({
        "Architectures": [if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }],
        "CodeSize": 0,
        "Description": "",
        "FunctionArn": target.arn(),
        "FunctionName": function.name,
        "Handler": "bootstrap",
        "LastUpdateStatus": "Successful",
        "MemorySize": function.memory_mb,
        "PackageType": "Zip",
        "Role": format!("arn:aws:iam::{ACCOUNT}:role/sandbox"),
        "Runtime": "provided.al2023",
        "State": "Active",
        "Timeout": function.timeout.as_secs(),
        "Version": "$LATEST",
    });
    http::json(200, &[("x-amzn-requestid", request_id)], body.to_string())
}

/// Which function a request names.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    name: String,
    /// From the name and from the query: both may be given, if they agree.
    qualifiers: Vec<String>,
}

impl Target {
    /// Understands `name`, `name:alias`, `account:function:name` and whole ARNs, with or without a qualifier.
    fn parse(encoded: &str, query: Option<&str>) -> Self {
        let decoded = percent_decode(encoded);
        let rest = match decoded.split_once("function:") {
            Some((before, after)) if before.is_empty() || before.ends_with(':') => after,
            _ => &decoded,
        };
        let (name, qualifier) = rest.split_once(':').map_or((rest, None), |(name, after)| (name, Some(after)));
        let queried = query.unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("Qualifier="));
        let qualifiers = qualifier.map(str::to_owned).into_iter().chain(queried.map(percent_decode)).collect();
        Self { name: name.to_owned(), qualifiers }
    }

    fn find<'a>(&self, host: &'a Host) -> Result<&'a Arc<Hosted>, Refusal> {
        if self.qualifiers.windows(2).any(|pair| pair[0] != pair[1]) {
            let message = "The derived qualifier from the function name does not match the specified qualifier.";
            return Err(Refusal::InvalidParameter(message.into()));
        }
        let hosted = host.find(&self.name).ok_or(Refusal::NotFound)?;
        let exists = |qualifier: &String| qualifier == "$LATEST" || hosted.function.aliases.contains(qualifier);
        if self.qualifiers.iter().all(exists) { Ok(hosted) } else { Err(Refusal::NotFound) }
    }

    fn arn(&self) -> String {
        let mut arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}", self.name);
        if let Some(qualifier) = self.qualifiers.first() {
            arn.push(':');
            arn.push_str(qualifier);
        }
        arn
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| first == b'%');
        let decoded = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(decoded.unwrap_or(first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A random UUID, version 4 (RFC 9562, section 5.4).
fn new_request_id() -> String {
    let random = fastrand::u128(..) & !((0xf << 76) | (0x3 << 62));
    let hex = format!("{:032x}", random | (0x4 << 76) | (0x2 << 62));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn new_trace_id() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (root, parent) = (fastrand::u128(..) >> 32, fastrand::u64(..));
    format!("Root=1-{now:08x}-{root:024x};Parent={parent:016x};Sampled=0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_name_is_understood() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        let forms = [
            ("f", None, None),
            ("f:live", None, Some("live")),
            ("f", Some("Qualifier=live"), Some("live")),
            ("f:%24LATEST", None, Some("$LATEST")),
            (arn, None, None),
            ("arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af%3Alive", None, Some("live")),
            ("000000000000:function:f", None, None),
            ("function:f", None, None),
        ];
        for (path, query, qualifier) in forms {
            let target = Target::parse(path, query);
            assert_eq!(target.name, "f", "{path}");
            assert_eq!(target.qualifiers.first().map(String::as_str), qualifier, "{path}");
            assert!(target.arn().starts_with(arn), "{path}");
        }
        assert_eq!(Target::parse("my-function", None).name, "my-function");
    }

    #[test]
    fn half_an_escape_stands_for_itself() {
        assert_eq!(percent_decode("a%2Fb%2"), "a/b%2");
        assert_eq!(percent_decode("%zz%"), "%zz%");
    }

    #[test]
    fn payloads_are_json_within_the_limit() {
        assert_eq!(judge(Bytes::new(), Kind::Event).0, "{}");
        let exact = |len: usize| Bytes::from(format!("\"{}\"", "x".repeat(len - 2)));
        assert_eq!(judge(exact(SYNC_LIMIT), Kind::RequestResponse).1, Ok(()));
        let over = Refusal::TooLarge { bytes: SYNC_LIMIT + 1, kind: Kind::RequestResponse };
        assert_eq!(judge(exact(SYNC_LIMIT + 1), Kind::RequestResponse).1, Err(over));
        assert!(matches!(judge(exact(super::super::EVENT_LIMIT + 1), Kind::Event).1, Err(Refusal::TooLarge { .. })));
        for text in [&b"{"[..], b"{} {}", b"\"\xff\"", b"nul"] {
            let judged = judge(Bytes::from_static(text), Kind::RequestResponse).1;
            assert!(matches!(judged, Err(Refusal::InvalidContent(_))), "{text:?}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(judge(deep.into(), Kind::RequestResponse).1, Ok(()));
    }

    #[test]
    fn request_ids_are_uuids() {
        let id = new_request_id();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(id.as_bytes()[14], b'4', "{id}");
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
}
