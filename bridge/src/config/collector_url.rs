//! The address of a trace collector, for OTLP over HTTP. Does not contact it, and never repeats a URL in an error,
//! because it may contain a password.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

use super::InvalidValue;

/// `http://host[:port]/path`, or `https://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorUrl(Uri);

impl CollectorUrl {
    /// As it is asked for.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CollectorUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        const EXAMPLE: &str = "write for example `http://127.0.0.1:4318/v1/traces`";
        let invalid = || InvalidValue::new(format!("not the URL of a collector; {EXAMPLE}"));
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let authority = uri.authority().ok_or_else(invalid)?;
        if authority.as_str().contains('@') {
            return Err(InvalidValue::new("must not hold a user name or password, which others could read"));
        }
        if !matches!(uri.scheme_str(), Some("http" | "https")) || authority.host().is_empty() || uri.query().is_some() {
            return Err(invalid());
        }
        // A collector answers 404 there, and the base URL that SDKs take looks like this.
        if uri.path() == "/" {
            return Err(InvalidValue::new(format!("names no path; {EXAMPLE}")));
        }
        Ok(Self(uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_a_path_is_taken_as_written() {
        for text in ["http://127.0.0.1:4318/v1/traces", "https://collector.example/v1/traces", "http://[::1]:4318/t"] {
            assert_eq!(text.parse::<CollectorUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn others_are_refused_without_repeating_them() {
        for text in [
            "",
            "127.0.0.1:4318",
            "/v1/traces",
            "grpc://127.0.0.1:4317/v1/traces",
            "http://127.0.0.1:4318",
            "http://127.0.0.1:4318/",
            "http:///v1/traces",
            "http://user:hunter2@collector/v1/traces",
            "http://collector/v1/traces?key=hunter2",
        ] {
            let refused = text.parse::<CollectorUrl>().unwrap_err().to_string();
            assert!(!refused.contains("hunter2") && !refused.is_empty(), "{text}: {refused}");
        }
    }
}
