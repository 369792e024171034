//! Answers that explain nothing: those of a proxy, a portal or another service in Lambda's place, and a code that is
//! newer than the bridge. No function has run for them. A code of the table of errors stands in none.

use super::answer::{Answer, Fate};
use super::{State, Weather};
use crate::sim::record::Failed;

/// What a proxy sends.
const PAGE: &str = "<html><body>blocked</body></html>";

/// A status, a body, `X-Amzn-ErrorType`, and whether Lambda's request id is there. What the bridge does goes by the status:
/// 408, 425, 429 and 5xx pass (RFC 9110, 15.5.9 and 15.6; RFC 8470, 5.2; RFC 6585, 4), and with all else somebody has to look at
/// it. Lambda answers 200 to a synchronous invocation and always names the request.
type Stranger = (u16, &'static str, Option<&'static str>, bool);

const STRANGERS: &[Stranger] = &[
    (200, "", None, false),
    (200, PAGE, None, false),
    (202, "", None, true),
    (204, "", None, false),
    (301, PAGE, None, false),
    (302, "", None, false),
    (400, "", None, false),
    (400, "no JSON", None, true),
    (400, "{\"Message\": \"simulated\"}", Some("UnheardOfException"), true),
    (401, PAGE, None, false),
    (403, PAGE, None, false),
    (404, "", None, false),
    (407, PAGE, None, false),
    (408, "", None, false),
    (425, "", None, false),
    (429, PAGE, None, false),
    (451, "{}", None, false),
    (502, PAGE, None, false),
    (503, "", None, false),
    (504, "{\"Message\": \"simulated\"}", Some("UnheardOfException"), true),
];

impl State {
    /// What somebody else says to an invocation for these messages.
    pub(super) fn stranger(&mut self, numbers: &[u64]) -> Option<Fate> {
        let every = self.moods.blocked_every;
        let is_blocked = |number: &&u64| every > 0 && **number <= self.messages && number.is_multiple_of(every);
        let blocked: Vec<_> = numbers.iter().filter(is_blocked).copied().collect();
        let answer = if !blocked.is_empty() {
            self::blocked(&blocked, numbers)
        } else if self.is(Weather::SomebodyElse) || self.strange.percent(self.moods.strange) {
            let (status, body, code, is_lambda) = self.strange.one_of(STRANGERS);
            let answer = Answer { is_foreign: !is_lambda, ..Answer::of(status, body) };
            let answer = code.into_iter().fold(answer, |answer, code| answer.with("x-amzn-errortype", code));
            let passes = matches!(status, 408 | 425 | 429 | 500..);
            Answer { unexplained: if passes { Vec::new() } else { numbers.to_vec() }, ..answer }
        } else {
            return None;
        };
        self.record.say("stranger", format!("answers {} for {numbers:?}", answer.status));
        Some(Fate::Answered(answer))
    }
}

/// A proxy that never lets these through: for their size (413), or for what stands in them.
fn blocked(blocked: &[u64], numbers: &[u64]) -> Answer {
    if blocked.iter().any(|number| number.is_multiple_of(2)) {
        let failed = blocked.iter().map(|number| (*number, Failed::ForGood)).collect();
        Answer { failed, is_foreign: true, ..Answer::of(413, PAGE) }
    } else {
        Answer { unexplained: numbers.to_vec(), is_foreign: true, ..Answer::of(403, PAGE) }
    }
}
