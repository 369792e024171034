//! One lane: takes a batch, invokes the function until every record has its outcome, then takes the next. Waits between
//! attempts by policy; a drain ends the wait and leaves unfinished records to the broker. If a batch is refused without
//! an error code of Lambda, the lane sets it aside while other batches show whether the connection or the event is the
//! cause. A batch that takes long alternates with others.

mod answers;
mod answers_log;
mod aside;
mod attempted;
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
use crate::delivery::Delivery;
use crate::lambda::{Answer, Disposition, InvokeError, Load, Next, Request, after_failure, event_limit};
use crate::otlp;
use crate::shutdown::{Listener, Phase};
use aside::Aside;
use attempted::{Attempted, too_large};
use pending::{Onward, Pending};
use work::Work;

pub(super) struct Lane {
    mapping: Arc<Mapping>,
    shutdown: Listener,
    /// Work that waits for another event to pass, the oldest first.
    aside: VecDeque<Aside>,
    /// The current event, if it should be set aside.
    putting_aside: Option<Pending>,
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
        if let Some(pace) = self.mapping.pace.as_ref().filter(|_| !pending.deliveries.is_empty()) {
            // Before the look at what has expired: a low rate has a message wait for long.
            pace.wait(pending.deliveries.len()).await;
        }
        pending.abandon_behind();
        pending.settle_expired(now());
        let Some(attempted) = self.attempt(&mut pending).await else { return Onward::Nothing };
        if attempted.aside {
            return self.put_aside(pending, attempted.again);
        }
        if attempted.divisible && pending.deliveries.len() > 1 {
            return pending.halves();
        }
        if attempted.is_hopeless() && self.mapping.destination.is_none() {
            pending.deliveries.drain(..).for_each(|delivery| self.hold(delivery, &attempted.failure.message));
            return Onward::Nothing;
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
        let is_asked = pending.lacks_a_word(passed_before) && Box::pin(self.mapping.client.takes_invocations()).await;
        let result = self.invoke(request).await;
        match result {
            Ok(answer) => self.resolve(answer, pending).await,
            Err(error) => Some(self.refused(error, pending, (passed_before, is_asked))),
        }
    }

    /// Waits for the current concurrency limit, then calls.
    async fn invoke(&self, request: Request) -> Result<Answer, InvokeError> {
        let mapping = &self.mapping;
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

    /// Returns false when the bridge drains, which ends all waits.
    async fn wait(&mut self, wait: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.shutdown.reached(Phase::Draining) => false,
            () = sleep(wait) => true,
        }
    }
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
        let call = size(|(lane, request): (&Lane, Request)| lane.invoke(request));
        assert!(call <= 3 * 1024, "{call}");
    }
}
