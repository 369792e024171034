//! What Lambda says to the dry run by which a mapping asks whether its function can be invoked (Invoke,
//! `InvocationType` `DryRun`: 204, or the error that an invocation would have). No function runs for it.

use tokio::time::sleep;

use super::answer::{Answer, Fate};
use super::{Cloud, State, Weather};

impl Cloud {
    /// It holds no message, whatever is there.
    pub(super) async fn dry_run(&self, body: &[u8]) -> Fate {
        let (took, fate) = {
            let mut state = self.state();
            if !body.is_empty() {
                state.record.violated("dry run", format!("{} bytes of an event", body.len()));
            }
            (state.strange.millis(1..2_000), state.dry_run())
        };
        sleep(took).await;
        fate
    }
}

impl State {
    fn dry_run(&mut self) -> Fate {
        if let Some(fate) = self.stranger(&[]) {
            return fate;
        }
        let answer = if self.is(Weather::Silence) {
            self.record.say("lambda", "no answer to a dry run");
            return Fate::Silent;
        } else if self.is(Weather::Throttles) {
            Answer::error(429, "TooManyRequestsException")
        } else if self.is(Weather::SetUpWrong) {
            Answer::error(403, "AccessDeniedException")
        } else if self.is(Weather::ServiceErrors) {
            Answer::error(500, "ServiceException")
        } else {
            Answer { takes: true, ..Answer::of(204, "") }
        };
        self.record.say("lambda", format!("answers {} to a dry run", answer.status));
        Fate::Answered(answer)
    }
}
