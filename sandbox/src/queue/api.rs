//! The SQS API over AWS JSON 1.0: one POST to `/`, the operation in a header. Only what the bridge and its tests call.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{Shared, Trouble, lock, md5};
use crate::lambda::http::{self, Reply, Reset};

/// The most bytes of a message, and room for its JSON around it.
pub(super) const MESSAGE_LIMIT: usize = 1024 * 1024;
const REQUEST_LIMIT: usize = 8 * MESSAGE_LIMIT;
/// A queue's own default, in seconds.
const DEFAULT_HOLD: u64 = 30;

/// The parameters of all operations; each uses its own.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Parameters {
    queue_url: String,
    message_body: Option<String>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
    receipt_handle: Option<String>,
    max_number_of_messages: Option<usize>,
    visibility_timeout: Option<u64>,
    wait_time_seconds: Option<u64>,
}

/// What the service refuses: HTTP status, error type and text.
type Refusal = (u16, &'static str, String);

pub(super) async fn route(queue: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Reply>, Reset> {
    let target = http::header(&request, "x-amz-target").unwrap_or_default();
    let operation = target.strip_prefix("AmazonSQS.").unwrap_or_default().to_owned();
    if operation == "SendMessage" {
        queue.attempts.fetch_add(1, Ordering::Relaxed);
    }
    let trouble = *lock(&queue.trouble);
    match trouble {
        Some(Trouble::Down) => return Err(Reset),
        Some(Trouble::Slow(how)) => sleep(how).await,
        Some(Trouble::Unavailable) => return Ok(refuse((503, "ServiceUnavailable", "busy".into()))),
        Some(Trouble::AccessDenied) => {
            return Ok(refuse((403, "AccessDeniedException", "not authorized to perform this on the queue".into())));
        }
        Some(Trouble::WrongSum) | None => {}
    }
    let Ok(body) = http::read(request.into_body(), REQUEST_LIMIT).await else { return Err(Reset) };
    let result = match serde_json::from_slice::<Parameters>(&body) {
        Ok(parameters) => queue.perform(&operation, parameters, trouble).await,
        Err(error) => Err((400, "SerializationException", error.to_string())),
    };
    Ok(result.map_or_else(refuse, |answer| reply(200, &answer)))
}

impl Shared {
    async fn perform(&self, operation: &str, given: Parameters, trouble: Option<Trouble>) -> Result<Value, Refusal> {
        if !given.queue_url.ends_with(&format!("/{}", self.name)) {
            return Err((400, "QueueDoesNotExist", "the specified queue does not exist".into()));
        }
        match operation {
            "SendMessage" => self.send(given, trouble),
            "ReceiveMessage" => Ok(self.receive(&given).await),
            "DeleteMessage" => {
                lock(&self.store).delete(&given.receipt_handle.ok_or_else(|| missing("ReceiptHandle"))?);
                Ok(json!({}))
            }
            "ChangeMessageVisibility" => self.hide(given),
            "GetQueueAttributes" if self.is_reticent.load(Ordering::Relaxed) => {
                Err((403, "AccessDeniedException", "not authorized to perform: sqs:getqueueattributes".into()))
            }
            "GetQueueAttributes" => {
                let attributes = self.attributes();
                self.asked.fetch_add(1, Ordering::Relaxed);
                Ok(attributes)
            }
            _ => Err((400, "UnknownOperationException", format!("no operation `{operation}` here"))),
        }
    }

    fn send(&self, given: Parameters, trouble: Option<Trouble>) -> Result<Value, Refusal> {
        let body = given.message_body.ok_or_else(|| missing("MessageBody"))?;
        let limit = self.limit.load(Ordering::Relaxed);
        if body.len() > limit {
            let text =
                format!("One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes.");
            return Err((400, "InvalidParameterValue", text));
        }
        if body.is_empty() || !body.chars().all(is_allowed) {
            return Err((
                400,
                "InvalidMessageContents",
                "the message holds characters outside of the allowed set".into(),
            ));
        }
        let known_by = if self.is_fifo {
            given.message_group_id.as_ref().ok_or_else(|| missing("MessageGroupId"))?;
            Some((given.message_deduplication_id.ok_or_else(|| missing("MessageDeduplicationId"))?, Instant::now()))
        } else {
            None
        };
        let sum = if trouble == Some(Trouble::WrongSum) { md5("other bytes") } else { md5(&body) };
        let id = lock(&self.store).put(body, given.message_group_id, known_by);
        self.changed.notify_waiters();
        Ok(json!({ "MessageId": id, "MD5OfMessageBody": sum }))
    }

    async fn receive(&self, given: &Parameters) -> Value {
        let most = given.max_number_of_messages.unwrap_or(1).clamp(1, 10);
        let hold = Duration::from_secs(given.visibility_timeout.unwrap_or(DEFAULT_HOLD));
        let deadline = Instant::now() + Duration::from_secs(given.wait_time_seconds.unwrap_or(0).min(20));
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let (lent, next) = {
                let mut store = lock(&self.store);
                (store.lend(most, hold, now), store.next_visible())
            };
            if !lent.is_empty() || now >= deadline {
                let messages = lent.into_iter().map(|(message, receipt)| {
                    json!({ "MessageId": message.id, "ReceiptHandle": receipt, "MD5OfBody": md5(&message.body), "Body": message.body })
                });
                // The service leaves the list out when it is empty.
                let messages: Vec<_> = messages.collect();
                return if messages.is_empty() { json!({}) } else { json!({ "Messages": messages }) };
            }
            let until = next.map_or(deadline, |next| next.min(deadline));
            // After a change or a timeout the loop looks again.
            let _ = timeout(until.saturating_duration_since(now), changed).await;
        }
    }

    fn hide(&self, given: Parameters) -> Result<Value, Refusal> {
        let receipt = given.receipt_handle.ok_or_else(|| missing("ReceiptHandle"))?;
        let hold = given.visibility_timeout.ok_or_else(|| missing("VisibilityTimeout"))?;
        if !lock(&self.store).hide(&receipt, Instant::now() + Duration::from_secs(hold)) {
            return Err((400, "ReceiptHandleIsInvalid", "the receipt is of no message".into()));
        }
        self.changed.notify_waiters();
        Ok(json!({}))
    }

    fn attributes(&self) -> Value {
        let store = lock(&self.store);
        let invisible = store.invisible(Instant::now());
        json!({ "Attributes": {
            "ApproximateNumberOfMessages": (store.messages.len() - invisible).to_string(),
            "ApproximateNumberOfMessagesNotVisible": invisible.to_string(),
            "MaximumMessageSize": self.limit.load(Ordering::Relaxed).to_string(),
            "VisibilityTimeout": DEFAULT_HOLD.to_string(),
        } })
    }
}

/// What a message may hold (SQS quotas, "Message content").
fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn missing(parameter: &str) -> Refusal {
    (400, "MissingParameter", format!("the request must contain the parameter {parameter}"))
}

fn refuse((status, kind, text): Refusal) -> Response<Reply> {
    reply(status, &json!({ "__type": format!("com.amazonaws.sqs#{kind}"), "message": text }))
}

fn reply(status: u16, body: &Value) -> Response<Reply> {
    http::json(status, &[("content-type", "application/x-amz-json-1.0".into())], Bytes::from(body.to_string()))
}
