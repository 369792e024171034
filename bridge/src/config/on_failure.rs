//! Where messages go that no attempt could deliver, and which addresses can serve for it. Opens none of them, and never
//! repeats a URL in an error, since it may hold a password.

use std::path::PathBuf;

use super::{BucketUrl, InvalidValue};

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
