//! Opens the failure destinations of all mappings. Mappings that name the same place share one destination, because two
//! writers of one file would disturb each other.

use std::fmt;
use std::time::Duration;

use tokio::task::JoinSet;

use super::file::FileDestination;
use super::s3::Bucket;
use super::sqs::Queue;
use super::topic::TopicDestination;
use super::{DeadLetter, Destination, DestinationError};
use crate::aws::Aws;
use crate::config::{OnFailure, OnUnreadLetter, Protocol};
use crate::metrics::MappingMetrics;
use crate::outgoing::PublishHandle;

/// The open destinations, and everything needed to open more.
#[derive(Debug)]
pub struct Destinations {
    aws: Aws,
    publisher: Option<(PublishHandle, Protocol)>,
    open: Vec<(OnFailure, Endpoint)>,
    /// What is asked of queues while messages go on. It ends with this.
    asking: JoinSet<()>,
}

/// One place for dead letters. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Endpoint {
    File(FileDestination),
    Sqs(Queue),
    S3(Bucket),
    Topic(TopicDestination),
}

impl Destinations {
    /// Nothing is open yet. Topics need a publisher, and the version of MQTT that it speaks.
    #[must_use]
    pub fn new(aws: &Aws, publisher: Option<(PublishHandle, Protocol)>) -> Self {
        Self { aws: aws.clone(), publisher, open: Vec::new(), asking: JoinSet::new() }
    }

    /// Opens the chain of one mapping, so that a wrong path is found before the first message; `None` when the mapping
    /// names no destination. A queue is asked for its limit meanwhile; buckets and topics are not asked before there is
    /// a letter for them.
    ///
    /// # Errors
    /// When one of them cannot be written to.
    pub fn chain(
        &mut self,
        mapping: &str,
        (on_failure, unread): (&[OnFailure], OnUnreadLetter),
        metrics: &MappingMetrics,
    ) -> Result<Option<Destination>, DestinationError> {
        if on_failure.is_empty() {
            return Ok(None);
        }
        let places = on_failure.iter().map(|on_failure| self.place(on_failure, unread)).collect::<Result<_, _>>()?;
        Ok(Some(Destination::new(mapping, metrics.clone(), places)))
    }

    /// Closes open destinations that are no longer wanted here. Code that still holds one can continue to use it.
    pub fn keep(&mut self, wanted: impl Fn(&OnFailure) -> bool) {
        self.open.retain(|(on_failure, _)| wanted(on_failure));
    }

    fn place(&mut self, on_failure: &OnFailure, unread: OnUnreadLetter) -> Result<Endpoint, DestinationError> {
        if let Some((_, place)) = self.open.iter().find(|(known, _)| known == on_failure) {
            return Ok(place.clone());
        }
        let place = match on_failure {
            OnFailure::File(path) => Endpoint::File(FileDestination::open(path)?),
            OnFailure::Sqs(url) => {
                let queue = Queue::open(&self.aws, url);
                let asked = queue.clone();
                self.asking.spawn(async move { asked.know_limit().await });
                Endpoint::Sqs(queue)
            }
            OnFailure::S3(url) => Endpoint::S3(Bucket::open(&self.aws, url)),
            // Not kept in `open`: the publisher's connection is shared anyway, and mappings may differ in
            // `on_unread_letter`.
            OnFailure::Topic(topic) => return self.topic(topic, unread),
        };
        self.open.push((on_failure.clone(), place.clone()));
        Ok(place)
    }

    fn topic(&self, topic: &str, unread: OnUnreadLetter) -> Result<Endpoint, DestinationError> {
        let Some((publisher, protocol)) = self.publisher.clone() else {
            return Err(DestinationError::new(topic, "there is no connection to publish on"));
        };
        Ok(Endpoint::Topic(TopicDestination::new(topic, unread, publisher, protocol)))
    }
}

impl Endpoint {
    pub(super) async fn put(&self, letter: &DeadLetter) -> Result<(), DestinationError> {
        match self {
            Self::File(file) => file.put(letter).await,
            Self::Sqs(queue) => queue.put(letter).await,
            Self::S3(bucket) => bucket.put(letter).await,
            Self::Topic(topic) => topic.put(letter).await,
        }
    }

    /// As the configuration calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Sqs(_) => "sqs",
            Self::S3(_) => "s3",
            Self::Topic(_) => "topic",
        }
    }

    pub(super) fn late(&self, patience: Duration) -> DestinationError {
        DestinationError::new(self, format_args!("no confirmation within {patience:?}"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.fmt(f),
            Self::Sqs(queue) => queue.fmt(f),
            Self::S3(bucket) => bucket.fmt(f),
            Self::Topic(topic) => topic.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::LocalEndpoint;
    use crate::metrics::Metrics;

    #[test]
    fn mappings_that_name_one_file_share_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| OnFailure::File(directory.path().join(name));
        let aws = Aws::local(LocalEndpoint { url: "http://127.0.0.1:1".into() });
        let (mut destinations, metrics) = (Destinations::new(&aws, None), Metrics::new().mapping("m"));
        for chain in [vec![file("a")], vec![file("b"), file("a")], vec![file("a")]] {
            assert!(destinations.chain("m", (&chain, OnUnreadLetter::Refuse), &metrics).unwrap().is_some());
        }
        assert_eq!(destinations.open.len(), 2);
        assert!(destinations.chain("m", (&[], OnUnreadLetter::Refuse), &metrics).unwrap().is_none());
        destinations.keep(|on_failure| *on_failure == file("a"));
        assert_eq!(destinations.open.len(), 1);
    }

    #[test]
    fn a_topic_needs_a_publisher() {
        let aws = Aws::local(LocalEndpoint { url: "http://127.0.0.1:1".into() });
        let mut destinations = Destinations::new(&aws, None);
        let error = destinations.chain(
            "m",
            (&[OnFailure::Topic("a/b".into())], OnUnreadLetter::Refuse),
            &Metrics::new().mapping("m"),
        );
        assert!(error.unwrap_err().to_string().starts_with("failure destination a/b: "));
    }
}
