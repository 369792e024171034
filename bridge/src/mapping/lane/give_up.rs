//! Gives deliveries up: each goes to the failure destination, and is settled when it is safe there.

use std::time::Duration;

use tracing::{error, warn};

use super::super::held::Counted;
use super::super::said::Matter;
use super::log::named;
use super::pending::Pending;
use super::{Attempted, Lane};
use crate::backoff::Backoff;
use crate::clock::now;
use crate::dead_letter::{Circumstances, DeadLetter};
use crate::delivery::{Delivery, Outcome};
use crate::foreign::Foreign;
use crate::lambda::{Disposition, Failure};
use crate::outgoing::Outgoing;

/// How long an answer whose dead letter no destination takes waits before this is logged again.
const BETWEEN_FINAL_REFUSALS: Duration = Duration::from_mins(1);

/// What became of a dead letter.
enum Written {
    /// It is durable.
    Safe,
    /// No destination can ever take it.
    Never,
    /// The bridge drains before it is durable, or there is no destination.
    Drained,
}

impl Lane {
    pub(super) async fn give_up_all(&mut self, mut pending: Pending, failure: &Failure) {
        for delivery in std::mem::take(&mut pending.deliveries) {
            self.give_up(delivery, &pending, failure).await;
        }
    }

    /// Gives up what has got too old for another attempt.
    pub(super) async fn give_up_old(&mut self, pending: &mut Pending, attempted: &Attempted) {
        if attempted.disposition != Disposition::Retry || self.mapping.destination.is_none() {
            return;
        }
        for delivery in pending.of_age(self.mapping.settings.retry.max_age, now()) {
            self.give_up(delivery, pending, &attempted.failure).await;
        }
    }

    /// Gives up a message that was too large to be decoded or decompressed, or that is not compressed as declared.
    /// Without a failure destination it keeps its place: the broker must not lose it silently, and a new connection
    /// would only bring it again.
    pub(super) async fn give_up_unreadable(&mut self, pending: &mut Pending) {
        let unreadable: Vec<_> = pending.deliveries.extract_if(.., |given| given.unreadable().is_some()).collect();
        for delivery in unreadable {
            let (kind, message) =
                delivery.unreadable().map_or_else(Default::default, |(kind, why)| (kind, why.to_owned()));
            if self.mapping.destination.is_some() {
                let failure = Failure { kind: kind.into(), message: message.into(), retry: false };
                self.give_up(delivery, pending, &failure).await;
            } else {
                self.hold(delivery, &message);
            }
        }
    }

    /// Holds a message that can be given to no function, where there is no failure destination.
    pub(super) fn hold(&self, delivery: Delivery, reason: &str) {
        let (mapping, (record, topic)) = (&self.mapping.settings.name, named(Some(&delivery)));
        error!(
            event = "message.not_readable",
            mapping,
            record,
            topic,
            reason,
            "no function can be given this message, and there is no `on_failure`; holding it"
        );
        self.mapping.held.hold(delivery);
    }

    /// Holds the delivery until its dead letter is durable. A destination that fails stops nobody but this lane.
    pub(super) async fn give_up(&mut self, delivery: Delivery, pending: &Pending, failure: &Failure) {
        // Another delivery of its key was abandoned meanwhile, and must not be overtaken.
        if delivery.hold.as_ref().is_some_and(|hold| hold.is_abandoned()) {
            return;
        }
        // The function has taken it already; it was sent again only to keep the order of its key.
        if delivery.taken {
            return delivery.settle(Outcome::Delivered);
        }
        let letter = Box::new(self.letter(&delivery, pending, failure));
        match self.write(&letter).await {
            Written::Safe => delivery.settle(Outcome::DeadLettered),
            Written::Never => self.mapping.held.hold(delivery),
            Written::Drained => {}
        }
    }

    /// Writes a dead letter that holds an answer of the function to this event, which no broker takes and which is
    /// about no record. False when the bridge drains before it is durable.
    pub(super) async fn give_up_message(
        &mut self,
        answer: &Outgoing,
        number: usize,
        pending: &Pending,
        failure: &Failure,
    ) -> bool {
        let Some(first) = pending.deliveries.first() else { return true };
        let letter = Box::new(self.letter(first, pending, failure).with_answer(answer, number));
        loop {
            match self.write(&letter).await {
                Written::Safe => return true,
                // The function has succeeded, so its records must not be given to it again: they wait here.
                Written::Never if self.wait(BETWEEN_FINAL_REFUSALS).await => {}
                Written::Never | Written::Drained => return false,
            }
        }
    }

    fn letter(&self, delivery: &Delivery, pending: &Pending, failure: &Failure) -> DeadLetter {
        let circumstances = Circumstances {
            mapping: &self.mapping.settings.name,
            function: self.mapping.client.function(),
            attempts: pending.attempts,
            first_attempt_at: pending.first_attempt_at,
            last_attempt_at: pending.last_attempt_at,
            error_type: &failure.kind,
            error_message: &failure.message,
        };
        DeadLetter::new(delivery, &circumstances)
    }

    /// Tries until it is durable, or no destination ever can.
    async fn write(&mut self, letter: &DeadLetter) -> Written {
        let mapping = self.mapping.clone();
        let Some(destination) = &mapping.destination else { return Written::Drained };
        let mut backoff = Backoff::new(mapping.settings.retry.backoff);
        let (name, record, error_type) = (&mapping.settings.name, &letter.id, &letter.error_type);
        let mut held = None;
        let destination = loop {
            // In a box, or every lane would carry the room for all kinds of destinations.
            match Box::pin(destination.put(letter)).await {
                Ok(kind) => break kind,
                Err(cause) if cause.is_final => {
                    let Some(messages) = mapping.said.failed(Matter::Impossible) else { return Written::Never };
                    let topic = Foreign::of(&letter.topic);
                    let event = "dead_letter.impossible";
                    error!(
                        event, mapping = name, messages, record, %topic, error_type, %cause,
                        "no failure destination can take this message; holding it un-acknowledged: \
                         add a `file` or `s3` destination to `on_failure`"
                    );
                    return Written::Never;
                }
                Err(_) => drop(held.get_or_insert_with(|| Counted::new(&mapping.metrics))),
            }
            if !self.wait(backoff.next(fastrand::f64())).await {
                return Written::Drained;
            }
        };
        if let Some(letters) = mapping.said.failed(Matter::Letter) {
            let (attempts, topic) = (letter.attempts, Foreign::of(&letter.topic));
            let event = "dead_letter.written";
            warn!(event, mapping = name, letters, destination, record, %topic, attempts, error_type, "dead-lettered");
        }
        Written::Safe
    }
}
