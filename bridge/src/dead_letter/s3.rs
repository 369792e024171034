//! A bucket of dead letters, one object for each: the only file that names the SDK for S3. One call is one attempt; the
//! caller decides about retries.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use tokio::time::timeout;

use super::address::region;
use super::digest::{Sha, md5};
use super::object_key::object_key;
use super::{DeadLetter, DestinationError};
use crate::aws::{Aws, causes, one_attempt, words};
use crate::config::BucketUrl;
use crate::foreign::Foreign;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For calls without a letter.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// For a letter of the largest size that is read.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// A bucket, and how the keys of its letters begin. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket {
    sdk: Client,
    url: Arc<BucketUrl>,
}

/// One object, as a listing tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its whole key.
    pub key: String,
    /// How many bytes it has.
    pub size: u64,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the order of their keys.
    pub objects: Vec<Object>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

impl Bucket {
    /// The bucket of this address: at the host that it names, and in the region that a host of AWS stands for; without
    /// a host, where the SDK's chain says. Asks nothing of it yet.
    #[must_use]
    pub fn open(aws: &Aws, url: &BucketUrl) -> Self {
        // A request with a letter takes time in proportion to its size; the caller sets the limit.
        let mut config = Builder::from(aws.settings())
            .retry_config(one_attempt())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(endpoint) = &url.endpoint {
            config = config.endpoint_url(endpoint);
            if let Some(region) = region(endpoint, "s3") {
                config = config.region(Region::new(region.to_owned()));
            }
        }
        // Other services than AWS have no DNS name for each bucket.
        let by_path = url.endpoint.is_some() || aws.has_endpoint_for("S3");
        Self { sdk: Client::from_conf(config.force_path_style(by_path).build()), url: Arc::new(url.clone()) }
    }

    /// Returns once S3 has confirmed every byte. To put a letter once more makes no second object.
    pub(super) async fn put(&self, letter: &DeadLetter) -> Result<(), DestinationError> {
        let body = Bytes::from(serde_json::to_vec(letter).map_err(|cause| self.error(cause))?);
        let sum = Sha::of(&body);
        let call = self.sdk.put_object().bucket(&self.url.bucket).key(object_key(&self.url.prefix, letter, &sum));
        let call = call.content_type("application/json").checksum_sha256(sum.base64()).body(body.clone().into());
        let answer = call.send().await.map_err(|error| self.error(cause(error)))?;
        confirmed(&answer, &sum, &body).map_err(|cause| self.error(cause))
    }

    /// Up to a thousand objects behind the key `after`, or the first ones.
    ///
    /// # Errors
    /// When the bucket does not answer, or refuses.
    pub async fn list(&self, after: Option<&str>) -> Result<Page, DestinationError> {
        let call = self.sdk.list_objects_v2().bucket(&self.url.bucket).prefix(&self.url.prefix);
        let call = call.set_start_after(after.map(str::to_owned));
        let answer = self.within(CALL_TIMEOUT, call.send()).await?.map_err(|error| self.error(cause(error)))?;
        let more = answer.is_truncated().unwrap_or_default();
        let object = |object: aws_sdk_s3::types::Object| {
            let size = object.size.and_then(|size| size.try_into().ok()).unwrap_or_default();
            object.key.map(|key| Object { key, size })
        };
        Ok(Page { objects: answer.contents.unwrap_or_default().into_iter().filter_map(object).collect(), more })
    }

    /// The content of an object; `None` if it no longer exists.
    ///
    /// # Errors
    /// When the bucket does not answer, or refuses, or the bytes do not fit the checksum that they were stored with.
    pub async fn read(&self, object: &Object) -> Result<Option<Bytes>, DestinationError> {
        let call = self.sdk.get_object().bucket(&self.url.bucket).key(&object.key);
        let read = async {
            let answer = match call.send().await {
                Ok(answer) => answer,
                Err(error) if is_gone(&error) => return Ok(None),
                Err(error) => return Err(self.error(cause(error))),
            };
            let body = answer.body.collect().await;
            body.map(|body| Some(body.into_bytes())).map_err(|error| self.error(causes(&error)))
        };
        self.within(READ_TIMEOUT, read).await?
    }

    /// Removes an object; in a bucket with versions, from the listing.
    ///
    /// # Errors
    /// When the bucket does not confirm it.
    pub async fn delete(&self, object: &Object) -> Result<(), DestinationError> {
        let call = self.sdk.delete_object().bucket(&self.url.bucket).key(&object.key);
        let answer = self.within(CALL_TIMEOUT, call.send()).await?;
        answer.map(drop).map_err(|error| self.error(cause(error)))
    }

    async fn within<T>(&self, patience: Duration, call: impl Future<Output = T>) -> Result<T, DestinationError> {
        let late = |_| self.error(format_args!("no answer within {patience:?}"));
        timeout(patience, call).await.map_err(late)
    }

    fn error(&self, cause: impl fmt::Display) -> DestinationError {
        DestinationError::new(self, cause)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

/// S3 refuses bytes that do not fit the SHA-256 sent with them, and answers it when it has stored them (S3 user guide,
/// "Checking object integrity"). A store that knows no checksums says in the `ETag` what it has: the MD5, unless it
/// encrypts with a key of the customer's.
fn confirmed(answer: &PutObjectOutput, sum: &Sha, body: &[u8]) -> Result<(), &'static str> {
    match answer.checksum_sha256() {
        Some(theirs) if theirs == sum.base64() => Ok(()),
        Some(_) => Err("the SHA-256 that it confirms is not that of the dead letter"),
        None if answer.e_tag().is_some_and(|tag| tag.trim_matches('"') == md5(body)) => Ok(()),
        None => Err("it confirms neither the SHA-256 nor the MD5 of the dead letter"),
    }
}

fn is_gone<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(error, SdkError::ServiceError(service) if service.err().code() == Some("NoSuchKey"))
}

fn cause<E>(error: SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let (status, way_out) = (service.raw().status().as_u16(), elsewhere(service.raw()));
            let error = service.into_err();
            // A proxy between the bridge and S3 answers without an error code.
            let code = error.code().map_or_else(|| format!("status {status}").into(), Foreign::of);
            format!("{}{way_out}", Foreign::behind(&code, error.message().unwrap_or("without a reason")))
        }
        error => words(&error),
    }
}

/// Where a bucket is that is not asked in its own region (S3 user guide, "Request redirection"); empty for all other
/// refusals.
fn elsewhere(response: &HttpResponse) -> String {
    let region = response.headers().get("x-amz-bucket-region").filter(|_| response.status().as_u16() == 301);
    let region = region.filter(|region| region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    region.map(Foreign::of).map_or_else(String::new, |region| {
        format!("; the bucket is in {region}: write `https://s3.{region}.amazonaws.com/` in place of `s3://`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_these_very_bytes_are_a_confirmation() {
        let (body, sum) = (b"abc", Sha::of("abc"));
        let answer = |sum: Option<String>, tag: Option<&str>| {
            let tag = tag.map(|tag| format!("\"{tag}\""));
            PutObjectOutput::builder().set_checksum_sha256(sum).set_e_tag(tag).build()
        };
        let (right, wrong) = (md5(body), md5("other bytes"));
        for (ours, tag, expected) in [
            (Some("abc"), None, true),
            // With SSE-KMS the ETag is not the MD5 of the object.
            (Some("abc"), Some(&wrong), true),
            (Some("other bytes"), Some(&right), false),
            (None, Some(&right), true),
            (None, Some(&wrong), false),
            (None, None, false),
        ] {
            let answer = answer(ours.map(|bytes| Sha::of(bytes).base64()), tag.map(String::as_str));
            assert_eq!(confirmed(&answer, &sum, body).is_ok(), expected, "{answer:?}");
        }
    }
}
