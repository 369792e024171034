//! Sends one letter to its function: as a new delivery of its mapping with the old id, so that a function can recognise
//! a message that it has already handled. Does not touch the place of the letter.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use event::Response;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::aws::Aws;
use crate::backoff::Backoff;
use crate::config::{self, Invocation, Qos};
use crate::content::Compression;
use crate::dead_letter::DeadLetter;
use crate::delivery::{Delivery, RecordId, Ticket};
use crate::foreign::Foreign;
use crate::lambda::{Client, Disposition, Failure, Next, Reading, Request, after_failure, event_limit};
use crate::message::{Message, Properties};

/// A mapping's way to its function.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) settings: config::Mapping,
    client: Client,
    /// Letters that the function has answered.
    passed: AtomicU64,
}

/// How it went.
#[derive(Debug)]
pub(super) enum Sent {
    /// The function has taken it. `unpublished`: it had something to say to devices.
    Taken { unpublished: bool },
    /// It has not, after so many attempts; with what a log may say of it, which are not the function's own words.
    Failed { failure: Failure, attempts: u32, reason: String },
    /// Somebody has to change the configuration first; it is no letter's fault, and after so many attempts it stays.
    Refused { cause: String, attempts: u32 },
}

impl Route {
    pub(super) fn new(settings: &config::Mapping, aws: &Aws) -> Self {
        let client = aws.client(&settings.function, settings.timeout);
        Self { settings: settings.clone(), client, passed: AtomicU64::new(0) }
    }

    /// Invokes until there is a verdict. What the function itself says is one: it had its retries before. Only what
    /// kept it from speaking is tried again, by the mapping's policy.
    pub(super) async fn send(&self, delivery: Delivery) -> Sent {
        let format = self.settings.format;
        if let Some((kind, why)) = delivery.unreadable() {
            let failure = Failure { kind: kind.into(), message: why.into(), retry: false };
            return Sent::Failed { failure, attempts: 0, reason: why.to_owned() };
        }
        let request = Request::new(format, &self.settings.name, std::slice::from_ref(&delivery));
        // Only an answer tells that a letter may go, so it is waited for also where the mapping does not.
        let limit = event_limit(Invocation::RequestResponse);
        if request.event.len() > limit {
            let message = format!("the event has {} bytes; Lambda takes {limit} at most", request.event.len());
            let failure = Failure { kind: "TooLarge".into(), message: message.as_str().into(), retry: false };
            return Sent::Failed { failure, attempts: 0, reason: message };
        }
        let (begun, mut backoff, mut attempts) = (Instant::now(), Backoff::new(self.settings.retry.backoff), 0);
        let mut refused_at = None;
        loop {
            attempts += 1;
            let error = match self.client.invoke(request.clone()).await {
                Ok(answer) => {
                    self.passed.fetch_add(1, Ordering::Relaxed);
                    let wants_answers = self.settings.wants_answers();
                    return match answer.read(format, std::slice::from_ref(&delivery.id), wants_answers) {
                        Ok(Reading { mut failures, response, .. }) => match failures.remove(&0) {
                            None => Sent::Taken { unpublished: wants_publishing(&response) },
                            Some(failure) => failed_by_function(failure, attempts),
                        },
                        Err(failure) => failed_by_function(failure, attempts),
                    };
                }
                Err(error) => error,
            };
            if !error.is_attempt() {
                attempts -= 1;
            }
            let passed = self.passed.load(Ordering::Relaxed);
            // Others have passed since its first refusal, so the cause is this letter itself.
            let alone = error.is_unexplained() && refused_at.is_some_and(|before| before < passed);
            let first = refused_at.is_none();
            refused_at.get_or_insert(passed);
            let disposition = match error.disposition() {
                _ if alone => Disposition::GiveUp,
                Disposition::Hold if error.is_unexplained() && first => Disposition::Retry,
                Disposition::Hold => return Sent::Refused { cause: error.to_string(), attempts },
                disposition => disposition,
            };
            let (policy, age) = (&self.settings.retry, begun.elapsed());
            match after_failure(policy, disposition, attempts, age, error.retry_after(), true, &mut backoff) {
                Next::Again(wait) => sleep(wait).await,
                Next::GiveUp => {
                    let failure = Failure {
                        kind: error.kind().into(),
                        message: Foreign::for_letter(&error.in_full()),
                        retry: false,
                    };
                    return Sent::Failed { failure, attempts, reason: error.to_string() };
                }
            }
        }
    }
}

/// Its words can hold anything that it was sent: they are in the letter and in the function's own log.
fn failed_by_function(failure: Failure, attempts: u32) -> Sent {
    Sent::Failed { failure, attempts, reason: "the function failed it".into() }
}

fn wants_publishing(response: &Response) -> bool {
    !response.publish.is_empty() || !response.reply.is_empty()
}

/// The message as it was received; `None` when the letter is not one that the bridge writes.
pub(crate) fn delivery(letter: &DeadLetter) -> Option<Delivery> {
    let correlation_data = match &letter.correlation_data {
        Some(text) => Some(BASE64_STANDARD.decode(text).ok()?.into()),
        None => None,
    };
    // Of a letter with text that MQTT forbids, what the letter shows.
    let properties = Properties {
        content_type: letter.content_type.clone(),
        response_topic: letter.response_topic.clone(),
        correlation_data,
        user: letter.user_properties.clone(),
        ..Properties::default()
    };
    let message = Message {
        topic: letter.topic.as_str().into(),
        payload: letter.payload_bytes()?.into(),
        qos: Qos::from_str(&letter.qos.to_string()).ok()?,
        retain: letter.retain,
        dup: false,
        properties: Some(Arc::new(properties)),
    };
    // Nobody waits for an outcome, because there is no session.
    let (settler, _) = mpsc::channel(1);
    let id = RecordId::Given(letter.id.as_str().into());
    let mut delivery = Delivery::new(message, id, Ticket { epoch: 0, slot: 0 }, settler);
    delivery.subscription = letter.subscription.as_deref().map(Into::into);
    if let Some(compression) = letter.content_encoding.as_deref().and_then(Compression::named) {
        delivery.decompress(compression, event_limit(Invocation::RequestResponse));
    }
    delivery.received_at = humantime::parse_rfc3339(&letter.received_at).unwrap_or_else(|_| SystemTime::now());
    Some(delivery)
}
