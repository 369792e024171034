//! What one attempt comes to: records that the function has taken or failed, or an invocation that brought no answer.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::pending::{Pending, hold_back_behind};
use super::{Lane, answers};
use crate::clock::now;
use crate::delivery::{Delivery, Outcome};
use crate::foreign::Foreign;
use crate::lambda::{Answer, Disposition, Failure, InvokeError, Reading};
use crate::metrics::{About, Failures};

/// The result of one attempt for the records that have no outcome yet.
pub(super) struct Attempted {
    pub(super) disposition: Disposition,
    pub(super) retry_after: Option<Duration>,
    pub(super) failure: Failure,
    /// The event failed as a whole, and smaller events may tell which record is to blame.
    pub(super) divisible: bool,
    /// Another event has to show whether only this one is refused.
    pub(super) aside: bool,
    /// It had been refused so before.
    pub(super) again: bool,
}

impl Attempted {
    /// The function has failed records, or the event.
    fn by_function(failure: Failure, divisible: bool) -> Self {
        Self { disposition: Disposition::Retry, retry_after: None, failure, divisible, aside: false, again: false }
    }

    /// No attempt was made, as none can ever help.
    pub(super) fn is_hopeless(&self) -> bool {
        self.disposition == Disposition::GiveUp && !self.failure.retry
    }
}

pub(super) fn too_large(bytes: usize, limit: usize) -> Attempted {
    let message = format!("the event has {bytes} bytes or more; Lambda takes {limit} at most");
    let failure = Failure { kind: "TooLarge".into(), message: message.into(), retry: false };
    Attempted { disposition: Disposition::GiveUp, ..Attempted::by_function(failure, true) }
}

impl Lane {
    /// Settles the records that the answer settles.
    pub(super) async fn resolve(&mut self, answer: Answer, pending: &mut Pending) -> Option<Attempted> {
        self.mapping.passed.fetch_add(1, Ordering::Relaxed);
        // It has passed itself, so nothing on the way refuses it.
        pending.refused = None;
        self.lambda_works();
        let Reading { mut failures, response, ignored } = match self.read(&answer, pending) {
            Ok(read) => read,
            Err(attempted) => return Some(attempted),
        };
        if ignored {
            self.mapping.log_ignored();
        }
        self.count(&failures, pending.deliveries.len());
        if self.mapping.destination.is_none() {
            // Without a failure destination a record cannot be given up, so it is retried, and holds its key meanwhile.
            failures.values_mut().for_each(|failure| failure.retry = true);
        } else {
            pending.note_last(&mut failures, &self.mapping.settings.retry, now());
        }
        let mut taken = hold_back_behind(&pending.deliveries, &mut failures);
        if !taken.is_empty() {
            // The answers about these records come with the attempt that settles them.
            let named = answers::named(&response);
            let has_none = |delivery: &Delivery| !named.contains(delivery.id.to_string().as_str());
            // What was complete after an earlier attempt still is.
            taken.retain(|index| pending.deliveries.get(*index).is_some_and(|held| held.taken || has_none(held)));
        }
        if !self.answer(&response, &mut failures, pending).await {
            return None;
        }
        if failures.is_empty() {
            pending.deliveries.drain(..).for_each(|delivery| delivery.settle(Outcome::Delivered));
            return None;
        }
        self.settle(failures, &taken, pending).await
    }

    /// What the function says of each record; or that it says nothing of any, which fails the event.
    fn read(&self, answer: &Answer, pending: &Pending) -> Result<Reading, Attempted> {
        let ids: Vec<_> = pending.deliveries.iter().map(|delivery| delivery.id.clone()).collect();
        let (format, wants_answers) = (self.mapping.settings.format, self.mapping.settings.wants_answers());
        answer.read(format, &ids, wants_answers).map_err(|failure| {
            self.mapping.metrics.function_errors.inc();
            self.mapping.metrics.failures.count(Failures::OF_FUNCTION);
            self.log_failure(&failure, pending, pending.deliveries.first());
            Attempted::by_function(failure, self.mapping.settings.batch.bisect_on_error)
        })
    }

    fn count(&self, failures: &HashMap<usize, Failure>, records: usize) {
        let metrics = &self.mapping.metrics;
        if failures.len() < records {
            metrics.live.failing().succeeded();
        }
        if failures.is_empty() {
            metrics.succeeded.inc();
            metrics.live.went_well(About::Function);
            self.log_function_works();
        } else {
            metrics.partial.inc();
            metrics.failures.count(Failures::OF_RECORDS);
        }
    }

    /// Settles the records of an event of which some have failed. Those that go again stay pending; `taken` says which of them the
    /// function has taken.
    async fn settle(
        &mut self,
        mut failures: HashMap<usize, Failure>,
        taken: &HashSet<usize>,
        pending: &mut Pending,
    ) -> Option<Attempted> {
        let (mut hopeless, mut last) = (Vec::new(), None);
        for (index, mut delivery) in std::mem::take(&mut pending.deliveries).into_iter().enumerate() {
            match failures.remove(&index) {
                None => delivery.settle(Outcome::Delivered),
                Some(failure) if !failure.retry => {
                    delivery.taken = false;
                    hopeless.push((delivery, failure));
                }
                Some(failure) => {
                    delivery.taken = taken.contains(&index);
                    pending.deliveries.push(delivery);
                    last = Some(failure);
                }
            }
        }
        if let Some((delivery, failure)) = hopeless.first() {
            self.log_failure(failure, pending, Some(delivery));
        } else if let Some(failure) = &last {
            self.log_failure(failure, pending, pending.deliveries.last());
        }
        for (delivery, failure) in hopeless {
            self.give_up(delivery, pending, &failure).await;
        }
        let failure = last?;
        Some(Attempted::by_function(failure, false))
    }

    /// Counts an invocation that brought no answer. Before it, so many had passed, and Lambda had said that it takes
    /// invocations, if it was asked.
    pub(super) fn refused(&mut self, error: InvokeError, pending: &mut Pending, before: (u64, bool)) -> Attempted {
        let metrics = &self.mapping.metrics;
        metrics.failures.count(error.kind());
        match &error {
            InvokeError::Throttled { .. } => metrics.throttled.inc(),
            InvokeError::Misconfigured { .. } => metrics.misconfigured.inc(),
            _ => metrics.failed.inc(),
        };
        if !error.is_attempt() {
            pending.attempts -= 1;
        }
        let unexplained = error.is_unexplained();
        let again = pending.refused.is_some();
        let passed = self.mapping.passed.load(Ordering::Relaxed);
        let (passed_before, is_asked) = before;
        let alone = unexplained && pending.is_to_blame(passed, passed_before, is_asked);
        let disposition = if alone { Disposition::GiveUp } else { error.disposition() };
        self.log_refusal(&error, disposition, pending.attempts, pending.deliveries.first());
        let retry_after = error.retry_after();
        let failure =
            Failure { kind: error.kind().into(), message: Foreign::for_letter(&error.in_full()), retry: true };
        let (divisible, aside) = (disposition == Disposition::GiveUp, unexplained && !alone);
        Attempted { disposition, retry_after, failure, divisible, aside, again }
    }
}
