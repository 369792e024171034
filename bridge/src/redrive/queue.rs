//! Letters of an SQS queue: received, sent, and deleted when their function has accepted them. All others are returned
//! to the queue, unchanged, only at the end; otherwise they would come again at once.

use std::collections::HashSet;
use std::time::Duration;

use tracing::warn;

use super::{Redrive, RedriveError, Verdict};
use crate::aws::Aws;
use crate::config::Retry;
use crate::dead_letter::{DeadLetter, Queue, Received};

/// An empty answer alone does not say that the queue is empty: SQS may have asked some of its hosts only.
const IDLE: usize = 3;
/// Beyond the time that the letters of a batch can take.
const SPARE: Duration = Duration::from_mins(2);

pub(super) async fn run(redrive: &mut Redrive, aws: &Aws, url: &str) -> Result<(), RedriveError> {
    redrive.log_beginning();
    let queue = Queue::open(aws, url);
    let mut kept = Vec::new();
    let result = drain(redrive, &queue, &mut kept).await;
    for message in &kept {
        if let Err(error) = queue.release(message).await {
            warn!(event = "redrive.not_handed_back", reason = %error, "dead letter not handed back; it comes back when its time is over");
        }
    }
    result
}

async fn drain(redrive: &mut Redrive, queue: &Queue, kept: &mut Vec<Received>) -> Result<(), RedriveError> {
    let hold = hold(redrive);
    let (mut seen, mut idle) = (HashSet::new(), 0);
    while idle < IDLE && !redrive.is_over() {
        let received = queue.receive(hold).await?;
        // A message that arrives a second time was held longer than its visibility timeout.
        let (new, old): (Vec<_>, Vec<_>) = received.into_iter().partition(|message| seen.insert(message.id.clone()));
        kept.extend(old);
        idle = if new.is_empty() { idle + 1 } else { 0 };
        let letters: Vec<Option<DeadLetter>> =
            new.iter().map(|message| serde_json::from_str(&message.body).ok()).collect();
        let verdicts = redrive.batch(&letters).await;
        for (message, verdict) in new.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Redriven => queue.delete(&message).await?,
                Verdict::Failed(..) | Verdict::Tried(_) | Verdict::Stays | Verdict::Broken => kept.push(message),
            }
        }
    }
    Ok(())
}

/// How long the letters of a batch may take, so that nobody else gets one meanwhile.
fn hold(redrive: &Redrive) -> Duration {
    let longest = redrive.routes.values().map(|route| one_letter(&route.settings.retry, route.settings.timeout));
    let one = longest.max().unwrap_or_default();
    let paced = redrive.options.rate.map(|rate| rate.interval() * 10).unwrap_or_default();
    let turns = u32::try_from(super::BATCH / redrive.width).unwrap_or(1);
    one.saturating_mul(turns) + paced + SPARE
}

/// What is no attempt, such as a throttle, is tried again until the age is reached, whatever `max_attempts` says.
fn one_letter(retry: &Retry, timeout: Duration) -> Duration {
    retry.max_age + retry.backoff.max + timeout
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Range;

    #[test]
    fn throttles_hold_a_letter_for_as_long_as_its_age_though_it_has_one_attempt() {
        let seconds = Duration::from_secs;
        let backoff = Range { min: seconds(1), max: seconds(30) };
        let retry = Retry { max_attempts: 1, max_age: seconds(600), backoff };
        assert_eq!(one_letter(&retry, seconds(30)), seconds(660));
    }
}
