//! The Invoke API: the only file that names the AWS SDK. One call is one attempt; retries are the lane's.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_lambda::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_lambda::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::operation::invoke::{InvokeError as SdkInvokeError, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;

use super::InvokeError;
use super::interpret::{Failure, function_error, interpret};
use crate::config::Function;
use crate::delivery::RecordId;

/// How long a TCP connection and TLS handshake to Lambda may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where and as whom functions are invoked, as the SDK's standard chain found it.
#[derive(Debug, Clone)]
pub struct Aws(SdkConfig);

/// What is missing before anything can be invoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// No region anywhere in the chain.
    #[error("aws region: not found in the environment, the profile or the instance; set AWS_REGION")]
    NoRegion,
}

/// An endpoint that is not AWS: the sandbox, or an emulator.
#[derive(Debug, Clone)]
pub struct LocalEndpoint {
    /// Such as `http://127.0.0.1:4566`.
    pub url: String,
}

/// What the function answered.
#[derive(Debug)]
pub struct Answer {
    /// The header `X-Amz-Function-Error`: the function failed, though the HTTP status is 200.
    pub function_error: Option<String>,
    /// The body.
    pub payload: Vec<u8>,
}

impl Answer {
    /// The failures among the records that were sent, by their index.
    ///
    /// # Errors
    /// When the function failed as a whole, or its answer fails the whole event.
    pub fn failures(&self, ids: &[RecordId]) -> Result<HashMap<usize, Failure>, Failure> {
        match &self.function_error {
            Some(header) => Err(function_error(header, &self.payload)),
            None => interpret(&self.payload, ids),
        }
    }
}

/// Invokes the function of one mapping.
#[derive(Debug, Clone)]
pub struct Client {
    sdk: aws_sdk_lambda::Client,
    function: String,
    timeout: Duration,
}

impl Aws {
    /// Region, credentials and endpoint from the SDK's standard chain; asks nothing of AWS yet.
    ///
    /// # Errors
    /// When no region is found.
    pub async fn from_environment() -> Result<Self, AwsError> {
        let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
        if config.region().is_none() {
            return Err(AwsError::NoRegion);
        }
        Ok(Self(config))
    }

    /// A local endpoint, with made-up credentials that it does not check.
    #[must_use]
    pub fn local(endpoint: LocalEndpoint) -> Self {
        let credentials = Credentials::new("local", "local", None, None, "local endpoint");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(endpoint.url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Self(config)
    }

    /// Whether credentials can be had now. Asked at start, so that their absence is said before the first message.
    ///
    /// # Errors
    /// What the chain said.
    pub async fn credentials(&self) -> Result<(), String> {
        let Some(provider) = self.0.credentials_provider() else { return Err("no provider".into()) };
        provider.provide_credentials().await.map(drop).map_err(|error| DisplayErrorContext(&error).to_string())
    }

    /// A client for this function, whose calls take `timeout` at most.
    #[must_use]
    pub fn client(&self, function: &Function, timeout: Duration) -> Client {
        // The SDK sets neither a read nor an attempt timeout of its own, and would call a function again after one.
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(timeout).build();
        let config = aws_sdk_lambda::config::Builder::from(&self.0)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Client { sdk: aws_sdk_lambda::Client::from_conf(config), function: function.as_str().to_owned(), timeout }
    }
}

impl Client {
    /// The function it invokes.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    /// One synchronous invocation, `RequestResponse`.
    ///
    /// # Errors
    /// When there is no answer of the function. That the function failed is an answer.
    pub async fn invoke(&self, event: Vec<u8>) -> Result<Answer, InvokeError> {
        let call = self.sdk.invoke().function_name(&self.function).payload(Blob::new(event));
        match call.send().await {
            Ok(output) => Ok(answer(output)),
            Err(error) => Err(self.error(error)),
        }
    }

    fn error(&self, error: SdkError<SdkInvokeError>) -> InvokeError {
        match error {
            SdkError::TimeoutError(_) => InvokeError::Timeout { after: self.timeout },
            SdkError::ConstructionFailure(_) => {
                InvokeError::Misconfigured { code: "Request".into(), message: causes(&error) }
            }
            SdkError::DispatchFailure(ref failure) if failure.is_timeout() => {
                InvokeError::Connection(format!("no connection within {CONNECT_TIMEOUT:?}"))
            }
            SdkError::DispatchFailure(ref failure) if !failure.is_io() && is_about_credentials(&error) => {
                InvokeError::Misconfigured { code: "Credentials".into(), message: causes(&error) }
            }
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                let error = service.into_err();
                let retry_after = retry_after(&error);
                let code = throttle_reason(&error).or_else(|| error.code().map(str::to_owned)).unwrap_or_default();
                let message = error.message().unwrap_or_default().to_owned();
                InvokeError::from_status(status, code, message, retry_after)
            }
            // An answer that is not the Invoke API's, or broke off half-way.
            SdkError::ResponseError(ref response) if response.raw().status().as_u16() >= 400 => {
                let status = response.raw().status().as_u16();
                InvokeError::from_status(status, format!("HTTP {status}"), causes(&error), None)
            }
            _ => InvokeError::Connection(causes(&error)),
        }
    }
}

fn answer(output: InvokeOutput) -> Answer {
    Answer { function_error: output.function_error, payload: output.payload.map(Blob::into_inner).unwrap_or_default() }
}

fn retry_after(error: &SdkInvokeError) -> Option<Duration> {
    let SdkInvokeError::TooManyRequestsException(throttled) = error else { return None };
    throttled.retry_after_seconds()?.parse().ok().map(Duration::from_secs)
}

fn throttle_reason(error: &SdkInvokeError) -> Option<String> {
    let SdkInvokeError::TooManyRequestsException(throttled) = error else { return None };
    throttled.reason().map(|reason| reason.as_str().to_owned())
}

/// The SDK reports missing credentials as a request that could not be dispatched.
fn is_about_credentials(error: &SdkError<SdkInvokeError>) -> bool {
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.to_string().contains("credential") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The error and all its causes, in one line.
fn causes(error: &SdkError<SdkInvokeError>) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
