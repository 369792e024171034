//! Reads host and region from the URL of an AWS service. Resolves nothing.

/// Scheme, host and port.
pub(super) fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

/// The region that a host of AWS names behind the service: `sqs.<region>.amazonaws.com`,
/// `vpce-….s3.<region>.vpce.amazonaws.com`, `s3.dualstack.<region>.amazonaws.com`, `sqs.<region>.api.aws` and, of old,
/// `<region>.queue.amazonaws.com`.
pub(super) fn region<'a>(url: &'a str, service: &str) -> Option<&'a str> {
    let host = origin(url).split_once("://")?.1.split(':').next()?;
    let (name, _) = [".amazonaws.com.cn", ".amazonaws.com", ".api.aws"].iter().find_map(|end| host.split_once(end))?;
    if let Some(region) = name.strip_suffix(".queue") {
        return Some(region);
    }
    let is_service = |label: &str| label.strip_suffix("-fips").unwrap_or(label) == service;
    name.split('.').skip_while(|label| !is_service(label)).skip(1).find(|label| *label != "dualstack")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_where_a_queue_is() {
        for (url, at, expected) in [
            ("https://sqs.eu-west-1.amazonaws.com/1/q", "https://sqs.eu-west-1.amazonaws.com", Some("eu-west-1")),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/1/q",
                "https://sqs.cn-north-1.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            ("https://eu-west-1.queue.amazonaws.com/1/q", "https://eu-west-1.queue.amazonaws.com", Some("eu-west-1")),
            (
                "https://vpce-0a.sqs.us-east-2.vpce.amazonaws.com/1/q",
                "https://vpce-0a.sqs.us-east-2.vpce.amazonaws.com",
                Some("us-east-2"),
            ),
            ("https://sqs.us-west-2.api.aws/1/q", "https://sqs.us-west-2.api.aws", Some("us-west-2")),
            ("http://localhost:4566/000000000000/q", "http://localhost:4566", None),
            ("http://[::1]:4566/000000000000/q", "http://[::1]:4566", None),
        ] {
            assert_eq!((origin(url), region(url, "sqs")), (at, expected), "{url}");
        }
    }

    #[test]
    fn the_endpoint_says_where_a_bucket_is() {
        for (endpoint, expected) in [
            ("https://s3.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("https://s3-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("https://s3.dualstack.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("https://bucket.vpce-0a.s3.us-east-2.vpce.amazonaws.com", Some("us-east-2")),
            ("https://s3.cn-north-1.amazonaws.com.cn:443", Some("cn-north-1")),
            ("https://s3.amazonaws.com", None),
            ("http://localhost:4566", None),
            ("https://minio.example", None),
        ] {
            assert_eq!(region(endpoint, "s3"), expected, "{endpoint}");
        }
    }
}
