//! The glue to the Lambda runtime: raw invocation in, answer out.
//!
//! Reads the event itself, so that one which is not ours fails with a reason and a way out, and judges no record.

use std::time::{Duration, SystemTime};

use event::{Event, Response};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::function::Function;

/// What Lambda sets for a function, and the runtime library asks for with a panic.
const VARIABLES: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// How long before Lambda's own deadline an answer has to be there: one that comes is worth more than one that was cut
/// off, after which nobody knows what is stored.
const MARGIN: Duration = Duration::from_millis(500);

/// Takes events from the Lambda Runtime API and answers them, for as long as Lambda lets it live.
///
/// There is nothing to flush at the end of an execution environment, so no extension is registered for it.
///
/// # Errors
/// [`ServeError`] outside Lambda, [`crate::StartError`] for an environment that cannot be meant; otherwise when the
/// Runtime API cannot be reached.
pub async fn serve() -> Result<(), lambda_runtime::Error> {
    if let Some(variable) = VARIABLES.into_iter().find(|name| std::env::var_os(name).is_none()) {
        return Err(ServeError::NotInLambda(variable).into());
    }
    let function = Function::from_environment().await?;
    let (store, device_topics, thresholds) = (function.store(), function.device_topics(), function.thresholds());
    tracing::info!(%store, %device_topics, %thresholds, "start");
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| answer(&function, event))).await
}

/// Why the function cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A variable that Lambda always sets is not there.
    #[error("{0}: not set: this program runs inside AWS Lambda, or under an emulator of its Runtime API")]
    NotInLambda(&'static str),
}

async fn answer(function: &Function, event: LambdaEvent<Box<RawValue>>) -> Result<Response, EventError> {
    let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    let deadline = Instant::now() + left.saturating_sub(MARGIN);
    Ok(function.answer(&read(&event.payload)?, deadline).await)
}

/// Reads an event. Nothing of it is known to be a reading yet, so no error may quote a bare payload.
fn read(raw: &RawValue) -> Result<Event, EventError> {
    if !raw.get().trim_start().starts_with('{') {
        return Err(EventError("not a JSON object".to_owned()));
    }
    let event: Event = serde_json::from_str(raw.get()).map_err(|error| EventError(error.to_string()))?;
    if event.event_source != event::EVENT_SOURCE {
        return Err(EventError(format!("`eventSource` is not `{}`", event::EVENT_SOURCE)));
    }
    Ok(event)
}

/// An invocation with something else than an event of the bridge.
#[derive(Debug, thiserror::Error)]
#[error("event: {0}: the function expects events of the MQTT bridge, whose mapping must not say `format = \"raw\"`")]
struct EventError(String);

impl From<EventError> for Diagnostic {
    fn from(error: EventError) -> Self {
        Self { error_type: "InvalidEvent".to_owned(), error_message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use lambda_runtime::Context;

    use super::*;

    async fn invoke(event: &str) -> Result<Response, String> {
        let payload = RawValue::from_string(event.to_owned()).unwrap();
        let answer = answer(&Function::log_only(), LambdaEvent::new(payload, Context::default())).await;
        answer.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_event_of_the_bridge_is_answered() {
        let response = invoke(include_str!("../../event/fixtures/event.json")).await.unwrap();
        assert_eq!(response.batch_item_failures.len(), 2);
    }

    #[tokio::test]
    async fn any_other_event_fails_with_a_reason_and_a_way_out() {
        for (event, reason) in [
            (r#"{"device_id":"C-Client-01"}"#, "event: missing field `eventSource`"),
            (r#"{"eventSource":"aws:sqs","mapping":"m","records":[]}"#, "event: `eventSource` is not `mqtt`"),
            (r#"{"eventSource":"mqtt","mapping":"m"}"#, "event: missing field `records`"),
            ("\"secret\"", "event: not a JSON object"),
            ("null", "event: not a JSON object"),
        ] {
            let error = invoke(event).await.unwrap_err();
            assert!(error.starts_with(reason), "{error}");
            assert!(error.ends_with("must not say `format = \"raw\"`"), "{error}");
            assert!(!error.contains("secret") && !error.contains("C-Client-01"), "{error}");
        }
    }
}
