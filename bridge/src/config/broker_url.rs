//! The address of the broker. Refuses everything that is not verified TLS, and never repeats a URL in an error, since it
//! may hold a password.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use rustls::pki_types::DnsName;

use super::InvalidValue;

/// The port that IANA assigned to MQTT over TLS.
const DEFAULT_PORT: u16 = 8883;

/// `mqtts://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// A TCP port, 8883 unless written; never 0.
    pub port: u16,
}

impl FromStr for BrokerUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let authority = strip_scheme(text)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains('@') {
            return Err(InvalidValue::new(
                "must not hold a user name or password, which others could read; use `mqtt.username` and `mqtt.password_file`",
            ));
        }
        if authority.contains(['/', '?', '#']) {
            return Err(InvalidValue::new("must end after the port; write `mqtts://host:8883`"));
        }
        let (host, port) = split_port(authority)?;
        Ok(Self { host: check_host(host)?, port })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "mqtts://[{host}]:{port}") } else { write!(f, "mqtts://{host}:{port}") }
    }
}

fn strip_scheme(text: &str) -> Result<&str, InvalidValue> {
    let Some((scheme, authority)) = text.split_once("://") else {
        return Err(InvalidValue::new("not a URL; write `mqtts://host:8883`"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "mqtts" => Ok(authority),
        "mqtt" => Err(InvalidValue::new("`mqtt://` is not encrypted; write `mqtts://host:8883`")),
        "tcp" => Err(InvalidValue::new("`tcp://` is not encrypted; write `mqtts://host:8883`")),
        "ws" | "wss" => Err(InvalidValue::new("WebSockets are not spoken here; write `mqtts://host:8883`")),
        _ => Err(InvalidValue::new("unknown scheme; write `mqtts://host:8883`")),
    }
}

fn split_port(authority: &str) -> Result<(&str, u16), InvalidValue> {
    // An IPv6 address holds colons of its own and therefore stands in brackets.
    let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[after_host..].find(':').map(|at| at + after_host) else {
        return Ok((authority, DEFAULT_PORT));
    };
    match authority[colon + 1..].parse() {
        Ok(port) if port > 0 => Ok((&authority[..colon], port)),
        _ => Err(InvalidValue::new("the port must be a number from 1 to 65535")),
    }
}

/// The host without brackets, in a form that a certificate can be checked against.
fn check_host(host: &str) -> Result<String, InvalidValue> {
    let invalid = || InvalidValue::new("the host must be a DNS name, an IPv4 address or an IPv6 address in brackets");
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    match bare {
        Some(address) if is_v6(address) => self::host(address),
        None if !is_v6(host) => self::host(host),
        _ => Err(invalid()),
    }
    .map_err(|_| invalid())
}

/// A name that a certificate can be checked against, an IPv6 address without brackets.
pub(super) fn host(text: &str) -> Result<String, InvalidValue> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(address.to_string());
    }
    if text.parse::<Ipv4Addr>().is_ok() || DnsName::try_from(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(InvalidValue::new("must be a DNS name or an IP address, without scheme, port and brackets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<BrokerUrl>().unwrap_err().to_string()
    }

    #[test]
    fn host_and_port_are_read() {
        let urls = [
            ("mqtts://broker.example", "broker.example", 8883),
            ("mqtts://broker.example/", "broker.example", 8883),
            ("MQTTS://localhost:1", "localhost", 1),
            ("mqtts://127.0.0.1:18883/", "127.0.0.1", 18883),
            ("mqtts://[::1]", "::1", 8883),
            ("mqtts://[2001:db8::1]:443", "2001:db8::1", 443),
        ];
        for (text, host, port) in urls {
            let url: BrokerUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.host.as_str(), url.port), (host, port), "{text}");
            assert_eq!(url.to_string().parse(), Ok(url), "{text}");
        }
    }

    #[test]
    fn what_is_not_encrypted_is_refused_with_the_way_out() {
        assert_eq!(refusal("mqtt://broker"), "`mqtt://` is not encrypted; write `mqtts://host:8883`");
        assert_eq!(refusal("tcp://broker"), "`tcp://` is not encrypted; write `mqtts://host:8883`");
        for text in ["ssl://broker", "https://broker", "wss://broker", "broker:8883", "", "mqtts:broker"] {
            assert!(refusal(text).ends_with("write `mqtts://host:8883`"), "{text}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["mqtts://user:hunter2@broker", "mqtts://hunter2@broker:1", "mqtt://user:hunter2@broker"] {
            assert!(!refusal(text).contains("hunter2"), "{text}");
        }
        assert!(refusal("mqtts://user:hunter2@broker").starts_with("must not hold a user name or password"));
    }

    #[test]
    fn odd_hosts_ports_and_tails_are_refused() {
        for text in ["mqtts://b:0", "mqtts://b:65536", "mqtts://b:", "mqtts://b:x", "mqtts://::1", "mqtts://[::1]x:1"] {
            assert!(text.parse::<BrokerUrl>().is_err(), "{text}");
        }
        for text in
            ["mqtts://", "mqtts:///", "mqtts://:1", "mqtts://[b]", "mqtts://a b", "mqtts://b\r\n", "mqtts://*.b"]
        {
            assert!(refusal(text).starts_with("the host must be"), "{text}");
        }
        for text in ["mqtts://b/path", "mqtts://b?x=1", "mqtts://b#x"] {
            assert!(refusal(text).starts_with("must end after the port"), "{text}");
        }
    }
}
