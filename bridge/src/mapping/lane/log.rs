//! Records failed invocations, and recoveries, for readiness, the status page and the log. Decides nothing about
//! messages.

use tracing::{error, info, warn};

use super::super::said::Matter;
use super::Lane;
use super::pending::Pending;
use crate::clock::now;
use crate::delivery::Delivery;
use crate::foreign::Foreign;
use crate::lambda::{Disposition, Failure, InvokeError};
use crate::metrics::About;
use crate::repeats::Recovery;

impl Lane {
    /// Lambda takes invocations, or would.
    pub(super) fn lambda_works(&self) {
        self.mapping.metrics.live.went_well(About::Lambda);
        if self.mapping.fault.send_if_modified(|fault| fault.take().is_some()) {
            let mapping = &self.mapping.settings.name;
            info!(event = "lambda.restored", mapping, "invocations are taken again; the messages held go on");
        }
    }

    pub(super) fn log_refusal(
        &self,
        error: &InvokeError,
        disposition: Disposition,
        attempts: u32,
        example: Option<&Delivery>,
    ) {
        let mapping = &self.mapping.settings.name;
        let live = &self.mapping.metrics.live;
        live.failed(About::Lambda, &error.to_string());
        live.failing().failed(&format!("invocation failed: {error}"), now());
        if disposition == Disposition::Hold {
            let news = self.mapping.fault.send_replace(Some(error.to_string())).is_none();
            if news {
                let event = "lambda.refused";
                error!(event, mapping, reason = %error, "invocations refused; holding all messages until the configuration is fixed");
            }
        } else if let Some(failures) = self.mapping.said.failed(Matter::Invocation) {
            let (record, topic) = named(example);
            let event = "invocation.failed";
            warn!(event, mapping, failures, attempts, record, topic, reason = %error, "invocation failed");
        }
    }

    pub(super) fn log_failure(&self, failure: &Failure, pending: &Pending, example: Option<&Delivery>) {
        let mapping = &self.mapping.settings.name;
        let live = &self.mapping.metrics.live;
        live.failed(About::Function, &failure.kind);
        live.failing().failed(&format!("function failed: {}", failure.kind), now());
        let Some(failures) = self.mapping.said.failed(Matter::Function) else { return };
        let (records, attempts) = (pending.deliveries.len(), pending.attempts);
        let (record, topic) = named(example);
        // Without the function's message, which can contain any part of the event. It is in the dead letter and in the
        // function's own log.
        let event = "function.failed";
        warn!(event, mapping, failures, attempts, records, record, topic, kind = %failure.kind, "function failed");
    }

    /// The function has taken a whole event.
    pub(super) fn log_function_works(&self) {
        let mapping = &self.mapping.settings.name;
        if let Some(Recovery { failures, after }) = self.mapping.said.worked(Matter::Invocation) {
            let event = "invocation.restored";
            let after_seconds = after.as_secs();
            info!(event, mapping, failures, after_seconds, "invocations work again");
        }
        if let Some(Recovery { failures, after }) = self.mapping.said.worked(Matter::Function) {
            let event = "function.restored";
            let after_seconds = after.as_secs();
            info!(event, mapping, failures, after_seconds, "the function works again");
        }
    }
}

/// Which message a line is about: its record id, and its topic.
pub(super) fn named(delivery: Option<&Delivery>) -> (Option<String>, Option<String>) {
    let topic = delivery.map(|delivery| Foreign::of(&delivery.message.topic).to_string());
    (delivery.map(|delivery| delivery.id.to_string()), topic)
}
