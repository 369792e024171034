//! The Invoke API: the only file that names the SDK for Lambda. One call is one attempt; retries are the lane's.

use std::time::Duration;

use aws_sdk_lambda::config::StalledStreamProtectionConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::operation::invoke::builders::InvokeFluentBuilder;
use aws_sdk_lambda::operation::invoke::{InvokeError as SdkInvokeError, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;

use super::InvokeError;
use super::Request;
use super::classify::{self, classify, of_somebody_else, unexpected};
use super::error::Refused;
use super::interpret::{Failure, Reading, function_error, interpret};
use super::raw;
use crate::aws::{Aws, Fault, Panicked, Ready, caught, one_attempt};
use crate::config::{Format, Function};
use crate::delivery::RecordId;

/// How long a TCP connection and TLS handshake to Lambda may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The limit that Lambda's own error message names (`Function.ResponseSizeTooLarge`), in bytes.
const LARGEST_ANSWER: usize = 6_291_556;

/// What the function answered.
#[derive(Debug)]
pub struct Answer {
    /// The header `X-Amz-Function-Error`: the function failed, though the HTTP status is 200.
    pub function_error: Option<String>,
    /// The body.
    pub payload: Vec<u8>,
}

impl Answer {
    /// What it says of the records that were sent in this format, and what else; `wants_answers` when the mapping publishes
    /// answers.
    ///
    /// # Errors
    /// When the function failed as a whole, or its answer fails the whole event.
    pub fn read(&self, format: Format, ids: &[RecordId], wants_answers: bool) -> Result<Reading, Failure> {
        match (&self.function_error, format) {
            (Some(header), _) => Err(function_error(header, &self.payload)),
            (None, Format::Records) => interpret(&self.payload, ids, wants_answers),
            (None, Format::Raw) => Ok(raw::interpret(&self.payload)),
        }
    }
}

/// Invokes the function of one mapping.
#[derive(Debug, Clone)]
pub struct Client {
    sdk: aws_sdk_lambda::Client,
    function: String,
    timeout: Duration,
    /// Endpoint and region, for messages.
    place: String,
    credentials: Ready,
}

impl Aws {
    /// A client for this function, whose calls take `timeout` at most.
    #[must_use]
    pub fn client(&self, function: &Function, timeout: Duration) -> Client {
        // The SDK sets neither a read nor an attempt timeout of its own, and would call a function again after one.
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT);
        let timeouts = match self.http() {
            // That of our own HTTP client, which begins once there is a connection.
            Some(_) => timeouts.read_timeout(timeout),
            None => timeouts.operation_attempt_timeout(timeout),
        };
        let mut config = aws_sdk_lambda::config::Builder::from(self.settings())
            .retry_config(one_attempt())
            .timeout_config(timeouts.build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(http) = self.http() {
            config = config.http_client(http.at_most(LARGEST_ANSWER));
        }
        let sdk = aws_sdk_lambda::Client::from_conf(config.build());
        Client {
            sdk,
            function: function.as_str().to_owned(),
            timeout,
            place: self.place("lambda"),
            credentials: self.ready(),
        }
    }
}

impl Client {
    /// The function it invokes.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Returns once an invocation would have credentials; none is needed to ask.
    ///
    /// # Errors
    /// [`InvokeError::Misconfigured`], when there are none.
    pub async fn ready(&self) -> Result<(), InvokeError> {
        self.credentials.ready().await.map_err(|cause| self.set_up(&Fault::Credentials(cause).to_string()))
    }

    /// One synchronous invocation, `RequestResponse`.
    ///
    /// # Errors
    /// When there is no answer of the function. That the function failed is an answer.
    pub async fn invoke(&self, request: impl Into<Request>) -> Result<Answer, InvokeError> {
        let request = request.into();
        let call = self.sdk.invoke().function_name(&self.function).set_client_context(request.context);
        self.send(call.payload(Blob::new(request.event)), 200).await.map(answer)
    }

    /// One asynchronous invocation, `Event`. Once Lambda has taken it (202), retries and destinations are Lambda's own.
    ///
    /// # Errors
    /// When Lambda has not taken it.
    pub async fn enqueue(&self, request: impl Into<Request>) -> Result<Answer, InvokeError> {
        let event = request.into().event;
        let call = self.sdk.invoke().function_name(&self.function).invocation_type(InvocationType::Event);
        let taken = self.send(call.payload(Blob::new(event)), 202).await;
        taken.map(|_| Answer { function_error: None, payload: Vec::new() })
    }

    async fn send(&self, call: InvokeFluentBuilder, expected: u16) -> Result<InvokeOutput, InvokeError> {
        // Not on the function's time.
        self.ready().await?;
        match caught(call.send()).await {
            Ok(Ok(output)) if is_of_somebody_else(&output) => Err(of_somebody_else(expected, &self.place)),
            Ok(Ok(output)) if output.status_code == i32::from(expected) => Ok(output),
            Ok(Ok(output)) => {
                Err(unexpected(u16::try_from(output.status_code).unwrap_or_default(), expected, &self.place))
            }
            Ok(Err(error)) => Err(self.error(&error)),
            Err(Panicked) => Err(self.set_up("the SDK panicked: something of its configuration cannot be used")),
        }
    }

    fn error(&self, error: &SdkError<SdkInvokeError>) -> InvokeError {
        let place = || self.place.clone();
        match Fault::of(error) {
            Some(Fault::Timeout) => InvokeError::Timeout { after: self.timeout, place: place() },
            Some(Fault::Connection(cause)) => InvokeError::Connection { cause, place: place() },
            Some(fault) => self.set_up(&fault.to_string()),
            None => match error.raw_response() {
                // Broken off, or no answer of the Invoke API though it says 200.
                Some(response) if response.status().is_success() => {
                    let cause = "the response broke off, or is none of the Invoke API's".into();
                    InvokeError::Connection { cause, place: place() }
                }
                Some(response) => {
                    let header = |name| response.headers().get(name);
                    let parts = classify::Response {
                        status: response.status().as_u16(),
                        error_type: header("x-amzn-errortype"),
                        retry_after: header("retry-after"),
                        body: response.body().bytes().unwrap_or_default(),
                    };
                    classify(parts, &self.place)
                }
                None => InvokeError::Connection { cause: "it broke".into(), place: place() },
            },
        }
    }

    /// Nothing was sent, and nothing will be until the set-up is another.
    fn set_up(&self, cause: &str) -> InvokeError {
        let head = format!("{cause}; endpoint {}", self.place);
        InvokeError::Misconfigured { refusal: Refused { head, detail: None }, unexplained: false }
    }
}

/// Lambda gives each response an id, which some emulators do not. Without it, a page or nothing at all is a success of
/// whatever else listens there, and no function has seen the event.
fn is_of_somebody_else(output: &InvokeOutput) -> bool {
    let body = output.payload.as_ref().map_or(&[][..], |payload| payload.as_ref()).trim_ascii_start();
    let is_synchronous = output.status_code == 200;
    output.request_id().is_none() && (body.starts_with(b"<") || (body.is_empty() && is_synchronous))
}

fn answer(output: InvokeOutput) -> Answer {
    Answer { function_error: output.function_error, payload: output.payload.map(Blob::into_inner).unwrap_or_default() }
}
