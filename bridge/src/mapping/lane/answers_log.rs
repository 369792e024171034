//! Logs answers that cannot be published, and when they can again: one line a minute with one record and its topic.
//! Decides nothing about them.

use tracing::{info, warn};

use super::super::Mapping;
use super::super::said::Matter;
use super::log::named;
use crate::delivery::Delivery;
use crate::foreign::Foreign;
use crate::lambda::Refusal;
use crate::repeats::Recovery;

impl Mapping {
    /// `replies` are left out, the first of them for this reason, which is to this delivery.
    pub(super) fn log_left_out(&self, replies: usize, refusal: &Refusal, example: Option<&Delivery>) {
        let Some(events) = self.said.failed(Matter::LeftOut) else { return };
        let (mapping, (record, topic)) = (&self.settings.name, named(example));
        let event = "answers.left_out";
        warn!(event, mapping, events, replies, record, topic, %refusal, "replies left out; the first for this reason");
    }

    pub(super) fn log_unconfirmed(&self, example: Option<&Delivery>) {
        let Some(times) = self.said.failed(Matter::Unconfirmed) else { return };
        let (mapping, (record, topic)) = (&self.settings.name, named(example));
        let event = "answers.unconfirmed";
        let after = self.settings.timeout;
        warn!(event, mapping, times, record, topic, ?after, "answer not confirmed yet; holding its records");
    }

    pub(super) fn log_unpublished(&self, attempts: u32, answers: usize, cause: &Foreign, example: Option<&Delivery>) {
        let Some(times) = self.said.failed(Matter::Unpublished) else { return };
        let (mapping, (record, topic)) = (&self.settings.name, named(example));
        let event = "answers.not_published";
        warn!(event, mapping, times, attempts, answers, record, topic, %cause, "answers not published; the first for this reason");
    }

    pub(super) fn log_dropped(&self, answers: usize, reason: &Foreign, example: Option<&Delivery>) {
        let Some(times) = self.said.failed(Matter::Dropped) else { return };
        let (mapping, (record, topic)) = (&self.settings.name, named(example));
        let event = "answers.dropped";
        warn!(event, mapping, times, answers, record, topic, %reason, "answers dropped; the first for this reason");
    }

    /// All answers to an event were confirmed.
    pub(super) fn log_answers_work(&self) {
        for matter in [Matter::Unpublished, Matter::Unconfirmed] {
            let Some(Recovery { failures, after }) = self.said.worked(matter) else { continue };
            let (mapping, after_seconds) = (&self.settings.name, after.as_secs());
            let event = "answers.restored";
            info!(event, mapping, failures, after_seconds, "answers are published again");
        }
    }
}
