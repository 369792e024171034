//! The address of an HTTP proxy. Never repeats it in an error, because it may contain a password.

use std::fmt;
use std::str::FromStr;

use super::broker_url::{authority, check_host, split_port};
use super::values::InvalidValue;

/// `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// A TCP port; never 0.
    pub port: u16,
}

impl FromStr for Proxy {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.contains('@') {
            return Err(InvalidValue::new(
                "must not hold a user name or password, which others could read; use `mqtt.proxy_credentials_file`",
            ));
        }
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => {
                return Err(InvalidValue::new(
                    "only `http://` proxies are supported; the tunnel carries TLS to the broker in any case",
                ));
            }
            None => return Err(InvalidValue::new("not a URL; write `http://host:3128`")),
        };
        let place = rest.strip_suffix('/').unwrap_or(rest);
        if place.contains(['/', '?', '#']) {
            return Err(InvalidValue::new("must end after the port; write `http://host:3128`"));
        }
        let (host, port) = split_port(place)?;
        let port = port.ok_or_else(|| InvalidValue::new("names no port; write `http://host:3128`"))?;
        Ok(Self { host: check_host(host)?, port })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", authority(&self.host, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read() {
        for (text, host, port) in [
            ("http://proxy.example:3128", "proxy.example", 3128),
            ("HTTP://192.0.2.1:80/", "192.0.2.1", 80),
            ("http://[2001:db8::1]:3128", "2001:db8::1", 3128),
        ] {
            let proxy: Proxy = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((proxy.host.as_str(), proxy.port), (host, port), "{text}");
            assert_eq!(proxy.to_string().parse(), Ok(proxy), "{text}");
        }
    }

    #[test]
    fn what_is_no_http_proxy_is_refused_and_no_password_repeated() {
        for (text, words) in [
            ("https://proxy:3128", "only `http://` proxies"),
            ("socks5://proxy:1080", "only `http://` proxies"),
            ("http://user:hunter2@proxy:3128", "`mqtt.proxy_credentials_file`"),
            ("proxy:3128", "not a URL"),
            ("http://proxy", "names no port"),
            ("http://proxy:0", "the port must be"),
            ("http://proxy:3128/path", "must end after the port"),
            ("http://:3128", "the host must be"),
        ] {
            let said = text.parse::<Proxy>().unwrap_err().to_string();
            assert!(said.contains(words) && !said.contains("hunter2"), "{text}: {said}");
        }
    }
}
