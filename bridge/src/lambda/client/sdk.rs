//! Invocations by the SDK's client for Lambda, over the bridge's connections, without the SDK's retries and timeouts.
//! Only this file and its folder name this SDK.

mod description;
mod endpoint;

use std::time::Duration;

use aws_sdk_lambda::config::StalledStreamProtectionConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::RequestId;
use aws_sdk_lambda::operation::invoke::builders::InvokeFluentBuilder;
use aws_sdk_lambda::operation::invoke::{InvokeError, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use bytes::Bytes;

pub use description::Description;
pub(super) use endpoint::endpoint;

use super::kind::Kind;
use super::said::{Said, TRACE};
use super::{CONNECT_TIMEOUT, LARGEST_ANSWER};
use crate::aws::{Aws, Fault, Panicked, REQUEST_IDS, caught, one_attempt};
use crate::lambda::Request;

/// The SDK's client, for one function.
#[derive(Debug, Clone)]
pub(super) struct Sdk {
    client: aws_sdk_lambda::Client,
    function: String,
}

impl Sdk {
    pub(super) fn new(aws: &Aws, function: &str, timeout: Duration) -> Self {
        // The SDK sets neither a read nor an attempt timeout of its own, and would call a function again after one. The
        // read timeout is that of our own HTTP client, and begins once there is a connection.
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(timeout);
        let config = aws_sdk_lambda::config::Builder::from(aws.settings())
            .retry_config(one_attempt())
            .timeout_config(timeouts.build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(aws.http().at_most(LARGEST_ANSWER));
        Self { client: aws_sdk_lambda::Client::from_conf(config.build()), function: function.to_owned() }
    }

    /// One call.
    ///
    /// # Errors
    /// Why there is no whole response.
    pub(super) async fn call(&self, kind: Kind, request: Request) -> Result<Said, Fault> {
        let call = self.client.invoke().function_name(&self.function).set_client_context(request.context);
        let call = match kind {
            Kind::RequestResponse => call,
            Kind::Event => call.invocation_type(InvocationType::Event),
            Kind::DryRun => call.invocation_type(InvocationType::DryRun),
        };
        let call = call.payload(Blob::new(request.event));
        match caught(send(call, request.trace)).await {
            Ok(Ok(output)) => Ok(answered(output)),
            Ok(Err(error)) => refused(&error),
            Err(Panicked) => Err(Fault::Panicked),
        }
    }
}

/// The SDK has no name for this header.
async fn send(call: InvokeFluentBuilder, trace: Option<String>) -> Result<InvokeOutput, SdkError<InvokeError>> {
    match trace {
        None => call.send().await,
        Some(trace) => {
            let call = call.customize();
            call.mutate_request(move |request| drop(request.headers_mut().insert(TRACE, trace.clone()))).send().await
        }
    }
}

fn answered(output: InvokeOutput) -> Said {
    Said {
        status: u16::try_from(output.status_code).unwrap_or_default(),
        has_id: output.request_id().is_some(),
        function_error: output.function_error,
        body: output.payload.map(Blob::into_inner).unwrap_or_default().into(),
        ..Said::default()
    }
}

fn refused(error: &SdkError<InvokeError>) -> Result<Said, Fault> {
    if let Some(fault) = Fault::of(error) {
        return Err(fault);
    }
    match error.raw_response() {
        // The response broke off, or is not one of the Invoke API in spite of status 200.
        Some(response) if response.status().is_success() => {
            Err(Fault::Connection("the response broke off, or is none of the Invoke API's".into()))
        }
        Some(response) => {
            let header = |name: &str| response.headers().get(name).map(str::to_owned);
            Ok(Said {
                status: response.status().as_u16(),
                has_id: REQUEST_IDS.iter().any(|name| response.headers().contains_key(name)),
                function_error: None,
                error_type: header("x-amzn-errortype"),
                retry_after: header("retry-after"),
                body: Bytes::copy_from_slice(response.body().bytes().unwrap_or_default()),
            })
        }
        None => Err(Fault::Connection("it broke".into())),
    }
}
