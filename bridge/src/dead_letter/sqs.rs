//! An SQS queue of dead letters: the only file that names the SDK for it. One call is one attempt; the caller decides
//! about retries.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Builder, Region};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::send_message::SendMessageError;
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tracing::debug;

use super::address::{origin, region};
use super::digest::md5;
use super::{DeadLetter, DestinationError};
use crate::aws::{Aws, one_attempt, words};
use crate::foreign::Foreign;

/// The most bytes of a message ("Amazon SQS message quotas": 1 MiB, since August 2025), until the queue says that it
/// takes less (`MaximumMessageSize`), which the role need not be allowed to ask.
const LIMIT: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// More than the longest of our waits for messages.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Less than the time for a letter: without an answer the letter is sent anyway.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for a message that may be on another of the queue's hosts (long polling), in seconds.
const WAIT: i32 = 1;
/// The most messages that SQS hands over at once.
const MOST: i32 = 10;
/// The longest that SQS keeps a message invisible.
const LONGEST_HOLD: Duration = Duration::from_hours(12);

/// A queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue {
    sdk: Client,
    url: Arc<str>,
    limit: Arc<Limit>,
}

/// The most bytes of a message, as far as is known.
#[derive(Debug)]
struct Limit {
    bytes: AtomicUsize,
    /// Whether the queue was asked, with or without success.
    asked: OnceCell<()>,
}

/// A message that is ours for a while.
#[derive(Debug, Clone)]
pub struct Received {
    /// The same each time that the message is received.
    pub id: String,
    /// Its text.
    pub body: String,
    receipt: String,
}

impl Queue {
    /// The queue of this URL. It is reached at the URL's own host, and in the region that a host of AWS names, so that
    /// it may be in another one than the functions. Asks nothing of it yet.
    #[must_use]
    pub fn open(aws: &Aws, url: &str) -> Self {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(CALL_TIMEOUT).build();
        let mut config = Builder::from(aws.settings())
            .retry_config(one_attempt())
            .timeout_config(timeouts)
            .endpoint_url(origin(url));
        if let Some(region) = region(url, "sqs") {
            config = config.region(Region::new(region.to_owned()));
        }
        let limit = Arc::new(Limit { bytes: AtomicUsize::new(LIMIT), asked: OnceCell::new() });
        Self { sdk: Client::from_conf(config.build()), url: url.into(), limit }
    }

    /// Asks the queue how large a message may be, unless it was asked. Returns when that is known, or cannot be.
    pub(super) async fn know_limit(&self) {
        let ask = || async { timeout(ASK_TIMEOUT, self.learn_limit()).await.unwrap_or_default() };
        self.limit.asked.get_or_init(ask).await;
    }

    /// Returns once the queue has reported its attributes.
    pub(super) async fn attributes(&self) -> Result<(), DestinationError> {
        let call = self.sdk.get_queue_attributes().queue_url(&*self.url);
        let call = call.attribute_names(QueueAttributeName::MaximumMessageSize);
        call.send().await.map(drop).map_err(|error| self.error(cause(error)))
    }

    /// Where that is not allowed, what is known stands.
    async fn learn_limit(&self) {
        let name = QueueAttributeName::MaximumMessageSize;
        let call = self.sdk.get_queue_attributes().queue_url(&*self.url).attribute_names(name.clone());
        let answer = call.send().await;
        let told = answer.map(|answer| answer.attributes().and_then(|all| all.get(&name)?.parse().ok()));
        match told.map_err(cause) {
            Ok(Some(limit)) => self.limit.bytes.store(limit, Ordering::Relaxed),
            Ok(None) => {}
            Err(reason) => {
                debug!(event = "dead_letter.limit_unknown", queue = %self, reason, "queue's own limit not known");
            }
        }
    }

    /// Returns once SQS has confirmed every byte.
    ///
    /// In a FIFO queue the letters of a mapping are one group. Two letters count as the same one only when they are
    /// equal in every byte: one that has failed again after a redrive is a new one.
    pub(super) async fn put(&self, letter: &DeadLetter) -> Result<(), DestinationError> {
        let body = body(letter).map_err(|cause| self.error(cause))?;
        let (sum, bytes) = (md5(&body), body.len());
        self.know_limit().await;
        if bytes > self.limit.bytes.load(Ordering::Relaxed) {
            return Err(self.too_large(bytes));
        }
        let mut call = self.sdk.send_message().queue_url(&*self.url).message_body(body);
        if self.url.ends_with(".fifo") {
            call = call.message_group_id(&letter.mapping).message_deduplication_id(&sum);
        }
        let sent = match call.send().await {
            Ok(sent) => sent,
            Err(error) => {
                let Some(limit) = refused_as_too_large(&error) else { return Err(self.error(cause(error))) };
                // The queue's limit has changed, or could not be read at startup.
                self.limit.bytes.store(limit, Ordering::Relaxed);
                self.learn_limit().await;
                return Err(self.too_large(bytes));
            }
        };
        if sent.md5_of_message_body() == Some(sum.as_str()) {
            return Ok(());
        }
        Err(self.error("the MD5 that it confirms is not that of the dead letter"))
    }

    /// Up to ten messages, which nobody else receives for as long as `hold`; none when the queue seems empty.
    ///
    /// # Errors
    /// When the queue does not answer, or refuses.
    pub async fn receive(&self, hold: Duration) -> Result<Vec<Received>, DestinationError> {
        let hold = i32::try_from(hold.min(LONGEST_HOLD).as_secs()).unwrap_or(i32::MAX);
        let call = self.sdk.receive_message().queue_url(&*self.url).max_number_of_messages(MOST);
        let received = call.wait_time_seconds(WAIT).visibility_timeout(hold).send().await;
        let messages = received.map_err(|error| self.error(cause(error)))?.messages.unwrap_or_default();
        messages.into_iter().map(|message| self.whole(message)).collect()
    }

    /// Removes a message for good.
    ///
    /// # Errors
    /// When the queue does not confirm it.
    pub async fn delete(&self, message: &Received) -> Result<(), DestinationError> {
        let call = self.sdk.delete_message().queue_url(&*self.url).receipt_handle(&message.receipt);
        call.send().await.map(drop).map_err(|error| self.error(cause(error)))
    }

    /// Hands a message back, to be received again at once.
    ///
    /// # Errors
    /// When the queue does not confirm it; then the message comes back when its time is over.
    pub async fn release(&self, message: &Received) -> Result<(), DestinationError> {
        let call = self.sdk.change_message_visibility().queue_url(&*self.url).receipt_handle(&message.receipt);
        call.visibility_timeout(0).send().await.map(drop).map_err(|error| self.error(cause(error)))
    }

    fn whole(&self, message: Message) -> Result<Received, DestinationError> {
        let (Some(body), Some(receipt)) = (message.body, message.receipt_handle) else {
            return Err(self.error("it sent a message without a body or a receipt"));
        };
        if message.md5_of_body.is_some_and(|sum| sum != md5(&body)) {
            return Err(self.error("a message came damaged: its MD5 does not fit"));
        }
        Ok(Received { id: message.message_id.unwrap_or_else(|| receipt.clone()), body, receipt })
    }

    fn error(&self, cause: impl fmt::Display) -> DestinationError {
        DestinationError::new(self, cause)
    }

    fn too_large(&self, bytes: usize) -> DestinationError {
        let limit = self.limit.bytes.load(Ordering::Relaxed);
        let cause = format!("the dead letter has {bytes} bytes; the queue takes {limit} at most");
        DestinationError::lasting(self, cause)
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// JSON of characters that SQS allows: control characters are escaped by JSON's own rules, these two are not.
fn body(letter: &DeadLetter) -> serde_json::Result<String> {
    let json = serde_json::to_string(letter)?;
    // One by one, as a search for a single character goes through the bytes and decodes none.
    let has_such = json.contains('\u{fffe}') || json.contains('\u{ffff}');
    if has_such {
        return Ok(json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff"));
    }
    Ok(json)
}

/// The limit that the refusal names:
/// `One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes.` `None` when it was refused
/// for anything else.
fn refused_as_too_large(error: &SdkError<SendMessageError>) -> Option<usize> {
    let SdkError::ServiceError(service) = error else { return None };
    let message = service
        .err()
        .code()
        .filter(|code| code.starts_with("InvalidParameterValue"))
        .and_then(|_| service.err().message())?;
    let (_, rest) = message.split_once("must be shorter than ")?;
    rest.split(' ').next()?.parse().ok()
}

fn cause<E>(error: SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let error = service.into_err();
            let code = Foreign::of(error.code().unwrap_or("refused"));
            Foreign::behind(&code, error.message().unwrap_or("without a reason")).to_string()
        }
        error => words(&error),
    }
}
