//! The address of the broker. Accepts only verified TLS, and never repeats a URL in an error, because it may contain a
//! password.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use rustls::pki_types::DnsName;

use super::InvalidValue;

/// The ports that IANA assigned to MQTT over TLS, and to HTTPS.
const MQTTS_PORT: u16 = 8883;
const WSS_PORT: u16 = 443;

/// `mqtts://host[:port]`, or `wss://host[:port]/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// A TCP port, 8883 or 443 unless written; never 0.
    pub port: u16,
    /// What carries MQTT there.
    pub carrier: Carrier,
}

/// What carries the packets of MQTT. Below each is TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carrier {
    /// TLS itself: `mqtts://`.
    Tls,
    /// A WebSocket (MQTT 5, section 6): `wss://`.
    WebSocket {
        /// What is asked for; begins with a slash.
        path: String,
    },
}

impl BrokerUrl {
    /// MQTT over TLS at this name or address, an IPv6 address without brackets.
    #[must_use]
    pub fn mqtts(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, carrier: Carrier::Tls }
    }

    /// `broker.example:8883`, or `[2001:db8::1]:8883`.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

/// A host and a port, with brackets about an IPv6 address.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl FromStr for BrokerUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (scheme, rest) = split_scheme(text)?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        if rest.contains('@') {
            return Err(InvalidValue::new(
                "must not hold a user name or password, which others could read; use `mqtt.username` and `mqtt.password_file`",
            ));
        }
        let (default_port, carrier) = match scheme {
            Scheme::Mqtts if path == "/" && !rest.contains(['?', '#']) => (MQTTS_PORT, Carrier::Tls),
            Scheme::Mqtts => return Err(InvalidValue::new("must end after the port; write `mqtts://host:8883`")),
            Scheme::Wss => (WSS_PORT, Carrier::WebSocket { path: check_path(rest, path)? }),
        };
        let (host, port) = split_port(authority)?;
        Ok(Self { host: check_host(host)?, port: port.unwrap_or(default_port), carrier })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.carrier {
            Carrier::Tls => write!(f, "mqtts://{}", self.authority()),
            Carrier::WebSocket { path } => write!(f, "wss://{}{path}", self.authority()),
        }
    }
}

enum Scheme {
    Mqtts,
    Wss,
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), InvalidValue> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(InvalidValue::new("not a URL; write `mqtts://host:8883`"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "mqtts" => Ok((Scheme::Mqtts, rest)),
        "wss" => Ok((Scheme::Wss, rest)),
        "mqtt" => Err(InvalidValue::new("`mqtt://` is not encrypted; write `mqtts://host:8883`")),
        "tcp" => Err(InvalidValue::new("`tcp://` is not encrypted; write `mqtts://host:8883`")),
        "ws" => Err(InvalidValue::new("`ws://` is not encrypted; write `wss://host/mqtt`")),
        _ => Err(InvalidValue::new("unknown scheme; write `mqtts://host:8883` or `wss://host/mqtt`")),
    }
}

/// RFC 3986, section 3.3, without the comma, which separates URLs. A query is refused, because it is usually a token.
fn check_path(rest: &str, path: &str) -> Result<String, InvalidValue> {
    if rest.contains(['?', '#']) {
        return Err(InvalidValue::new(
            "must end after the path: a query may hold a secret, which others could read; write `wss://host/mqtt`",
        ));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+;=:%".contains(&byte);
    if !path.bytes().all(is_plain) {
        return Err(InvalidValue::new("the path holds what a URL cannot; write it percent-encoded"));
    }
    Ok(path.to_owned())
}

pub(super) fn split_port(authority: &str) -> Result<(&str, Option<u16>), InvalidValue> {
    // An IPv6 address contains colons, so it is written in brackets.
    let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[after_host..].find(':').map(|at| at + after_host) else {
        return Ok((authority, None));
    };
    match authority[colon + 1..].parse() {
        Ok(port) if port > 0 => Ok((&authority[..colon], Some(port))),
        _ => Err(InvalidValue::new("the port must be a number from 1 to 65535")),
    }
}

/// The host without brackets, in a form that a certificate can be checked against.
pub(super) fn check_host(host: &str) -> Result<String, InvalidValue> {
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
            ("wss://[2001:db8::1]/mqtt", "2001:db8::1", 443),
            ("wss://broker.example", "broker.example", 443),
        ];
        for (text, host, port) in urls {
            let url: BrokerUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.host.as_str(), url.port), (host, port), "{text}");
            assert_eq!(url.to_string().parse(), Ok(url), "{text}");
        }
    }

    #[test]
    fn a_websocket_has_a_path() {
        for (text, path) in
            [("wss://b", "/"), ("wss://b/", "/"), ("WSS://b:8084/mqtt", "/mqtt"), ("wss://b/a/b%20c", "/a/b%20c")]
        {
            let url = text.parse::<BrokerUrl>().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.carrier, Carrier::WebSocket { path: path.to_owned() }, "{text}");
        }
        for text in ["wss://b/mqtt?token=hunter2", "wss://b?x=1", "wss://b/#x"] {
            let said = refusal(text);
            assert!(said.starts_with("must end after the path") && !said.contains("hunter2"), "{text}: {said}");
        }
        for text in ["wss://b/a b", "wss://b/\r\nHost: c", "wss://b/ä"] {
            assert!(refusal(text).starts_with("the path holds what"), "{text}");
        }
        for text in ["wss://b:0/mqtt", "wss://:1/mqtt", "wss:///mqtt", "wss://a b/mqtt"] {
            assert!(text.parse::<BrokerUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_encrypted_is_refused_with_the_way_out() {
        assert_eq!(refusal("mqtt://broker"), "`mqtt://` is not encrypted; write `mqtts://host:8883`");
        assert_eq!(refusal("tcp://broker"), "`tcp://` is not encrypted; write `mqtts://host:8883`");
        assert_eq!(refusal("ws://broker/mqtt"), "`ws://` is not encrypted; write `wss://host/mqtt`");
        for text in ["ssl://broker", "https://broker", "broker:8883", "", "mqtts:broker"] {
            assert!(refusal(text).contains("write `mqtts://host:8883`"), "{text}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["mqtts://user:hunter2@broker", "wss://hunter2@broker:1/mqtt", "mqtt://user:hunter2@broker"] {
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
