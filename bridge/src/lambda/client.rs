//! The Invoke API: what a call is, and what its response means, for both clients. One call is one attempt; the lane
//! retries.

mod kind;
mod lean;
mod said;
mod sdk;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::InvokeError;
use super::Request;
use super::classify::{self, classify, of_somebody_else, unexpected};
use super::error::Refused;
use super::interpret::{Failure, Reading, function_error, interpret};
use super::raw;
use crate::aws::{Aws, Fault, Ready};
use crate::config::{Format, Function, LambdaClient};
use crate::delivery::RecordId;
use kind::Kind;
use lean::Lean;
use said::Said;
pub use sdk::Description;
use sdk::Sdk;

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
    pub payload: Bytes,
}

impl Answer {
    /// What it says of the records that were sent in this format, and what else; `wants_answers` when the mapping
    /// publishes answers.
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
    way: Way,
    function: String,
    timeout: Duration,
    /// Endpoint and region, for messages.
    place: String,
    credentials: Ready,
    dry_runs: bool,
}

/// The client that sends the calls.
#[derive(Debug, Clone)]
enum Way {
    Sdk(Sdk),
    Lean(Arc<Lean>),
}

impl Aws {
    /// A client for this function, whose calls take `timeout` at most.
    #[must_use]
    pub fn client(&self, function: &Function, timeout: Duration) -> Client {
        let (function, endpoint) = (function.as_str(), sdk::endpoint(self));
        let place = self.place_of_lambda(endpoint.as_deref());
        // If no endpoint can be derived, the SDK reports it at the first call.
        let lean = || Lean::new(self, endpoint.as_deref()?, function, timeout);
        let way = match self.wanted_client() {
            LambdaClient::Lean if let Some(lean) = lean() => Way::Lean(Arc::new(lean)),
            _ => Way::Sdk(Sdk::new(self, function, timeout)),
        };
        let (credentials, dry_runs) = (self.ready(), self.wants_dry_runs());
        Client { way, function: function.to_owned(), timeout, place, credentials, dry_runs }
    }

    /// Endpoint and region of Lambda, for messages.
    #[must_use]
    pub fn lambda_place(&self) -> String {
        self.place_of_lambda(sdk::endpoint(self).as_deref())
    }

    fn place_of_lambda(&self, endpoint: Option<&str>) -> String {
        endpoint.map_or_else(|| self.place("lambda"), |endpoint| self.place_of(endpoint))
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
        self.credentials.ready().await.map_err(|cause| self.failed(Fault::Credentials(cause)))
    }

    /// One synchronous invocation, `RequestResponse`.
    ///
    /// # Errors
    /// When there is no answer of the function. That the function failed is an answer.
    pub async fn invoke(&self, request: impl Into<Request>) -> Result<Answer, InvokeError> {
        let said = self.send(Kind::RequestResponse, request.into()).await?;
        Ok(Answer { function_error: said.function_error, payload: said.body })
    }

    /// One asynchronous invocation, `Event`. Once Lambda has taken it (202), retries and destinations are Lambda's own.
    ///
    /// # Errors
    /// When Lambda has not taken it.
    pub async fn enqueue(&self, request: impl Into<Request>) -> Result<Answer, InvokeError> {
        let request = Request { context: None, ..request.into() };
        self.send(Kind::Event, request).await?;
        Ok(Answer { function_error: None, payload: Bytes::new() })
    }

    /// Whether dry runs are wanted.
    #[must_use]
    pub fn wants_dry_runs(&self) -> bool {
        self.dry_runs
    }

    /// Whether the function could be invoked, by a call that runs nothing. It takes the permission of an invocation,
    /// and no other.
    ///
    /// # Errors
    /// When it could not.
    pub async fn dry_run(&self) -> Result<(), InvokeError> {
        // An empty payload: an endpoint that knows no DryRun and runs the function hands it no message.
        self.send(Kind::DryRun, Vec::new().into()).await.map(drop)
    }

    /// Whether Lambda itself says now that it takes invocations of the function, and runs nothing. False where nobody says
    /// so, such as an emulator that knows no dry run, or a proxy that answers for Lambda; and where none is wanted.
    pub async fn takes_invocations(&self) -> bool {
        if !self.dry_runs {
            return false;
        }
        let said = self.send(Kind::DryRun, Vec::new().into()).await;
        said.is_ok_and(|said| said.has_id && said.status == Kind::DryRun.expected())
    }

    async fn send(&self, kind: Kind, request: Request) -> Result<Said, InvokeError> {
        let said = match &self.way {
            Way::Sdk(sdk) => {
                // Credentials are fetched before the function's timeout begins.
                self.ready().await?;
                // In a box, or every lane would carry the room for the SDK's call.
                Box::pin(sdk.call(kind, request)).await
            }
            Way::Lean(lean) => lean.call(kind, request).await,
        };
        let said = said.map_err(|fault| self.failed(fault))?;
        let expected = kind.expected();
        match said.status {
            // An endpoint that knows no DryRun has run the function: it is there.
            200 if kind == Kind::DryRun && said.has_id => Ok(said),
            200..=299 if is_of_somebody_else(&said) => Err(of_somebody_else(expected, &self.place)),
            status if status == expected => Ok(said),
            200..=299 => Err(unexpected(said.status, expected, &self.place)),
            _ => Err(self.refused(&said)),
        }
    }

    fn refused(&self, said: &Said) -> InvokeError {
        let parts = classify::Response {
            status: said.status,
            error_type: said.error_type.as_deref(),
            retry_after: said.retry_after.as_deref(),
            body: &said.body,
        };
        classify(parts, &self.place)
    }

    fn failed(&self, fault: Fault) -> InvokeError {
        let place = self.place.clone();
        match fault {
            Fault::Timeout => InvokeError::Timeout { after: self.timeout, place },
            Fault::Connection(cause) => InvokeError::Connection { cause, place },
            // Nothing was sent, and no retry helps until the configuration is fixed.
            fault => {
                let head = format!("{fault}; endpoint {place}");
                InvokeError::Misconfigured { refusal: Refused { head, detail: None }, unexplained: false }
            }
        }
    }
}

/// Lambda gives each response an id, which some emulators do not. Without it, a page or nothing at all is a success of
/// whatever else listens there, and no function has seen the event.
fn is_of_somebody_else(said: &Said) -> bool {
    let body = said.body.trim_ascii_start();
    let is_synchronous = said.status == 200;
    !said.has_id && (body.starts_with(b"<") || (body.is_empty() && is_synchronous))
}
