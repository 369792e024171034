//! Signature Version 4 of AWS, for requests without a query
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>). Derives the key of a day
//! once for each credentials. Sends nothing and shows no key.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::credentials::Identity;
use crate::crypto::{MacKey, sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The parts of a request that its signature covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    /// As [`canonical`] makes it.
    pub(crate) path: &'a str,
    /// Names in lower case and in their order; values without blanks at either end.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// Signs requests to one service in one region.
pub(crate) struct Signer {
    region: String,
    service: &'static str,
    derived: Mutex<Option<Arc<Derived>>>,
}

/// The key of one day.
struct Derived {
    /// Whose it is.
    generation: u64,
    /// `20261128/eu-west-1/lambda/aws4_request`.
    scope: String,
    key: MacKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    pub(crate) fn new(region: &str, service: &'static str) -> Self {
        Self { region: region.to_owned(), service, derived: Mutex::new(None) }
    }

    /// The header Authorization. The headers of the request hold this `stamp` as `x-amz-date`.
    pub(crate) fn authorization(&self, identity: &Identity, stamp: &str, request: Signed<'_>) -> String {
        let derived = self.derived(identity, stamp.get(..8).unwrap_or(stamp));
        let names = names(request.headers);
        let digest = sha256(canonical_request(request, &names).as_bytes());
        let mut to_sign = [ALGORITHM, "\n", stamp, "\n", &derived.scope, "\n"].concat();
        push_hex(&mut to_sign, digest.as_ref());
        let key_id = identity.credentials.access_key_id();
        let mut authorization =
            [ALGORITHM, " Credential=", key_id, "/", &derived.scope, ", SignedHeaders=", &names, ", Signature="]
                .concat();
        push_hex(&mut authorization, derived.key.of(to_sign.as_bytes()).as_ref());
        authorization
    }

    fn derived(&self, identity: &Identity, day: &str) -> Arc<Derived> {
        let mut kept = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(derived) if derived.generation == identity.generation && derived.scope.starts_with(day) => {
                Arc::clone(derived)
            }
            _ => {
                let derived = Arc::new(self.derive(identity, day));
                *kept = Some(Arc::clone(&derived));
                derived
            }
        }
    }

    fn derive(&self, identity: &Identity, day: &str) -> Derived {
        let secret = Zeroizing::new(["AWS4", identity.credentials.secret_access_key()].concat());
        let mut key = MacKey::new(secret.as_bytes());
        for part in [day, &self.region, self.service, "aws4_request"] {
            key = MacKey::new(key.of(part.as_bytes()).as_ref());
        }
        let scope = [day, "/", &self.region, "/", self.service, "/aws4_request"].concat();
        Derived { generation: identity.generation, scope, key }
    }
}

/// A time as `20261128T103734Z`.
pub(crate) fn stamp(at: SystemTime) -> String {
    let mut text = humantime::format_rfc3339_seconds(at).to_string();
    text.retain(|c| c != '-' && c != ':');
    text
}

/// The path of a URL as it is signed: encoded once more, but for its slashes.
pub(crate) fn canonical(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 8);
    path.bytes().for_each(|byte| if byte == b'/' { out.push('/') } else { push_encoded(&mut out, byte) });
    out
}

/// A text as one segment of a path (RFC 3986, 2.3).
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    text.bytes().for_each(|byte| push_encoded(&mut out, byte));
    out
}

fn push_encoded(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        out.push(char::from(byte));
    } else {
        out.push('%');
        push_digits(out, byte, DIGITS);
    }
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| push_digits(out, *byte, b"0123456789abcdef"));
}

fn push_digits(out: &mut String, byte: u8, digits: &[u8; 16]) {
    out.push(char::from(digits[usize::from(byte >> 4)]));
    out.push(char::from(digits[usize::from(byte & 0xf)]));
}

fn names(headers: &[(&str, &str)]) -> String {
    debug_assert!(headers.is_sorted_by_key(|(name, _)| *name), "the order is a part of what is signed");
    let mut names = String::with_capacity(96);
    for (name, _) in headers {
        if !names.is_empty() {
            names.push(';');
        }
        names.push_str(name);
    }
    names
}

fn canonical_request(request: Signed<'_>, names: &str) -> String {
    let values: usize = request.headers.iter().map(|(_, value)| value.len() + 2).sum();
    let mut text = String::with_capacity(request.path.len() + 2 * names.len() + values + 80);
    // The second line end is that of the query, which is empty.
    [request.method, "\n", request.path, "\n\n"].into_iter().for_each(|part| text.push_str(part));
    for (name, value) in request.headers {
        [name, ":", value, "\n"].into_iter().for_each(|part| text.push_str(part));
    }
    ["\n", names, "\n"].into_iter().for_each(|part| text.push_str(part));
    push_hex(&mut text, sha256(request.body).as_ref());
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_credential_types::Credentials;

    use super::*;

    const STAMP: &str = "20150830T123600Z";
    const HOST: (&str, &str) = ("host", "example.amazonaws.com");
    const DATE: (&str, &str) = ("x-amz-date", STAMP);
    const TOKEN: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
    /// SHA-256 of `Param1=value1`.
    const HASH: &str = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";

    fn identity(generation: u64, secret: &str) -> Identity {
        Identity { credentials: Credentials::new("AKIDEXAMPLE", secret, None, None, "test"), generation }
    }

    fn example() -> Identity {
        identity(1, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    }

    fn signature(authorization: &str) -> &str {
        authorization.rsplit('=').next().unwrap()
    }

    fn signed<'a>(method: &'a str, path: &'a str, headers: &'a [(&'a str, &'a str)], body: &'a [u8]) -> Signed<'a> {
        Signed { method, path, headers, body }
    }

    /// Cases of the test suite that AWS publishes for Signature Version 4, those without a query, by their names there.
    #[test]
    fn the_signatures_of_awss_own_test_suite() {
        let signer = Signer::new("us-east-1", "service");
        let (plain, with_token) = ([HOST, DATE], [HOST, DATE, ("x-amz-security-token", TOKEN)]);
        let form = [
            ("content-length", "13"),
            ("content-type", "application/x-www-form-urlencoded"),
            HOST,
            ("x-amz-content-sha256", HASH),
            DATE,
        ];
        let utf8 = format!("/{}", encoded("ሴ"));
        let unreserved = canonical("/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
        let cases = [
            (
                "get-vanilla",
                signed("GET", "/", &plain, b""),
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "post-vanilla",
                signed("POST", "/", &plain, b""),
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "get-utf8",
                signed("GET", &utf8, &plain, b""),
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ),
            (
                "get-unreserved",
                signed("GET", &unreserved, &plain, b""),
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ),
            (
                "get-vanilla-with-session-token",
                signed("GET", "/", &with_token, b""),
                "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
            ),
            (
                "post-x-www-form-urlencoded",
                signed("POST", "/", &form, b"Param1=value1"),
                "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
            ),
        ];
        for (name, request, expected) in cases {
            assert_eq!(signature(&signer.authorization(&example(), STAMP, request)), expected, "{name}");
        }
    }

    #[test]
    fn the_whole_header() {
        let signer = Signer::new("us-east-1", "service");
        let header = signer.authorization(&example(), STAMP, signed("GET", "/", &[HOST, DATE], b""));
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                        SignedHeaders=host;x-amz-date, \
                        Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        assert_eq!(header, expected);
    }

    #[test]
    fn the_key_follows_the_day_and_the_credentials() {
        let kept = Signer::new("us-east-1", "service");
        let of = |signer: &Signer, identity: &Identity, stamp: &str| {
            let headers = [HOST, ("x-amz-date", stamp)];
            signer.authorization(identity, stamp, signed("GET", "/", &headers, b""))
        };
        let (one, other) = (example(), identity(2, "another"));
        let uses = [(&one, STAMP), (&one, "20150831T000000Z"), (&other, "20150831T000001Z"), (&one, STAMP)];
        for (identity, stamp) in uses {
            let fresh = Signer::new("us-east-1", "service");
            assert_eq!(of(&kept, identity, stamp), of(&fresh, identity, stamp), "{stamp}");
        }
    }

    #[test]
    fn a_time_is_stamped_in_utc() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_mins(24_015_636);
        assert_eq!(stamp(at), STAMP);
        assert_eq!(stamp(at + Duration::from_millis(999)), STAMP);
    }

    #[test]
    fn a_path_is_encoded_once_more_and_keeps_its_slashes() {
        assert_eq!(encoded("arn:aws:x/$LATEST"), "arn%3Aaws%3Ax%2F%24LATEST");
        assert_eq!(canonical("/2015-03-31/functions/a%3Ab/invocations"), "/2015-03-31/functions/a%253Ab/invocations");
    }

    #[test]
    fn no_key_is_shown() {
        let signer = Signer::new("us-east-1", "service");
        signer.authorization(&example(), STAMP, signed("GET", "/", &[HOST, DATE], b""));
        assert_eq!(format!("{signer:?}"), "Signer");
    }
}
