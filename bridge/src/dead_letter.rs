//! Failure destinations: they store a message that its function rejects, byte for byte, before the bridge acknowledges
//! it. Does not decide when a message is given up.

mod address;
mod destinations;
mod digest;
mod file;
mod letter;
mod object_key;
mod probe;
mod s3;
mod sqs;
mod standing;
mod topic;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::metrics::{MappingMetrics, Writes};
use destinations::Endpoint;
use standing::Standing;

pub use destinations::Destinations;
pub use file::FileDestination;
pub(crate) use file::{is_same_file, move_away, sync_directory_of};
pub use letter::{Circumstances, DeadLetter, FailedRedrives, Skipped};
pub use probe::{Seen, probe, probe_file};
pub use s3::{Bucket, Object};
pub use sqs::{Queue, Received};
pub use standing::LinkState;

/// How long one destination may take before the next one is asked; longer by a second for every MiB of payload.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A destination that cannot take a message now, or cannot be opened at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failure destination {destination}: {cause}")]
pub struct DestinationError {
    /// Which.
    pub destination: String,
    /// Why.
    pub cause: String,
    /// Whether it can never take this letter, such as one above its limit. Says nothing about other letters.
    pub is_final: bool,
}

impl DestinationError {
    fn new(destination: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self { destination: destination.to_string(), cause: cause.to_string(), is_final: false }
    }

    fn lasting(destination: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self { is_final: true, ..Self::new(destination, cause) }
    }
}

/// The open failure destinations of one mapping, each the fallback of those before it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Destination(Arc<Chain>);

#[derive(Debug)]
struct Chain {
    links: Vec<Endpoint>,
    /// The counters of each destination.
    writes: Vec<Writes>,
    standing: Standing,
}

impl Destination {
    fn new(mapping: &str, metrics: MappingMetrics, links: Vec<Endpoint>) -> Self {
        let writes = links.iter().map(|place| metrics.writes_to(place.kind())).collect();
        let standing = Standing::new(mapping, metrics, links.len());
        Self(Arc::new(Chain { links, writes, standing }))
    }

    /// The note for operators while a destination refuses, although messages still flow.
    #[must_use]
    pub fn note(&self) -> watch::Receiver<Option<String>> {
        self.0.standing.note()
    }

    /// How each of them stands, in their order.
    #[must_use]
    pub fn links(&self) -> Vec<LinkState> {
        self.0.standing.links()
    }

    /// Returns once the dead letter is durable in the first destination that takes it, and what kind of place that is.
    /// A destination that does not answer within 10 s, and a second for every MiB, has failed; should it have taken the
    /// letter all the same, there is one too many.
    ///
    /// Counts and logs what fails.
    ///
    /// # Errors
    /// When none takes it, with the cause of each; final when none of them ever can. Otherwise the same call may be made again.
    pub async fn put(&self, letter: &DeadLetter) -> Result<&'static str, DestinationError> {
        let (patience, Chain { links, writes, standing }) = (patience(letter), &*self.0);
        let mut failed: Option<DestinationError> = None;
        for (index, (place, writes)) in links.iter().zip(writes).enumerate() {
            match timeout(patience, place.put(letter)).await.unwrap_or_else(|_| Err(place.late(patience))) {
                Ok(()) => {
                    writes.succeeded.inc();
                    standing.taken(index, place);
                    return Ok(place.kind());
                }
                Err(error) => {
                    writes.failed.inc();
                    standing.refused(index, &error);
                    failed = Some(also(failed, error));
                }
            }
        }
        let error = failed.unwrap_or_else(|| DestinationError::new("`on_failure`", "names none"));
        if !error.is_final {
            standing.refused_by_all(letter, &error);
        }
        Err(error)
    }
}

fn patience(letter: &DeadLetter) -> Duration {
    TIMEOUT + Duration::from_secs(letter.payload.len() as u64 >> 20)
}

/// Both errors as one.
fn also(earlier: Option<DestinationError>, error: DestinationError) -> DestinationError {
    match earlier {
        None => error,
        Some(earlier) => DestinationError {
            cause: format!("{}; failure destination {}: {}", earlier.cause, error.destination, error.cause),
            is_final: earlier.is_final && error.is_final,
            ..earlier
        },
    }
}

#[cfg(test)]
mod tests {
    use event::Encoding;
    use tokio::time::Instant;

    use super::*;
    use crate::config::{OnUnreadLetter, Protocol};
    use crate::metrics::Metrics;
    use crate::outgoing::{PublishError, channel};
    use topic::TopicDestination;

    pub(super) fn letter() -> DeadLetter {
        DeadLetter {
            mapping: "m".into(),
            function: "f".into(),
            id: "1".into(),
            topic: "t".into(),
            qos: 1,
            retain: false,
            user_properties: Vec::new(),
            content_type: None,
            response_topic: None,
            correlation_data: None,
            payload: "p".into(),
            encoding: Encoding::Text,
            subscription: None,
            content_encoding: None,
            skipped: None,
            redrive: None,
            received_at: String::new(),
            first_attempt_at: String::new(),
            last_attempt_at: String::new(),
            attempts: 1,
            error_type: String::new(),
            error_message: String::new(),
        }
    }

    /// A chain of these topics, of which `silent` never answers, `refusing` refuses, `small` finds everything too
    /// large, and all others take it.
    fn chain(topics: &[&str]) -> (Destination, MappingMetrics) {
        let (publisher, mut requests) = channel(8);
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Some(request) = requests.recv().await {
                let (outgoing, waiting) = request.into_parts();
                match &*outgoing.topic {
                    "silent" => unanswered.push(waiting),
                    "refusing" => waiting.tell(Err(PublishError::Ended)),
                    "small" => {
                        let topic = outgoing.topic.clone();
                        waiting.tell(Err(PublishError::TooLarge { topic, bytes: 2, limit: 1 }));
                    }
                    _ => waiting.tell(Ok(())),
                }
            }
        });
        let place = |topic: &&str| {
            Endpoint::Topic(TopicDestination::new(topic, OnUnreadLetter::Refuse, publisher.clone(), Protocol::V5))
        };
        let metrics = Metrics::new().mapping("m");
        (Destination::new("m", metrics.clone(), topics.iter().map(place).collect()), metrics)
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_in_time_is_passed_over() {
        let (destination, metrics) = chain(&["silent", "refusing", "willing", "silent"]);
        let begun = Instant::now();
        destination.put(&letter()).await.unwrap();
        assert_eq!((begun.elapsed(), metrics.dead_letter_failures.get()), (TIMEOUT, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn too_large_is_final_only_where_it_is_too_large_for_all() {
        for (topics, is_final) in
            [(&["small"][..], true), (&["small", "small"], true), (&["small", "refusing"], false), (&["silent"], false)]
        {
            let (destination, _) = chain(topics);
            assert_eq!(destination.put(&letter()).await.unwrap_err().is_final, is_final, "{topics:?}");
        }
        let (destination, _) = chain(&["small", "willing"]);
        destination.put(&letter()).await.unwrap();
        assert_eq!(*destination.note().borrow(), None, "it works for others");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_letter_has_more_time() {
        let (destination, _) = chain(&["silent", "willing"]);
        let begun = Instant::now();
        destination.put(&DeadLetter { payload: "p".repeat(5 << 20), ..letter() }).await.unwrap();
        assert_eq!(begun.elapsed(), TIMEOUT + Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_each_cause_is_told_and_counted() {
        let (destination, metrics) = chain(&["silent", "refusing"]);
        let error = destination.put(&letter()).await.unwrap_err().to_string();
        assert_eq!(metrics.dead_letter_failures.get(), 2);
        assert!(error.starts_with("failure destination topic `silent`: no confirmation within 10s; "), "{error}");
        assert!(error.contains("failure destination topic `refusing`: publish: "), "{error}");
    }
}
