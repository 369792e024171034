//! One lane: takes a batch, invokes the function until every record has its outcome, takes the next. Waits between
//! attempts by policy; a drain cuts the waiting and leaves what is not finished to the broker.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;
use tracing::{debug, error, warn};

use super::Mapping;
use super::batch::Batches;
use crate::backoff::Backoff;
use crate::dead_letter::{DeadLetter, Reason};
use crate::delivery::{Delivery, Outcome};
use crate::lambda::{Disposition, EVENT_LIMIT, Failure, InvokeError, Next, after_failure, encode};
use crate::shutdown::{Listener, Phase};

pub(super) struct Lane {
    mapping: Arc<Mapping>,
    shutdown: Listener,
}

/// Records on their way through the function, all of one event.
struct Pending {
    deliveries: Vec<Delivery>,
    attempts: u32,
    first_attempt_at: SystemTime,
    last_attempt_at: SystemTime,
    backoff: Backoff,
}

/// What one attempt brought for the records that have no outcome yet.
struct Attempted {
    disposition: Disposition,
    retry_after: Option<Duration>,
    failure: Failure,
}

impl Lane {
    pub(super) fn new(mapping: Arc<Mapping>, shutdown: Listener) -> Self {
        Self { mapping, shutdown }
    }

    pub(super) async fn run(mut self, batches: Arc<Batches>) {
        while let Some(batch) = batches.next().await {
            self.deliver(batch).await;
        }
    }

    /// Brings every delivery to an outcome. What is dropped on the way is abandoned.
    async fn deliver(&mut self, deliveries: Vec<Delivery>) {
        let now = SystemTime::now();
        let backoff = Backoff::new(self.mapping.settings.retry.backoff);
        let mut pending = Pending { deliveries, attempts: 0, first_attempt_at: now, last_attempt_at: now, backoff };
        while let Some(attempted) = self.attempt(&mut pending).await {
            let Some(oldest) = pending.deliveries.iter().map(|delivery| delivery.received).min() else { return };
            let next = after_failure(
                &self.mapping.settings.retry,
                attempted.disposition,
                pending.attempts,
                Instant::now().saturating_duration_since(oldest),
                attempted.retry_after,
                self.mapping.destination.is_some(),
                &mut pending.backoff,
            );
            match next {
                Next::GiveUp => return self.give_up_all(pending, &attempted.failure).await,
                Next::Again(wait) => {
                    if !self.wait(wait).await {
                        return;
                    }
                    self.mapping.metrics.retries.inc();
                }
            }
        }
    }

    /// One invocation. `None` when all records have their outcome.
    async fn attempt(&mut self, pending: &mut Pending) -> Option<Attempted> {
        let event = encode(&self.mapping.settings.name, pending.deliveries.iter());
        pending.last_attempt_at = SystemTime::now();
        pending.attempts += 1;
        if event.len() > EVENT_LIMIT {
            return Some(too_large(event.len()));
        }
        let metrics = &self.mapping.metrics;
        metrics.in_flight.inc();
        let begun = Instant::now();
        let result = self.mapping.client.invoke(event).await;
        metrics.in_flight.dec();
        metrics.invocation_seconds.observe(begun.elapsed().as_secs_f64());
        match result {
            Ok(answer) => self.resolve(answer, pending).await,
            Err(error) => Some(self.refused(error, pending)),
        }
    }

    /// Settles what the answer settles.
    async fn resolve(&mut self, answer: crate::lambda::Answer, pending: &mut Pending) -> Option<Attempted> {
        self.mapping.fault.send_if_modified(|fault| fault.take().is_some());
        let metrics = &self.mapping.metrics;
        let ids: Vec<_> = pending.deliveries.iter().map(|delivery| delivery.id).collect();
        let mut failures = match answer.failures(&ids) {
            Ok(failures) if failures.is_empty() => {
                metrics.succeeded.inc();
                pending.deliveries.drain(..).for_each(|delivery| delivery.settle(Outcome::Delivered));
                return None;
            }
            Ok(failures) => {
                metrics.partial.inc();
                failures
            }
            Err(failure) => {
                metrics.function_errors.inc();
                self.tell(&failure, pending);
                return Some(Attempted { disposition: Disposition::Retry, retry_after: None, failure });
            }
        };
        let (mut hopeless, mut last) = (Vec::new(), None);
        for (index, delivery) in std::mem::take(&mut pending.deliveries).into_iter().enumerate() {
            match failures.remove(&index) {
                None => delivery.settle(Outcome::Delivered),
                Some(failure) if !failure.retry && self.mapping.destination.is_some() => {
                    hopeless.push((delivery, failure));
                }
                Some(failure) => {
                    pending.deliveries.push(delivery);
                    last = Some(failure);
                }
            }
        }
        for (delivery, failure) in hopeless {
            self.give_up(delivery, pending, &failure).await;
        }
        let failure = last?;
        self.tell(&failure, pending);
        Some(Attempted { disposition: Disposition::Retry, retry_after: None, failure })
    }

    /// Books an invocation that brought no answer.
    fn refused(&self, error: InvokeError, pending: &mut Pending) -> Attempted {
        let (metrics, name) = (&self.mapping.metrics, &self.mapping.settings.name);
        match &error {
            InvokeError::Throttled { .. } => metrics.throttled.inc(),
            InvokeError::Misconfigured { .. } => metrics.misconfigured.inc(),
            _ => metrics.failed.inc(),
        };
        let disposition = error.disposition();
        if disposition == Disposition::Hold {
            // It never counts as an attempt: no message is lost to a missing permission.
            pending.attempts -= 1;
            let news = self.mapping.fault.send_replace(Some(error.to_string())).is_none();
            if news {
                error!(mapping = name, reason = %error, "invocations refused; holding all messages until it is mended");
            }
        } else {
            warn!(mapping = name, attempt = pending.attempts, reason = %error, "invocation failed");
        }
        let retry_after = if let InvokeError::Throttled { retry_after, .. } = &error { *retry_after } else { None };
        let failure = Failure { kind: error.kind().into(), message: error.to_string(), retry: true };
        Attempted { disposition, retry_after, failure }
    }

    fn tell(&self, failure: &Failure, pending: &Pending) {
        let name = &self.mapping.settings.name;
        let (records, attempt) = (pending.deliveries.len(), pending.attempts);
        warn!(mapping = name, attempt, records, kind = failure.kind, "function failed");
        // The function's words can hold anything that it was sent.
        debug!(mapping = name, reason = failure.message, "function failed because");
    }

    async fn give_up_all(&mut self, mut pending: Pending, failure: &Failure) {
        for delivery in std::mem::take(&mut pending.deliveries) {
            self.give_up(delivery, &pending, failure).await;
        }
    }

    /// Holds the delivery until its dead letter is durable. A destination that fails stops nobody but this lane.
    async fn give_up(&mut self, delivery: Delivery, pending: &Pending, failure: &Failure) {
        let mapping = self.mapping.clone();
        let Some(destination) = &mapping.destination else { return };
        let letter = DeadLetter::new(
            &delivery,
            &Reason {
                mapping: &mapping.settings.name,
                function: mapping.client.function(),
                attempts: pending.attempts,
                first_attempt_at: pending.first_attempt_at,
                last_attempt_at: pending.last_attempt_at,
                error_type: &failure.kind,
                error_message: &failure.message,
            },
        );
        let mut backoff = Backoff::new(mapping.settings.retry.backoff);
        while let Err(cause) = destination.put(&letter).await {
            mapping.metrics.dead_letter_failures.inc();
            error!(mapping = mapping.settings.name, record = letter.id, %cause, "dead letter not written; holding it");
            if !self.wait(backoff.next(fastrand::f64())).await {
                return;
            }
        }
        warn!(
            mapping = mapping.settings.name,
            record = letter.id,
            attempts = letter.attempts,
            kind = letter.error_type,
            "dead-lettered"
        );
        delivery.settle(Outcome::DeadLettered);
    }

    /// False when the bridge drains: then nothing is waited for any more.
    async fn wait(&mut self, wait: Duration) -> bool {
        tokio::select! {
            () = sleep(wait) => true,
            () = self.shutdown.reached(Phase::Draining) => false,
        }
    }
}

fn too_large(bytes: usize) -> Attempted {
    let message = format!("the event has {bytes} bytes; Lambda takes {EVENT_LIMIT} at most");
    let failure = Failure { kind: "TooLarge".into(), message, retry: false };
    Attempted { disposition: Disposition::GiveUp, retry_after: None, failure }
}
