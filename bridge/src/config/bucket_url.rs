//! The address of dead letters in S3: a bucket, and the prefix of the keys of its objects. Does not contact the bucket,
//! and never repeats a URL in an error, because it may contain a password.

use std::fmt;
use std::str::FromStr;

use super::InvalidValue;

/// The most bytes of a prefix, so that what follows it in a key has room (S3 user guide, "Naming Amazon S3 objects":
/// 1,024 bytes in all).
const LONGEST_PREFIX: usize = 512;

/// `s3://bucket/prefix/`, or `https://host/bucket/prefix/` for a bucket that is reached at that host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUrl {
    /// Scheme, host and port; `None` leaves them to the SDK's chain.
    pub endpoint: Option<String>,
    /// The name, or the alias of an access point.
    pub bucket: String,
    /// What the keys begin with; may be empty.
    pub prefix: String,
}

impl FromStr for BucketUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (endpoint, place) = match text.strip_prefix("s3://") {
            Some(place) => (None, place),
            None => split_endpoint(text)?,
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.contains('@') {
            return Err(password());
        }
        check_bucket(bucket)?;
        check_prefix(prefix)?;
        Ok(Self { endpoint, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, bucket, prefix } = self;
        match endpoint {
            None => write!(f, "s3://{bucket}/{prefix}"),
            Some(endpoint) => write!(f, "{endpoint}/{bucket}/{prefix}"),
        }
    }
}

/// An address to write to: of its prefix it must be clear where it ends.
pub(super) fn bucket_url(text: &str) -> Result<BucketUrl, InvalidValue> {
    let url: BucketUrl = text.parse()?;
    if !url.prefix.is_empty() && !url.prefix.ends_with('/') {
        return Err(InvalidValue::new("the prefix must end in `/`; write `s3://bucket/prefix/`"));
    }
    Ok(url)
}

fn split_endpoint(text: &str) -> Result<(Option<String>, &str), InvalidValue> {
    let scheme = ["https://", "http://"].iter().find(|scheme| text.starts_with(**scheme)).ok_or_else(invalid)?;
    let (host, place) = text[scheme.len()..].split_once('/').ok_or_else(invalid)?;
    if host.contains('@') {
        return Err(password());
    }
    if host.is_empty() || host.contains(['?', '#', '\\']) || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid());
    }
    Ok((Some(text[..scheme.len() + host.len()].to_owned()), place))
}

/// S3 user guide, "General purpose bucket naming rules".
fn check_bucket(name: &str) -> Result<(), InvalidValue> {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let allowed = name.bytes().all(|byte| is_alphanumeric(byte) || byte == b'-' || byte == b'.');
    let ends = name.bytes().next().is_some_and(is_alphanumeric) && name.bytes().last().is_some_and(is_alphanumeric);
    if !(3..=63).contains(&name.len()) || !allowed || !ends || name.contains("..") {
        return Err(invalid());
    }
    Ok(())
}

/// Of what a key may hold, only what needs no escaping anywhere (S3 user guide, "Safe characters"), and `=`.
fn check_prefix(prefix: &str) -> Result<(), InvalidValue> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/!-_.*'()=".contains(&byte);
    if !prefix.bytes().all(allowed) {
        return Err(InvalidValue::new("the prefix may hold letters of ASCII, digits and `/!-_.*'()=`"));
    }
    // A client or a proxy may resolve these as it does in a path.
    let ambiguous = |level: &str| matches!(level, "" | "." | "..");
    if prefix.strip_suffix('/').unwrap_or(prefix).split('/').any(ambiguous) && !prefix.is_empty() {
        return Err(InvalidValue::new("the prefix must hold no `//` and neither `.` nor `..` between two `/`"));
    }
    if prefix.len() > LONGEST_PREFIX {
        return Err(InvalidValue::new(format!("the prefix must have {LONGEST_PREFIX} characters at most")));
    }
    Ok(())
}

fn invalid() -> InvalidValue {
    InvalidValue::new("not the address of a bucket; write `s3://bucket/prefix/` or `https://host/bucket/prefix/`")
}

fn password() -> InvalidValue {
    InvalidValue::new(
        "must not hold a user name or password, which others could read; AWS credentials come from the SDK's chain",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_aws_and_others_are_taken_as_written() {
        for (text, endpoint, bucket, prefix) in [
            ("s3://dead-letters/", None, "dead-letters", ""),
            ("s3://dead.letters/a/b=1/", None, "dead.letters", "a/b=1/"),
            ("https://s3.eu-west-1.amazonaws.com/abc/p/", Some("https://s3.eu-west-1.amazonaws.com"), "abc", "p/"),
            ("http://[::1]:4566/abc/", Some("http://[::1]:4566"), "abc", ""),
        ] {
            let url = bucket_url(text).unwrap();
            assert_eq!((url.endpoint.as_deref(), &*url.bucket, &*url.prefix), (endpoint, bucket, prefix));
            assert_eq!(url.to_string(), text);
        }
        assert_eq!(bucket_url("s3://abc"), bucket_url("s3://abc/"));
    }

    #[test]
    fn a_prefix_to_read_from_may_end_anywhere_and_one_to_write_to_in_a_slash() {
        assert_eq!("s3://abc/p/20261120".parse::<BucketUrl>().unwrap().prefix, "p/20261120");
        assert_eq!(
            bucket_url("s3://abc/p").unwrap_err().to_string(),
            "the prefix must end in `/`; write `s3://bucket/prefix/`"
        );
    }

    #[test]
    fn other_addresses_are_refused() {
        let long = format!("s3://{}/", "a".repeat(64));
        for text in [
            "",
            "dead-letters",
            "arn:aws:s3:::dead-letters",
            "s3:dead-letters",
            "s3://",
            "s3:///a/",
            "s3://ab/",
            "s3://Dead-Letters/",
            "s3://dead_letters/",
            "s3://-dead/",
            "s3://dead-/",
            "s3://de..ad/",
            &long,
            "ftp://localhost/abc/",
            "https://localhost",
            "https:///abc/",
            "https://localhost?a/abc/",
            "https://localhost/",
        ] {
            let error = bucket_url(text).unwrap_err().to_string();
            assert!(error.starts_with("not the address of a bucket; "), "{text}: {error}");
        }
        let long = format!("s3://abc/{}/", "a".repeat(512));
        for text in
            ["s3://abc/a b/", "s3://abc/+/#/", "s3://abc/ä/", "s3://abc//", "s3://abc/a//", "s3://abc/../", &long]
        {
            assert!(bucket_url(text).unwrap_err().to_string().starts_with("the prefix "), "{text}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["https://user:hunter2@localhost/abc/", "s3://user:hunter2@abc/"] {
            let error = bucket_url(text).unwrap_err().to_string();
            assert!(error.starts_with("must not hold a user name or password"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
