//! The Invoke API: the only file that names the SDK for Lambda. One call is one attempt; retries are the lane's.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_lambda::config::StalledStreamProtectionConfig;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::operation::invoke::{InvokeError as SdkInvokeError, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;

use event::Response;

use super::InvokeError;
use super::interpret::{Failure, function_error, interpret};
use crate::aws::{Aws, causes};
use crate::config::Function;
use crate::delivery::RecordId;

/// How long a TCP connection and TLS handshake to Lambda may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the function answered.
#[derive(Debug)]
pub struct Answer {
    /// The header `X-Amz-Function-Error`: the function failed, though the HTTP status is 200.
    pub function_error: Option<String>,
    /// The body.
    pub payload: Vec<u8>,
}

impl Answer {
    /// The failures among the records that were sent, by their index, and what else the function says.
    ///
    /// # Errors
    /// When the function failed as a whole, or its answer fails the whole event.
    pub fn read(&self, ids: &[RecordId]) -> Result<(HashMap<usize, Failure>, Response), Failure> {
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
    /// A client for this function, whose calls take `timeout` at most.
    #[must_use]
    pub fn client(&self, function: &Function, timeout: Duration) -> Client {
        // The SDK sets neither a read nor an attempt timeout of its own, and would call a function again after one.
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(timeout).build();
        let config = aws_sdk_lambda::config::Builder::from(self.settings())
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

    /// One asynchronous invocation, `Event`. Once Lambda has taken it (202), retries and destinations are Lambda's own.
    ///
    /// # Errors
    /// When Lambda has not taken it.
    pub async fn enqueue(&self, event: Vec<u8>) -> Result<Answer, InvokeError> {
        let call = self.sdk.invoke().function_name(&self.function).invocation_type(InvocationType::Event);
        match call.payload(Blob::new(event)).send().await {
            Ok(_) => Ok(Answer { function_error: None, payload: Vec::new() }),
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
