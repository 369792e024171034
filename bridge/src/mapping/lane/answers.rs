//! Publishes what the function answers, and sees it confirmed, before anything of its event is settled.

use std::collections::HashMap;

use event::Response;
use tokio::time::timeout;
use tracing::warn;

use super::Lane;
use super::pending::Pending;
use crate::backoff::Backoff;
use crate::lambda::{Answers, Failure};
use crate::outgoing::answer;

/// What became of the answers in a response.
pub(super) enum Answered {
    /// All that there were are published and confirmed.
    Done,
    /// The bridge drains: the records are abandoned, and the function will be asked again.
    CutShort,
    /// They can never be published.
    Refused(Failure),
}

impl Lane {
    /// Publishes what the function answers, before anything is settled: tried again for as long as it takes, without
    /// another invocation.
    pub(super) async fn answer(
        &mut self,
        response: &Response,
        failures: &HashMap<usize, Failure>,
        pending: &Pending,
    ) -> Answered {
        let mapping = self.mapping.clone();
        let (settings, metrics) = (&mapping.settings, &mapping.metrics);
        let answers = match Answers::of(response, &pending.deliveries, failures, &settings.response, settings.reply) {
            Ok(answers) => answers,
            Err(refusal) => return Answered::Refused(refusal.into()),
        };
        for refusal in &answers.refused {
            metrics.answers_refused.inc();
            warn!(mapping = settings.name, %refusal, "reply left out");
        }
        let Some(publisher) = mapping.publisher.as_ref().filter(|_| !answers.outgoing.is_empty()) else {
            return Answered::Done;
        };
        let mut backoff = Backoff::new(settings.retry.backoff);
        loop {
            let cause = match timeout(settings.timeout, answer(publisher, answers.outgoing.clone())).await {
                Ok(Ok(())) => {
                    metrics.published.inc_by(answers.outgoing.len() as u64);
                    return Answered::Done;
                }
                Ok(Err(cause)) if cause.is_final() => {
                    let kind = "Function.UnpublishableResponse".into();
                    return Answered::Refused(Failure { kind, message: cause.to_string(), retry: false });
                }
                Ok(Err(cause)) => cause.to_string(),
                Err(_) => format!("no PUBACK within {:?}", settings.timeout),
            };
            metrics.publish_failures.inc();
            warn!(mapping = settings.name, %cause, "answer not published; holding its records");
            if !self.wait(backoff.next(fastrand::f64())).await {
                return Answered::CutShort;
            }
        }
    }
}
