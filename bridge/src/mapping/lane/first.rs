//! Asks Lambda at startup, by a dry run, whether it would accept an invocation. So the bridge detects a missing
//! function, a denied invocation or a wrong region before the first message. Delays no message.

use std::sync::atomic::Ordering;

use tokio::time::sleep;
use tracing::{info, warn};

use super::Lane;
use crate::backoff::Backoff;
use crate::clock::now;
use crate::lambda::{Disposition, InvokeError};
use crate::metrics::About;

impl Lane {
    /// Returns once Lambda would take one, or a message has shown it. To be dropped when a message comes: that decides.
    pub(super) async fn ask_first(&self) {
        let mapping = &self.mapping;
        if !mapping.client.wants_dry_runs() {
            return;
        }
        let (mut backoff, mut is_said) = (Backoff::new(mapping.settings.retry.backoff), false);
        while mapping.passed.load(Ordering::Relaxed) == 0 {
            match mapping.client.dry_run().await {
                Ok(()) => {
                    let (name, function) = (&mapping.settings.name, mapping.client.function());
                    let event = "lambda.ready";
                    info!(event, mapping = name, function, "Lambda takes invocations of the function");
                    mapping.metrics.live.failing().succeeded();
                    return self.lambda_works();
                }
                Err(error) if error.is_unexplained() => return self.log_unknown(&error),
                Err(error) if error.disposition() == Disposition::Hold => {
                    self.log_refusal(&error, Disposition::Hold, 0, None);
                }
                Err(error) => self.note_unanswered(&error, std::mem::replace(&mut is_said, true)),
            }
            sleep(backoff.next(fastrand::f64())).await;
        }
    }

    /// An emulator or a proxy may know invocations, and no dry run of them.
    fn log_unknown(&self, error: &InvokeError) {
        let event = "lambda.dry_run_refused";
        let mapping = &self.mapping.settings.name;
        warn!(event, mapping, reason = %error, "no answer to whether the function can be invoked; the first invocation decides");
    }

    fn note_unanswered(&self, error: &InvokeError, is_said: bool) {
        let live = &self.mapping.metrics.live;
        live.failed(About::Lambda, &error.to_string());
        live.failing().failed(&format!("invocation failed: {error}"), now());
        if is_said {
            return;
        }
        let event = "lambda.unanswered";
        let mapping = &self.mapping.settings.name;
        warn!(event, mapping, reason = %error, "Lambda has not said yet whether the function can be invoked; asking again");
    }
}
