//! The secrets that must not appear in text from outside, in every encoding that such text may use. They are wiped when
//! they are dropped.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

/// How many secrets are remembered: a token for each of many sessions, or one that is renewed each hour for ten days.
const REMEMBERED: usize = 256;

/// One for the whole process, because no text may contain a secret, whatever its source.
static HIDDEN: Mutex<Hidden> = Mutex::new(Hidden(VecDeque::new()));

/// The secrets, the last used at the back.
struct Hidden(VecDeque<One>);

struct One {
    secret: Zeroizing<Vec<u8>>,
    spellings: Vec<Zeroizing<String>>,
}

/// From now on no text with this secret passes the gate. It stays so when the secret is not used any more: a broker may
/// repeat an old one.
pub fn hide(secret: &[u8]) {
    HIDDEN.lock().unwrap_or_else(PoisonError::into_inner).add(secret);
}

/// Whether a secret begins in the first `shown` bytes of the text; what is behind them is not looked at.
pub(super) fn is_in(text: &str, shown: usize) -> bool {
    HIDDEN.lock().unwrap_or_else(PoisonError::into_inner).is_in(text, shown)
}

impl Hidden {
    fn add(&mut self, secret: &[u8]) {
        if secret.is_empty() {
            return;
        }
        let known = self.0.iter().position(|one| one.secret[..] == *secret).and_then(|at| self.0.remove(at));
        let new = || One { secret: secret.to_vec().into(), spellings: spellings(secret) };
        self.0.push_back(known.unwrap_or_else(new));
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    fn is_in(&self, text: &str, shown: usize) -> bool {
        self.0.iter().flat_map(|one| &one.spellings).any(|spelling| {
            let end = text.ceil_char_boundary(shown.saturating_add(spelling.len()));
            text[..end].contains(spelling.as_str())
        })
    }
}

/// As it is, as bytes taken for Latin-1 or for broken UTF-8, escaped as Rust, Python, JSON and C do, and in base64.
fn spellings(secret: &[u8]) -> Vec<Zeroizing<String>> {
    let text = String::from_utf8_lossy(secret);
    let mut all = vec![
        text.clone().into_owned(),
        secret.iter().map(|byte| char::from(*byte)).collect(),
        secret.escape_ascii().to_string(),
        text.escape_debug().to_string(),
        text.escape_default().to_string(),
        text.chars().map(|letter| in_json(letter, None)).collect(),
        text.chars().map(|letter| in_json(letter, Some(|unit| format!("\\u{unit:04x}")))).collect(),
        text.chars().map(|letter| in_json(letter, Some(|unit| format!("\\u{unit:04X}")))).collect(),
        BASE64_STANDARD.encode(secret),
    ];
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(Zeroizing::new).collect()
}

/// A character in a string of JSON, whose writer may escape all that is not ASCII.
fn in_json(letter: char, escape: Option<fn(u16) -> String>) -> String {
    match (letter, escape) {
        ('\n', _) => "\\n".to_owned(),
        ('\r', _) => "\\r".to_owned(),
        ('\t', _) => "\\t".to_owned(),
        ('"' | '\\', _) => format!("\\{letter}"),
        (_, Some(escape)) if !letter.is_ascii() => {
            letter.encode_utf16(&mut [0; 2]).iter().copied().map(escape).collect()
        }
        _ => letter.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_remembered_and_the_one_in_use_is() {
        let mut hidden = Hidden(VecDeque::new());
        let numbered = |number: usize| format!("numbered-{number:04}");
        for number in 0..3 * REMEMBERED {
            hidden.add(numbered(number).as_bytes());
            hidden.add(b"in use all the time");
        }
        assert_eq!(hidden.0.len(), REMEMBERED);
        assert!(hidden.is_in("in use all the time", 100));
        assert!(hidden.is_in(&numbered(3 * REMEMBERED - 1), 100) && !hidden.is_in(&numbered(0), 100));
    }

    #[test]
    fn an_empty_secret_hides_nothing() {
        let mut hidden = Hidden(VecDeque::new());
        hidden.add(b"");
        assert!(!hidden.is_in("", 100) && !hidden.is_in("anything", 100));
    }

    #[test]
    fn what_is_not_shown_is_not_looked_at() {
        let mut hidden = Hidden(VecDeque::new());
        hidden.add(b"secret");
        assert!(hidden.is_in("xxsecret", 3) && !hidden.is_in("xxxxxxsecret", 3));
    }
}
