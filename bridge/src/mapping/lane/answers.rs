//! Publishes the function's answers, and waits for their confirmation, before anything of the event is settled. The
//! function has succeeded, so it is never invoked again because of an answer.

use std::collections::{HashMap, HashSet};

use event::Response;
use tokio::time::timeout;

use super::Lane;
use super::pending::Pending;
use crate::backoff::Backoff;
use crate::config::OnRefusedAnswer;
use crate::foreign::Foreign;
use crate::lambda::{Answers, Failure, PublishedAnswer};
use crate::metrics::About;
use crate::outgoing::{PublishError, PublishHandle, publish_each};

/// An answer that could not be published, and why.
type Refused = (PublishedAnswer, Foreign);

/// The records that an answer is about.
pub(super) fn named(response: &Response) -> HashSet<&str> {
    let published = response.publish.iter().filter_map(|publish| publish.item_identifier.as_deref());
    published.chain(response.reply.iter().map(|reply| reply.item_identifier.as_str())).collect()
}

impl Lane {
    /// Publishes what the function answers, before anything is settled. A refusal that passes is tried again
    /// `max_attempts` times in all, one that lasts is not; each message by itself. Records whose answer is refused are
    /// added to `failures`. False when the bridge drains: then the records are abandoned.
    pub(super) async fn answer(
        &mut self,
        response: &Response,
        failures: &mut HashMap<usize, Failure>,
        pending: &Pending,
    ) -> bool {
        let mapping = self.mapping.clone();
        let (settings, metrics) = (&mapping.settings, &mapping.metrics);
        if response.publish.is_empty() && response.reply.is_empty() {
            return true;
        }
        let reply_topics = settings.reply.then_some(&settings.reply_topics[..]);
        let answers = Answers::of(response, &pending.deliveries, failures, &settings.response, reply_topics);
        if let Some((index, refusal)) = answers.refused.first() {
            metrics.answers_refused.inc_by(answers.refused.len() as u64);
            mapping.log_left_out(answers.refused.len(), refusal, pending.deliveries.get(*index));
        }
        let (mut refused, mut waiting) = (Vec::<Refused>::new(), Vec::new());
        for answer in answers.all {
            match answer.refusal.as_ref().map(|refusal| Foreign::for_letter(&refusal.to_string())) {
                Some(reason) => refused.push((answer, reason)),
                None => waiting.push(answer),
            }
        }
        // In boxes, as most functions answer nothing that is published.
        if let Some(publisher) = &mapping.publisher
            && !Box::pin(self.publish(publisher, waiting, &mut refused, pending)).await
        {
            return false;
        }
        Box::pin(self.give_up_answers(refused, failures, pending)).await
    }

    /// Returns when each is confirmed, or in `refused`; false when the bridge drains before.
    async fn publish(
        &mut self,
        publisher: &PublishHandle,
        mut waiting: Vec<PublishedAnswer>,
        refused: &mut Vec<Refused>,
        pending: &Pending,
    ) -> bool {
        let mapping = self.mapping.clone();
        let (settings, metrics) = (&mapping.settings, &mapping.metrics);
        let (mut backoff, mut attempts) = (Backoff::new(settings.retry.backoff), 0);
        while !waiting.is_empty() {
            attempts += 1;
            let messages: Vec<_> = waiting.iter().map(|answer| answer.outgoing.clone()).collect();
            let round = publish_each(publisher, messages);
            tokio::pin!(round);
            let verdicts = loop {
                if let Ok(verdicts) = timeout(settings.timeout, &mut round).await {
                    break verdicts;
                }
                // A broker that is away refuses nothing, so this is no attempt.
                metrics.publish_failures.inc();
                mapping.log_unconfirmed(waiting.first().and_then(|answer| pending.about(answer.record)));
                if !self.wait(backoff.next(fastrand::f64())).await {
                    return false;
                }
            };
            let (mut again, mut failed, mut first) = (Vec::new(), 0, None);
            for (answer, verdict) in std::mem::take(&mut waiting).into_iter().zip(verdicts) {
                match verdict {
                    Ok(()) => {
                        metrics.published.inc();
                        metrics.live.went_well(About::Answers);
                    }
                    Err(PublishError::Ended) => return false,
                    Err(cause) => {
                        metrics.publish_failures.inc();
                        failed += 1;
                        let reason = Foreign::for_letter(&cause.to_string());
                        first.get_or_insert_with(|| (reason.clone(), answer.record));
                        if cause.is_lasting() || attempts >= settings.retry.max_attempts {
                            refused.push((answer, reason));
                        } else {
                            again.push(answer);
                        }
                    }
                }
            }
            match first {
                Some((cause, record)) => {
                    metrics.live.failed(About::Answers, &cause);
                    mapping.log_unpublished(attempts, failed, &cause, pending.about(record));
                }
                None => mapping.log_answers_work(),
            }
            waiting = again;
            if !waiting.is_empty() && !self.wait(backoff.next(fastrand::f64())).await {
                return false;
            }
        }
        true
    }

    /// By `on_refused_answer`: the record it is about is given up with the others, an answer about none goes to the
    /// failure destination itself, and without a destination it is dropped. False when the bridge drains before.
    async fn give_up_answers(
        &mut self,
        refused: Vec<Refused>,
        failures: &mut HashMap<usize, Failure>,
        pending: &Pending,
    ) -> bool {
        let mapping = self.mapping.clone();
        let metrics = &mapping.metrics;
        let keeps = mapping.settings.on_refused_answer == OnRefusedAnswer::DeadLetter && mapping.destination.is_some();
        if !keeps && let Some((answer, reason)) = refused.first() {
            metrics.answers_dropped.inc_by(refused.len() as u64);
            mapping.log_dropped(refused.len(), reason, pending.about(answer.record));
            return true;
        }
        for (number, (answer, reason)) in refused.into_iter().enumerate() {
            metrics.answers_dead_lettered.inc();
            let failure = Failure { kind: ANSWER_REFUSED.into(), message: reason, retry: false };
            match answer.record {
                Some(index) => drop(failures.entry(index).or_insert(failure)),
                None if self.give_up_message(&answer.outgoing, number, pending, &failure).await => {}
                None => return false,
            }
        }
        true
    }
}

/// The kind of failure in the dead letter of a record whose answer was refused, or of such an answer itself.
const ANSWER_REFUSED: &str = "Function.RefusedResponse";
