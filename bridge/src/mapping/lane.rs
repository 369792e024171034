//! One lane: takes a batch, invokes the function until every record has its outcome, then takes the next. Waits between
//! attempts by policy; a drain ends the wait and leaves unfinished records to the broker. If a batch is refused without
//! an error code of Lambda, the lane sets it aside while other batches show whether the connection or the event is the
//! cause. A batch that takes long alternates with others.

mod answers;
mod answers_log;
mod aside;
mod first;
mod give_up;
mod log;
mod pending;
mod work;

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::Mapping;
use super::batch::Batches;
use crate::backoff::Backoff;
use crate::clock::now;
use crate::config::Invocation;
use crate::delivery::{Delivery, Outcome};
use crate::foreign::Foreign;
use crate::lambda::{
    Answer, Disposition, Failure, InvokeError, Load, Next, Reading, Request, after_failure, event_limit,
};
use crate::metrics::{About, Failures};
use crate::otlp;
use crate::shutdown::{Listener, Phase};
use aside::Aside;
use pending::{Onward, Pending, hold_back_behind};
use work::Work;

pub(super) struct Lane {
    mapping: Arc<Mapping>,
    shutdown: Listener,
    /// Work that waits for another event to pass, the oldest first.
    aside: VecDeque<Aside>,
    /// The current event, if it should be set aside.
    putting_aside: Option<Pending>,
}

/// The result of one attempt for the records that have no outcome yet.
struct Attempted {
    disposition: Disposition,
    retry_after: Option<Duration>,
    failure: Failure,
    /// The event failed as a whole, and smaller events may tell which record is to blame.
    divisible: bool,
    /// Another event has to show whether only this one is refused.
    aside: bool,
    /// It had been refused so before.
    again: bool,
}

impl Attempted {
    /// The function has failed records, or the event.
    fn by_function(failure: Failure, divisible: bool) -> Self {
        Self { disposition: Disposition::Retry, retry_after: None, failure, divisible, aside: false, again: false }
    }
}

impl Lane {
    pub(super) fn new(mapping: Arc<Mapping>, shutdown: Listener) -> Self {
        Self { mapping, shutdown, aside: VecDeque::new(), putting_aside: None }
    }

    /// The first lane of a mapping `asks` whether the function can be invoked.
    pub(super) async fn run(mut self, batches: Arc<Batches>, asks: bool) {
        self.wait_for_credentials().await;
        let mut asks = asks;
        loop {
            // Never dropped before it completes: it may already hold deliveries.
            let mut next = pin!(batches.next());
            let batch = tokio::select! {
                biased;
                batch = &mut next => batch,
                () = self.ask_first(), if std::mem::take(&mut asks) => next.await,
            };
            let Some(batch) = batch else { return };
            self.take(batch).await;
            if !self.aside.is_empty() && !self.probe(&batches).await {
                return;
            }
        }
    }

    /// Brings a new batch to its outcomes, or sets it aside.
    async fn take(&mut self, batch: Vec<Delivery>) {
        let mut pending = Pending::new(batch, self.mapping.settings.retry.backoff);
        self.give_up_unreadable(&mut pending).await;
        self.go_on(Work::new(pending)).await;
    }

    /// Brings events to their outcomes, or sets them aside.
    async fn go_on(&mut self, work: Work) {
        self.finish(work).await;
        self.mapping.held.look(&self.mapping.settings);
    }

    /// Until there are credentials, the lane takes no batch and the mapping is not ready, also before its first
    /// message.
    async fn wait_for_credentials(&mut self) {
        let mut backoff = Backoff::new(self.mapping.settings.retry.backoff);
        while let Err(error) = self.mapping.client.ready().await {
            self.log_refusal(&error, Disposition::Hold, 0, None);
            let mut shutdown = self.shutdown.clone();
            tokio::select! {
                biased;
                () = shutdown.reached(Phase::Retiring) => return,
                () = sleep(backoff.next(fastrand::f64())) => {}
            }
        }
        if !self.mapping.client.wants_dry_runs() {
            self.lambda_works();
        }
    }

    /// Makes one attempt for every delivery of the event, and decides about those that have no outcome yet.
    async fn deliver(&mut self, mut pending: Pending) -> Onward {
        pending.abandon_behind();
        pending.settle_expired(now());
        let Some(attempted) = self.attempt(&mut pending).await else { return Onward::Nothing };
        if attempted.aside {
            return self.put_aside(pending, attempted.again);
        }
        if attempted.divisible && pending.deliveries.len() > 1 {
            return pending.halves();
        }
        self.give_up_old(&mut pending, &attempted).await;
        let Some(oldest) = pending.deliveries.iter().map(|delivery| delivery.received).min() else {
            return Onward::Nothing;
        };
        let next = after_failure(
            &self.mapping.settings.retry,
            attempted.disposition,
            pending.attempts,
            now().saturating_duration_since(oldest),
            attempted.retry_after,
            self.mapping.destination.is_some(),
            &mut pending.backoff,
        );
        match next {
            Next::GiveUp => {
                self.give_up_all(pending, &attempted.failure).await;
                Onward::Nothing
            }
            Next::Again(wait) => Onward::Again(pending, wait),
        }
    }

    /// One invocation. `None` when all records have their outcome.
    async fn attempt(&mut self, pending: &mut Pending) -> Option<Attempted> {
        if pending.deliveries.is_empty() {
            return None;
        }
        pending.last_attempt_at = SystemTime::now();
        let limit = event_limit(self.mapping.settings.invocation);
        let least = Request::least_bytes(&pending.deliveries);
        if least > limit {
            // Refused before the event is built.
            return Some(too_large(least, limit));
        }
        let settings = &self.mapping.settings;
        let request = Request::new(settings.format, &settings.name, &pending.deliveries);
        if request.event.len() > limit {
            return Some(too_large(request.event.len(), limit));
        }
        pending.attempts += 1;
        otlp::invoked(pending.deliveries.iter_mut().map(|delivery| &mut delivery.trace));
        let passed_before = self.mapping.passed.load(Ordering::Relaxed);
        pending.passed_at_first.get_or_insert(passed_before);
        let is_asked = pending.lacks_a_word(passed_before) && Box::pin(self.mapping.client.takes_invocations()).await;
        let result = self.invoke(request, pending.deliveries.len()).await;
        match result {
            Ok(answer) => self.resolve(answer, pending).await,
            Err(error) => Some(self.refused(error, pending, (passed_before, is_asked))),
        }
    }

    /// Waits for the rate limit and the current concurrency limit, then calls.
    async fn invoke(&self, request: Request, records: usize) -> Result<Answer, InvokeError> {
        let mapping = &self.mapping;
        if let Some(pace) = &mapping.pace {
            pace.wait(records).await;
        }
        mapping.limiter.permit().await;
        mapping.metrics.in_flight.inc();
        let begun = now();
        let result = match mapping.settings.invocation {
            Invocation::RequestResponse => mapping.client.invoke(request).await,
            Invocation::Event => mapping.client.enqueue(request).await,
        };
        let ended = now();
        mapping.metrics.in_flight.dec();
        mapping.metrics.invocation_seconds.observe(ended - begun);
        let load = match &result {
            Err(InvokeError::Throttled { .. } | InvokeError::Service(_)) => Load::Trouble,
            _ => Load::Fine,
        };
        let allowed = mapping.limiter.done(load, ended);
        mapping.metrics.concurrency.set(i64::try_from(allowed).unwrap_or(i64::MAX));
        result
    }

    /// Settles the records that the answer settles.
    async fn resolve(&mut self, answer: Answer, pending: &mut Pending) -> Option<Attempted> {
        self.mapping.passed.fetch_add(1, Ordering::Relaxed);
        // It has passed itself, so nothing on the way refuses it.
        pending.refused = None;
        self.lambda_works();
        let metrics = &self.mapping.metrics;
        let ids: Vec<_> = pending.deliveries.iter().map(|delivery| delivery.id.clone()).collect();
        let (format, wants_answers) = (self.mapping.settings.format, self.mapping.settings.wants_answers());
        let Reading { mut failures, response, ignored } = match answer.read(format, &ids, wants_answers) {
            Ok(read) => read,
            Err(failure) => {
                metrics.function_errors.inc();
                metrics.failures.count(Failures::OF_FUNCTION);
                self.log_failure(&failure, pending, pending.deliveries.first());
                let divisible = self.mapping.settings.batch.bisect_on_error;
                return Some(Attempted::by_function(failure, divisible));
            }
        };
        if ignored {
            self.mapping.log_ignored();
        }
        if failures.len() < pending.deliveries.len() {
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
    fn refused(&mut self, error: InvokeError, pending: &mut Pending, before: (u64, bool)) -> Attempted {
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

    /// Returns false when the bridge drains, which ends all waits.
    async fn wait(&mut self, wait: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.shutdown.reached(Phase::Draining) => false,
            () = sleep(wait) => true,
        }
    }
}

fn too_large(bytes: usize, limit: usize) -> Attempted {
    let message = format!("the event has {bytes} bytes or more; Lambda takes {limit} at most");
    let failure = Failure { kind: "TooLarge".into(), message: message.into(), retry: false };
    Attempted { disposition: Disposition::GiveUp, ..Attempted::by_function(failure, true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    /// Each lane keeps as much for as long as it runs, and there are as many lanes as invocations at once.
    #[test]
    fn what_a_lane_seldom_does_makes_its_futures_no_larger() {
        let lane = size(|(lane, batches): (Lane, _)| lane.run(batches, false));
        assert!(lane <= 6 * 1024, "{lane}");
        let call = size(|(lane, request): (&Lane, Request)| lane.invoke(request, 1));
        assert!(call <= 3 * 1024, "{call}");
    }
}
