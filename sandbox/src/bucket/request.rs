//! What a request asks of the bucket, and whether what it says about itself is true. Answers nothing.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::{Method, Request};
use sha2::{Digest, Sha256};

use super::NAME;
use crate::lambda::http;
use crate::queue::hexadecimal;

/// What the service refuses: HTTP status, code and text.
pub(super) type Refusal = (u16, &'static str, String);

/// One request, without its body.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// Empty when it is about the bucket itself.
    pub(super) key: String,
    pub(super) parameters: BTreeMap<String, String>,
    /// The SHA-256 that the object is to be stored with, in base64.
    pub(super) sum: Option<String>,
    /// The SHA-256 that is signed, in hexadecimal.
    signed: String,
}

impl Asked {
    pub(super) fn read<B>(request: &Request<B>) -> Result<Self, Refusal> {
        let signed = signature(request)?;
        let path = decoded(request.uri().path());
        let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        if bucket != NAME {
            return Err(no_such_bucket());
        }
        let pairs = request.uri().query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Ok(Self {
            method: request.method().clone(),
            key: key.to_owned(),
            parameters: pairs.map(pair).collect(),
            sum: http::header(request, "x-amz-checksum-sha256").map(str::to_owned),
            signed,
        })
    }

    /// Refuses other bytes than those that are spoken of.
    pub(super) fn check(&self, body: &[u8]) -> Result<(), Refusal> {
        if self.signed != "UNSIGNED-PAYLOAD" && self.signed != hexadecimal(&Sha256::digest(body)) {
            let text = "the provided 'x-amz-content-sha256' header does not match what was computed";
            return Err((400, "XAmzContentSHA256Mismatch", text.into()));
        }
        if self.sum.as_ref().is_some_and(|sum| *sum != sha256(body)) {
            return Err((400, "BadDigest", "the SHA256 you specified did not match the calculated checksum".into()));
        }
        Ok(())
    }
}

/// In base64.
pub(super) fn sha256(body: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(body))
}

pub(super) fn no_such_bucket() -> Refusal {
    (404, "NoSuchBucket", "the specified bucket does not exist".into())
}

/// Whether there is a signature of version 4, made for S3; returns the hash of the body that it covers.
fn signature<B>(request: &Request<B>) -> Result<String, Refusal> {
    let denied = |text: &str| (403, "AccessDenied", text.to_owned());
    let authorization = http::header(request, "authorization").unwrap_or_default();
    let scope = authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=").and_then(|rest| rest.split(',').next());
    let ours = scope.is_some_and(|scope| scope.ends_with("/s3/aws4_request"));
    if !ours || !authorization.contains("Signature=") || http::header(request, "x-amz-date").is_none() {
        return Err(denied("the request is not signed"));
    }
    let signed = http::header(request, "x-amz-content-sha256").unwrap_or_default();
    if signed.is_empty() || signed.starts_with("STREAMING-") {
        return Err(denied("the body is not signed as a whole"));
    }
    Ok(signed.to_owned())
}

/// Without `%`; what is no UTF-8 then was none before.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> hyper::http::request::Builder {
        let scope = "AWS4-HMAC-SHA256 Credential=local/20261120/us-east-1/s3/aws4_request, SignedHeaders=host";
        Request::put(uri)
            .header("authorization", format!("{scope}, Signature=00"))
            .header("x-amz-date", "20261120T120000Z")
            .header("x-amz-content-sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    fn refusal(request: hyper::http::request::Builder) -> &'static str {
        Asked::read(&request.body(()).unwrap()).unwrap_err().1
    }

    #[test]
    fn it_says_which_object() {
        let asked = Asked::read(&request("/dead-letters/a/b%3Dc?x-id=PutObject&a=%2F").body(()).unwrap()).unwrap();
        assert_eq!((asked.method, asked.key.as_str(), asked.parameters["a"].as_str()), (Method::PUT, "a/b=c", "/"));
        assert_eq!(Asked::read(&request("/dead-letters?list-type=2").body(()).unwrap()).unwrap().key, "");
        assert_eq!(refusal(request("/another/a")), "NoSuchBucket");
    }

    #[test]
    fn without_a_signature_it_is_refused() {
        assert_eq!(refusal(Request::put("/dead-letters/a")), "AccessDenied");
        let other = "AWS4-HMAC-SHA256 Credential=local/20261120/us-east-1/sqs/aws4_request, Signature=00";
        assert_eq!(refusal(Request::put("/dead-letters/a").header("authorization", other)), "AccessDenied");
    }

    #[test]
    fn other_bytes_than_those_spoken_of_are_refused() {
        let asked = |sum: &str| {
            let request = request("/dead-letters/a").header("x-amz-checksum-sha256", sum);
            Asked::read(&request.body(()).unwrap()).unwrap()
        };
        let right = asked("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
        assert_eq!(right.check(b"abc"), Ok(()));
        assert_eq!(right.check(b"abd").unwrap_err().1, "XAmzContentSHA256Mismatch");
        assert_eq!(asked("AA==").check(b"abc").unwrap_err().1, "BadDigest");
    }
}
