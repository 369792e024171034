//! Signature Version 4 of AWS, for requests without a query
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>). The parts that
//! requests share are prepared once: by address, by credentials and day, and by second. Sends nothing and shows no key.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use hyper::header::{HeaderValue, InvalidHeaderValue};
use zeroize::Zeroizing;

use super::credentials::Identity;
use crate::crypto::{MacKey, sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The signed parts that are the same for all requests to one address.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The canonical request up to the last of these headers.
    head: String,
    /// Their names, a semicolon between two.
    names: String,
}

/// Signs requests to one service in one region.
pub(crate) struct Signer {
    region: String,
    service: &'static str,
    last: Mutex<Option<Arc<Moment>>>,
}

/// The signed parts that are the same for all requests of one second with the same credentials.
pub(crate) struct Moment {
    second: u64,
    stamp: String,
    date: HeaderValue,
    /// The string to sign, up to the digest of the request.
    to_sign: String,
    derived: Arc<Derived>,
}

/// The parts that are the same for a day.
struct Derived {
    /// Whose it is.
    generation: u64,
    /// `20261128/eu-west-1/lambda/aws4_request`.
    scope: String,
    key: MacKey,
    /// The header Authorization, up to the names of the headers that are signed.
    credential: String,
    token: Option<HeaderValue>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Prepared {
    /// `path` as [`canonical`] makes it. Of the headers the names are in lower case and in their order, before all that
    /// change; the values have no blanks at either end.
    pub(crate) fn new(method: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        // The second line end is that of the query, which is empty.
        let mut head = [method, "\n", path, "\n\n"].concat();
        push_headers(&mut head, headers);
        let mut names = String::new();
        push_names(&mut names, headers, true);
        Self { head, names }
    }
}

impl Signer {
    pub(crate) fn new(region: &str, service: &'static str) -> Self {
        Self { region: region.to_owned(), service, last: Mutex::new(None) }
    }

    /// `None` if the session token is not valid in a header.
    pub(crate) fn moment(&self, identity: &Identity, at: SystemTime) -> Option<Arc<Moment>> {
        let second = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let derived = last.as_ref().map(|last| &last.derived).filter(|last| last.generation == identity.generation);
        match (&*last, derived) {
            (Some(last), Some(_)) if last.second == second => return Some(Arc::clone(last)),
            _ => {}
        }
        let stamp = stamp(at);
        let day = stamp.get(..8).unwrap_or(&stamp);
        let derived = match derived {
            Some(derived) if derived.scope.starts_with(day) => Arc::clone(derived),
            _ => Arc::new(self.derive(identity, day)?),
        };
        let to_sign = [ALGORITHM, "\n", &stamp, "\n", &derived.scope, "\n"].concat();
        let moment = Arc::new(Moment { second, date: HeaderValue::try_from(&stamp).ok()?, stamp, to_sign, derived });
        *last = Some(Arc::clone(&moment));
        Some(moment)
    }

    fn derive(&self, identity: &Identity, day: &str) -> Option<Derived> {
        let credentials = &identity.credentials;
        let secret = Zeroizing::new(["AWS4", credentials.secret_access_key()].concat());
        let mut key = MacKey::new(secret.as_bytes());
        for part in [day, &self.region, self.service, "aws4_request"] {
            key = MacKey::new(key.of(part.as_bytes()).as_ref());
        }
        let scope = [day, "/", &self.region, "/", self.service, "/aws4_request"].concat();
        let credential =
            [ALGORITHM, " Credential=", credentials.access_key_id(), "/", &scope, ", SignedHeaders="].concat();
        let token = credentials.session_token().map(secret_value).transpose().ok()?;
        Some(Derived { generation: identity.generation, scope, key, credential, token })
    }
}

impl Moment {
    /// The value of `x-amz-date`.
    pub(crate) fn date(&self) -> (&str, &HeaderValue) {
        (&self.stamp, &self.date)
    }

    /// The value of `x-amz-security-token`, where there is one.
    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.derived.token.as_ref()
    }

    /// The header Authorization, for a request with these headers behind those that are prepared; `x-amz-date` is among
    /// them.
    pub(crate) fn authorization(&self, prepared: &Prepared, headers: &[(&str, &str)], body: &[u8]) -> String {
        let values: usize = headers.iter().map(|(name, value)| 2 * name.len() + value.len() + 3).sum();
        // One allocation: the text to sign, the signature and the header are built one after the other in the same
        // buffer.
        let mut text = String::with_capacity(prepared.head.len() + prepared.names.len() + values + 2 * 64 + 256);
        text.push_str(&prepared.head);
        push_headers(&mut text, headers);
        text.push('\n');
        text.push_str(&prepared.names);
        push_names(&mut text, headers, prepared.names.is_empty());
        text.push('\n');
        push_hex(&mut text, sha256(body).as_ref());
        let digest = sha256(text.as_bytes());
        text.clear();
        text.push_str(&self.to_sign);
        push_hex(&mut text, digest.as_ref());
        let signature = self.derived.key.of(text.as_bytes());
        text.clear();
        text.push_str(&self.derived.credential);
        text.push_str(&prepared.names);
        push_names(&mut text, headers, prepared.names.is_empty());
        text.push_str(", Signature=");
        push_hex(&mut text, signature.as_ref());
        text
    }
}

/// A value that no text shows.
pub(crate) fn secret_value(
    value: impl TryInto<HeaderValue, Error = InvalidHeaderValue>,
) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = value.try_into()?;
    value.set_sensitive(true);
    Ok(value)
}

/// A time as `20261128T103734Z`.
fn stamp(at: SystemTime) -> String {
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
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
}

/// A digest of 32 bytes. Digit by digit it took a fiftieth of all that an invocation costs.
fn push_hex(out: &mut String, digest: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
    }
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

fn push_headers(out: &mut String, headers: &[(&str, &str)]) {
    debug_assert!(headers.is_sorted_by_key(|(name, _)| *name), "the order is a part of what is signed");
    for (name, value) in headers {
        [name, ":", value, "\n"].into_iter().for_each(|part| out.push_str(part));
    }
}

/// Each behind a semicolon, but for the very first of all.
fn push_names(out: &mut String, headers: &[(&str, &str)], is_first: bool) {
    for (index, (name, _)) in headers.iter().enumerate() {
        if index > 0 || !is_first {
            out.push(';');
        }
        out.push_str(name);
    }
}

#[cfg(test)]
mod suite;
#[cfg(test)]
mod tests;
