//! The variables that the SDK takes on trust, checked before anything is started: a value that cannot be used would show only
//! at the first call, as a panic or as an error that nobody understands. Names the variable and never its value.

use std::ffi::OsString;

use super::AwsError;

/// Endpoints, for all services and for each that the bridge calls.
const ENDPOINTS: &[&str] = &[
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
];
/// What goes into headers.
const KEYS: &[&str] = &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
/// What goes into host names.
const REGIONS: &[&str] = &["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Whether the SDK can use what the environment says. An empty value counts as absent.
///
/// # Errors
/// The first variable that it cannot use, and why.
pub(super) fn check(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), AwsError> {
    let checks = [(ENDPOINTS, endpoint as fn(&str) -> Result<(), &'static str>), (KEYS, key), (REGIONS, region)];
    for (names, check) in checks {
        for name in names {
            let Some(value) = variable(name) else { continue };
            let checked = value
                .to_str()
                .ok_or("not UTF-8 text")
                .and_then(|value| if value.is_empty() { Ok(()) } else { check(value) });
            checked.map_err(|cause| AwsError::Variable { name: (*name).to_owned(), cause })?;
        }
    }
    Ok(())
}

fn endpoint(url: &str) -> Result<(), &'static str> {
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("holds a blank or a line end; remove it");
    }
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return Err("has no scheme; write http:// or https:// before the host");
    };
    let parsed = url.parse::<hyper::Uri>().ok();
    let host = parsed.as_ref().and_then(hyper::Uri::host).unwrap_or_default();
    if rest.is_empty() || host.is_empty() { Err("is no URL; write it as https://host:port") } else { Ok(()) }
}

fn key(value: &str) -> Result<(), &'static str> {
    match value.chars().find(|c| c.is_control() || !c.is_ascii()) {
        Some('\n' | '\r') => Err("holds a line end; remove it"),
        Some(_) => Err("holds a character that no key or token has"),
        None => Ok(()),
    }
}

/// A label of a host name (RFC 1123, 2.1).
fn region(value: &str) -> Result<(), &'static str> {
    let fits = value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if fits { Ok(()) } else { Err("is no name of a region; it has letters, digits and hyphens only, as in eu-west-1") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Result<(), String> {
        check(|asked| (asked == name).then(|| value.into())).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_sdk_cannot_use_is_named_and_not_repeated() {
        for name in ENDPOINTS {
            for url in [
                "localhost-marker:4566",
                "http://",
                "https://marker /",
                "http://marker\n",
                "ftp://marker",
                "http:///marker",
            ] {
                let error = of(name, url).unwrap_err();
                assert!(error.starts_with(&format!("{name}: ")) && !error.contains("marker"), "{url}: {error}");
            }
        }
        for name in KEYS {
            for key in ["marker\n", "mar\rker", "märker", "\u{7f}marker"] {
                let error = of(name, key).unwrap_err();
                assert!(error.starts_with(&format!("{name}: ")) && !error.contains("rker"), "{error}");
            }
        }
        for name in REGIONS {
            for region in ["eu west-1", "eu-west-1 ", "eu-west-1\n", "eu/west"] {
                assert!(of(name, region).unwrap_err().starts_with(&format!("{name}: ")), "{region}");
            }
        }
    }

    #[test]
    fn what_it_can_use_and_what_is_empty_passes() {
        for name in ENDPOINTS.iter().chain(KEYS).chain(REGIONS) {
            assert_eq!(of(name, ""), Ok(()), "{name}");
        }
        for url in
            ["http://127.0.0.1:4566", "https://vpce-1.lambda.eu-west-1.vpce.amazonaws.com", "http://[::1]:80/base"]
        {
            assert_eq!(of("AWS_ENDPOINT_URL", url), Ok(()), "{url}");
        }
        assert_eq!(of("AWS_SECRET_ACCESS_KEY", "wJalr/K7+MDENG="), Ok(()));
        assert_eq!(of("AWS_REGION", "us-gov-west-1"), Ok(()));
    }
}
