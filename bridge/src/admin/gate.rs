//! Decides which requests the admin endpoint accepts. Anyone who reaches the address may read, but a web page may not,
//! neither under a host name that points here (DNS rebinding) nor from another origin. Orders need a token if one is
//! configured.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use hyper::header::{AUTHORIZATION, HOST, ORIGIN};
use hyper::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::foreign::Foreign;
use crate::secret;

/// Says where a request comes from; set by browsers alone.
const FETCH_SITE: &str = "sec-fetch-site";

/// Why a request is refused.
pub(super) type Refusal = (StatusCode, String);

/// Its settings.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// Names under which the endpoint may be asked, beside addresses and `localhost`.
    pub allowed_hosts: Vec<String>,
    /// The file that holds the token for orders, read again for each.
    pub token_file: Option<PathBuf>,
}

impl Gate {
    /// Whether the `Host` header is a name of this endpoint. A page in a browser on this machine may be from a site
    /// whose name has been pointed to this address, and the browser then takes our answers for that site's.
    ///
    /// # Errors
    /// When it was not.
    pub(super) fn look(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        // Browsers always send this header.
        let Some(host) = headers.get(HOST) else { return Ok(()) };
        let host = host.to_str().unwrap_or_default();
        let name = without_port(host);
        if is_address(name) || name.eq_ignore_ascii_case("localhost") {
            return Ok(());
        }
        if self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        let name = Foreign::of(name);
        let reason =
            format!("host `{name}`: not one of ours; ask by address, or add the name to `admin.allowed_hosts`\n");
        Err((StatusCode::MISDIRECTED_REQUEST, reason))
    }

    /// Whether an order may be given.
    ///
    /// # Errors
    /// When it comes from a browser, or without the token.
    pub(super) async fn order(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        // Browsers name the origin of every POST, and newer ones its site.
        if headers.contains_key(ORIGIN) || headers.contains_key(FETCH_SITE) {
            let reason = "orders: not from a browser; use `mqtt-lambda-bridge pause`, or curl -X POST\n";
            return Err((StatusCode::FORBIDDEN, reason.into()));
        }
        let Some(file) = self.token_file.clone() else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).map(|value| Sha256::digest(value.as_bytes()));
        // On another thread: a file system that hangs must not hang the bridge.
        let token = spawn_blocking(move || secret::read_token(&file)).await.map_err(|error| error.to_string());
        let token = token.and_then(|token| token).map_err(|cause| {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("admin.token_file: {cause}; orders are refused until it is fixed\n"),
            )
        })?;
        let mut expected = Sha256::new();
        expected.update(b"Bearer ");
        expected.update(token.bytes());
        // Digests are compared, so that the time of the comparison reveals nothing about the token.
        if given.is_some_and(|given| given == expected.finalize()) {
            return Ok(());
        }
        let reason = "orders: they take the token of `admin.token_file`, as `Authorization: Bearer …`\n";
        Err((StatusCode::UNAUTHORIZED, reason.into()))
    }
}

/// A host without its port: `[::1]:9464` is `::1`.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn is_address(name: &str) -> bool {
    name.parse::<Ipv4Addr>().is_ok() || name.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use hyper::header::HeaderValue;

    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn addresses_and_configured_names_are_ours() {
        let gate = Gate { allowed_hosts: vec!["bridge.example".into(), "bridge".into()], token_file: None };
        let looks = |host: &str| gate.look(&headers(&[("host", host)])).is_ok();
        for host in [
            "127.0.0.1",
            "127.0.0.1:9464",
            "10.0.0.7:80",
            "[::1]",
            "[::1]:9464",
            "localhost",
            "LocalHost:9464",
            "bridge",
            "bridge:9464",
            "Bridge.Example:1",
        ] {
            assert!(looks(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[evil]:1",
            "bridge.evil.example",
            "xbridge",
            "0x7f.1",
        ] {
            assert!(!looks(host), "{host}");
        }
        assert!(gate.look(&headers(&[])).is_ok(), "HTTP/1.0 without a name is no browser");
        let (status, reason) = gate.look(&headers(&[("host", "evil.example:1")])).unwrap_err();
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
        assert!(reason.starts_with("host `evil.example`: not one of ours; "), "{reason}");
    }

    #[tokio::test]
    async fn no_browser_gives_orders() {
        for header in [("origin", "http://127.0.0.1:9464"), ("origin", "null"), ("sec-fetch-site", "same-origin")] {
            let refusal = Gate::default().order(&headers(&[header])).await.unwrap_err();
            assert_eq!(refusal.0, StatusCode::FORBIDDEN, "{header:?}");
        }
        assert_eq!(Gate::default().order(&headers(&[("host", "127.0.0.1")])).await, Ok(()));
    }

    #[tokio::test]
    async fn with_a_token_configured_orders_take_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let write = |text: &str, mode| {
            let _ = std::fs::remove_file(&path);
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(mode).open(&path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        };
        let gate = Gate { allowed_hosts: Vec::new(), token_file: Some(path.clone()) };
        let ask = async |value: Option<&str>| {
            let all: Vec<_> = value.map(|value| ("authorization", value)).into_iter().collect();
            gate.order(&headers(&all)).await.map_err(|(status, _)| status.as_u16())
        };
        write("s3cret-token\n", 0o600);
        assert_eq!(ask(Some("Bearer s3cret-token")).await, Ok(()));
        for wrong in
            [None, Some("Bearer s3cret-toke"), Some("Bearer s3cret-token\t"), Some("s3cret-token"), Some("Bearer ")]
        {
            assert_eq!(ask(wrong).await, Err(401), "{wrong:?}");
        }
        write("another\n", 0o600);
        assert_eq!(ask(Some("Bearer another")).await, Ok(()), "it is read again");
        write("another\n", 0o644);
        assert_eq!(ask(Some("Bearer another")).await, Err(503), "others can read it");
        write("\n", 0o600);
        assert_eq!(ask(Some("Bearer ")).await, Err(503), "an empty token opens nothing");
        let reason = gate.order(&HeaderMap::new()).await.unwrap_err().1;
        assert!(reason.starts_with("admin.token_file: ") && !reason.contains("another"), "{reason}");
    }
}
