//! The failure destinations of a mapping, and which addresses are valid for them. Opens none of them, and never repeats
//! a URL in an error, because it may contain a password.

use std::path::PathBuf;

use super::bucket_url::{BucketUrl, bucket_url};
use super::key::Kind::{File, Text};
use super::reader::Reader;
use super::section::{Section, keys_of, section};
use super::values::InvalidValue;
use crate::topic::validate_topic_name;

/// One failure destination of `mapping.on_failure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    /// A file that grows by one line of JSON a dead letter.
    File(PathBuf),
    /// The URL of an SQS queue, with `https://` or, for a local one, `http://`.
    Sqs(String),
    /// A bucket of S3, and a prefix that is empty or ends in `/`.
    S3(BucketUrl),
    /// A topic of the same broker; the mapping itself does not subscribe to it.
    Topic(String),
}

/// The table of failure destinations.
pub(super) const ON_FAILURE: &str = "mapping.on_failure";

section! {
    /// `mapping.on_failure`: one stands in each table of the file. Elsewhere several may be given, and are tried in
    /// this order.
    pub struct Destinations in "mapping.on_failure." {
        /// The SQS queue for messages that no attempt could deliver; a list of destinations is tried in its order.
        pub sqs: Option<String> = key {
            Text.absent("https://sqs.eu-west-1.amazonaws.com/123456789012/dead-letters").flag("on-failure-sqs"),
            maybe(queue_url)
        };
        /// The S3 bucket and prefix for such messages; it gets an object each.
        pub s3: Option<BucketUrl> = key { Text.absent("s3://my-bucket/dead-letters/").flag("on-failure-s3"), maybe(bucket_url) };
        /// The topic of the same broker for such messages; the mapping must not subscribe to it.
        pub topic: Option<String> = key { Text.absent("dead/letters"), maybe(topic) };
        /// The file for messages that no attempt could deliver; it grows by a line each.
        pub file: Option<PathBuf> = key { File.absent("dead-letters.jsonl").flag("on-failure-file"), file };
    }
}

/// Reads all of a mapping. Those of environment and flags replace all of the file.
pub(super) fn on_failure(reader: &mut Reader<'_>) -> Option<Vec<OnFailure>> {
    let given = keys_of::<Destinations>().iter().any(|key| reader.settings().given.contains_key(key.path));
    if given {
        return destinations(reader);
    }
    let listed = reader.settings().on_failure.iter().map(|one| reader.within(one, destinations));
    let listed: Vec<_> = listed.collect();
    Some(listed.into_iter().collect::<Option<Vec<_>>>()?.concat())
}

fn destinations(reader: &mut Reader<'_>) -> Option<Vec<OnFailure>> {
    let Destinations { sqs, s3, topic, file } = Destinations::read(reader)?;
    let in_order =
        [sqs.map(OnFailure::Sqs), s3.map(OnFailure::S3), topic.map(OnFailure::Topic), file.map(OnFailure::File)];
    Some(in_order.into_iter().flatten().collect())
}

/// A topic that may be published to; those that begin with `$` belong to the broker (MQTT 5, 4.7.2).
pub(super) fn topic(text: &str) -> Result<String, InvalidValue> {
    validate_topic_name(text).map_err(|error| InvalidValue::new(error.to_string()))?;
    if text.starts_with('$') || text.chars().any(char::is_control) {
        return Err(InvalidValue::new("must hold no control characters and not begin with `$`"));
    }
    Ok(text.to_owned())
}

/// Checks the URL of a queue as `GetQueueUrl` of the SQS API gives it: `https://host/account/name`.
pub(super) fn queue_url(text: &str) -> Result<String, InvalidValue> {
    let invalid =
        || InvalidValue::new("not the URL of a queue; write `https://sqs.<region>.amazonaws.com/<account>/<name>`");
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(invalid)?;
    let (authority, path) = rest.split_once('/').ok_or_else(invalid)?;
    if authority.contains('@') {
        return Err(InvalidValue::new(
            "must not hold a user name or password, which others could read; AWS credentials come from the SDK's chain",
        ));
    }
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if authority.is_empty() || path.is_empty() || path.contains(['?', '#']) || !printable {
        return Err(invalid());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_destinations_have_their_order() {
        let paths: Vec<_> =
            keys_of::<Destinations>().iter().filter_map(|key| key.path.strip_prefix("mapping.on_failure.")).collect();
        assert_eq!(paths, ["sqs", "s3", "topic", "file"]);
    }

    #[test]
    fn queues_of_aws_and_local_ones_are_taken_as_written() {
        for url in [
            "https://sqs.eu-west-1.amazonaws.com/123456789012/dead-letters",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/dead-letters.fifo",
            "http://localhost:4566/000000000000/dead-letters",
            "http://[::1]:4566/000000000000/dead-letters",
        ] {
            assert_eq!(queue_url(url).as_deref(), Ok(url));
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for url in [
            "",
            "dead-letters",
            "arn:aws:sqs:eu-west-1:123456789012:dead-letters",
            "sqs://localhost/1/q",
            "https://",
            "https://localhost",
            "https://localhost/",
            "https:///1/q",
            "https://localhost/1/q?Action=Purge",
            "https://localhost/1/q#a",
            "https://localhost/1/q q",
            "https://localhost/1/q\n",
        ] {
            assert!(queue_url(url).unwrap_err().to_string().starts_with("not the URL of a queue; "), "{url}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let error = queue_url("https://user:hunter2@localhost/1/q").unwrap_err().to_string();
        assert!(error.starts_with("must not hold a user name or password") && !error.contains("hunter2"), "{error}");
    }
}
