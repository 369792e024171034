//! Checks, before anything starts, the variables that the SDK does not check. An invalid value would otherwise show
//! only at the first call, as a panic or an unclear error. Names the variable and never its value.

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
/// Variables whose values are sent in headers.
const KEYS: &[&str] = &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
/// Variables whose values become part of host names.
const REGIONS: &[&str] = &["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Proxies, in the spelling that counts before the other, as curl has them.
const PROXIES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["HTTP_PROXY", "http_proxy"]];
/// What counts where one of those is absent or empty.
const ANY_PROXY: [&str; 2] = ["ALL_PROXY", "all_proxy"];

/// Says why a value cannot be used.
type Check = fn(&str) -> Result<(), &'static str>;

/// Whether the SDK, and the client that it calls through, can use what the environment says. An empty value counts as
/// absent.
///
/// # Errors
/// The first variable that it cannot use, and why.
pub(super) fn check(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), AwsError> {
    let proxies = proxies(&variable);
    let checks: [(&[&str], Check); 4] = [(ENDPOINTS, endpoint), (KEYS, key), (REGIONS, region), (&proxies, proxy)];
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

/// Those that would be used. Others may hold what other programs can use.
fn proxies(variable: impl Fn(&str) -> Option<OsString>) -> Vec<&'static str> {
    let first = |names: [&'static str; 2]| names.into_iter().find(|name| variable(name).is_some());
    let own: Vec<_> = PROXIES.into_iter().filter_map(first).collect();
    let filled = own.iter().filter(|name| variable(name).is_some_and(|value| !value.is_empty())).count();
    if filled == PROXIES.len() { own } else { own.into_iter().chain(first(ANY_PROXY)).collect() }
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

/// Without a scheme it is `http://`, as for curl; but then there is a port, so that a word is not taken for a host.
fn proxy(url: &str) -> Result<(), &'static str> {
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("holds a blank or a line end; remove it");
    }
    let (scheme, rest) = url.split_once("://").map_or((None, url), |(scheme, rest)| (Some(scheme), rest));
    if scheme.is_some_and(|scheme| !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))) {
        return Err("is of a kind that the bridge cannot use; it takes http:// and https:// proxies");
    }
    let parsed = url.parse::<hyper::Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let port = parsed.as_ref().and_then(hyper::Uri::port_u16);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let has_port = host.rsplit(']').next().is_some_and(|behind| behind.contains(':'));
    match (parsed, scheme) {
        (Some(_), Some(_)) if port.is_some() == has_port => Ok(()),
        (Some(_), None) if port.is_some() => Ok(()),
        _ => {
            Err("is no URL; write it as http://host:port or http://user:password@host:port, with %40 for an @ in the \
                  password, and so on")
        }
    }
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
    fn a_proxy_that_cannot_be_used_is_named_and_its_password_is_not_repeated() {
        for name in PROXIES.into_iter().flatten().chain(ANY_PROXY) {
            for url in [
                "marker",
                "socks5://user:marker@proxy:1080",
                "ftp://marker:21",
                "http://mar ker:3128",
                "http://proxy:3128/marker\n",
                "http://user:marker/1@proxy:3128",
                "http://user:marker@",
                "http://",
                "http://marker:port",
                "http://marker:99999",
                "//marker:3128",
            ] {
                let error = of(name, url).unwrap_err();
                assert!(error.starts_with(&format!("{name}: ")) && !error.contains("ker"), "{url}: {error}");
            }
            for url in [
                "",
                "http://proxy",
                "http://proxy:3128/",
                "HTTP://user:p%40ss@proxy:3128",
                "https://[::1]:3128",
                "http://[::1]",
                "proxy:3128",
                "user:password@proxy:3128",
            ] {
                assert_eq!(of(name, url), Ok(()), "{name}={url}");
            }
        }
    }

    #[test]
    fn a_proxy_that_nobody_would_use_does_not_matter() {
        let of = |variables: &[(&str, &str)]| {
            let value = |asked: &str| variables.iter().find(|(name, _)| *name == asked).map(|(_, value)| value.into());
            check(value).map_err(|error| error.to_string())
        };
        let (good, bad) = ("http://proxy:3128", "socks5://proxy:1080");
        assert_eq!(of(&[("HTTPS_PROXY", good), ("https_proxy", bad)]), Ok(()));
        assert_eq!(of(&[("HTTPS_PROXY", good), ("http_proxy", good), ("ALL_PROXY", bad)]), Ok(()));
        let used = [("HTTPS_PROXY", good), ("HTTP_PROXY", ""), ("ALL_PROXY", bad)];
        assert!(of(&used).unwrap_err().starts_with("ALL_PROXY: is of a kind"));
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
