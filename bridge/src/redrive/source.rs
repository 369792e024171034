//! The place that dead letters are read from, as the command line names it. Opens nothing.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::config::BucketUrl;

/// A file, a queue or a bucket of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `file:PATH`, as a failure destination writes it.
    File(PathBuf),
    /// `sqs:URL`, the URL of a queue.
    Sqs(String),
    /// `s3://bucket/prefix`, or `s3:https://host/bucket/prefix`. A prefix may end anywhere in a key.
    S3(BucketUrl),
}

/// As the command line has it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Sqs(url) => write!(f, "sqs:{url}"),
            Self::S3(bucket) => write!(f, "s3:{bucket}"),
        }
    }
}

/// A text that names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no place of dead letters; write `file:PATH`, `sqs:https://…` or `s3://bucket/prefix/`")]
pub struct NoSource;

impl FromStr for Source {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("sqs", url)) if is_queue(url) => Ok(Self::Sqs(url.to_owned())),
            Some(("s3", rest)) => {
                let url = if rest.starts_with("//") { text } else { rest };
                url.parse().map(Self::S3).map_err(|_| NoSource)
            }
            _ => Err(NoSource),
        }
    }
}

fn is_queue(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.and_then(|rest| rest.split_once('/')).is_some_and(|(host, path)| !host.is_empty() && !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_queues_and_buckets_are_told_apart() {
        assert_eq!("file:a/b.jsonl".parse(), Ok(Source::File("a/b.jsonl".into())));
        assert_eq!("file:c:d".parse(), Ok(Source::File("c:d".into())));
        assert_eq!("sqs:https://localhost/1/q".parse(), Ok(Source::Sqs("https://localhost/1/q".into())));
        for (text, url) in [
            ("s3://dead-letters/a/2026", "s3://dead-letters/a/2026"),
            ("s3:http://localhost:4566/dead-letters/a/", "http://localhost:4566/dead-letters/a/"),
        ] {
            assert_eq!(text.parse(), Ok(Source::S3(url.parse().unwrap())));
        }
        for text in ["s3:", "s3:dead-letters", "s3://", "s3://a b/", "s3:s3//abc/", "https://localhost/abc/"] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
        for text in ["", "file:", "letters.jsonl", "sqs:dead-letters", "sqs:https://localhost", "topic:a"] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }
}
