//! Cleans text from outside: a broker's reason, a function's error, Lambda's message, a topic. The result is one line
//! of limited length without any secret that the bridge knows. Logs nothing.

mod hidden;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub use hidden::hide;

/// The longest text in a log line, in `/readyz` or in an error, in bytes.
pub const LIMIT: usize = 512;
/// The longest text in a dead letter, in bytes.
pub const LETTER_LIMIT: usize = 4096;
/// Room for the mark behind a text that is cut, within the limit.
const MARK: usize = 32;
/// Stands in place of a text that holds a secret. Where the secret stood in it would tell its neighbours.
const NOT_SHOWN: &str = "(not shown, as it holds a secret)";

/// Text that has passed the gate. There is no other way to make one, so an error that carries it cannot carry anything
/// else. Clones share it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Foreign(Arc<str>);

impl Foreign {
    /// For a log line, `/readyz` or an error: [`LIMIT`] bytes at most.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(passed(text, LIMIT))
    }

    /// For a dead letter, which somebody may have to understand months later, and for an error of ours with such texts
    /// in it, which are not to be cut twice: [`LETTER_LIMIT`] bytes at most.
    #[must_use]
    pub fn for_letter(text: &str) -> Self {
        Self(passed(text, LETTER_LIMIT))
    }

    /// Their words behind ours, as in `not authorized: no such user`; only theirs pass the gate. Ours alone when they
    /// say nothing.
    #[must_use]
    pub fn behind(ours: &str, theirs: &str) -> Self {
        if theirs.is_empty() { Self(ours.into()) } else { Self(format!("{ours}: {}", passed(theirs, LIMIT)).into()) }
    }

    /// No more of it than a log line holds.
    #[must_use]
    pub fn brief(&self) -> Self {
        if self.len() <= LIMIT { self.clone() } else { Self::of(self) }
    }
}

impl PartialEq<&str> for Foreign {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl Deref for Foreign {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl From<&str> for Foreign {
    fn from(text: &str) -> Self {
        Self::of(text)
    }
}

impl From<String> for Foreign {
    fn from(text: String) -> Self {
        Self::of(&text)
    }
}

/// The text on one line: what would break a line, move a cursor or turn the reading direction is escaped. Whatever has
/// been escaped stays as it is, so text can pass several times.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    text.chars().for_each(|letter| push(letter, &mut line));
    line
}

/// Secrets are looked for before anything is escaped, cut or counted: an escaped secret is not found any more.
fn passed(text: &str, limit: usize) -> Arc<str> {
    if hidden::is_in(text, limit) {
        return NOT_SHOWN.into();
    }
    let mut shown = String::with_capacity(text.len().min(limit));
    let mut cut_at = 0;
    for letter in text.chars() {
        push(letter, &mut shown);
        if shown.len() > limit {
            shown.truncate(cut_at);
            shown.extend(["… (", &text.len().to_string(), " bytes)"]);
            break;
        }
        if shown.len() <= limit - MARK {
            cut_at = shown.len();
        }
    }
    shown.into()
}

fn push(letter: char, line: &mut String) {
    if letter.is_control() || steers(letter) { line.extend(letter.escape_debug()) } else { line.push(letter) }
}

/// Invisible characters that say how others are shown: zero width, direction, line and paragraph separators, tags
/// (Unicode Technical Report 36, 3.7).
fn steers(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_without_anything_special_stays_as_it_is() {
        for text in ["", "not authorized: the issuer's \"list\" is too old", r"C:\keys", "größe 測定", "e\u{301}"] {
            assert_eq!(Foreign::of(text), text);
        }
    }

    #[test]
    fn what_could_forge_a_line_is_escaped() {
        let shown = Foreign::of("no\r\n{\"level\":\"INFO\"}\t\u{1b}[31m\u{9b}0m\u{202e}x\u{2028}\0");
        assert_eq!(shown, "no\\r\\n{\"level\":\"INFO\"}\\t\\u{1b}[31m\\u{9b}0m\\u{202e}x\\u{2028}\\0");
    }

    #[test]
    fn long_text_is_cut_and_says_how_long_it_was() {
        let (short, letter) = (Foreign::of(&"é".repeat(50_000)), Foreign::for_letter(&"é".repeat(50_000)));
        for (shown, limit) in [(&short, LIMIT), (&letter, LETTER_LIMIT)] {
            assert!(shown.ends_with("é… (100000 bytes)"), "{shown}");
            assert!((limit - 2 * MARK..=limit).contains(&shown.len()), "{}", shown.len());
        }
        assert_eq!(Foreign::of(&"x".repeat(LIMIT)).len(), LIMIT, "what fits is not cut");
        assert!(Foreign::of(&"\u{1b}".repeat(LIMIT)).len() <= LIMIT, "the limit is that of the escaped text");
        assert_eq!(letter.brief().len(), Foreign::of(&letter).len());
        assert_eq!(letter.clone().0.as_ptr(), letter.0.as_ptr(), "copies are shared");
    }

    #[test]
    fn a_secret_is_found_before_it_is_escaped_in_whatever_spelling() {
        hide("pä\"ß\nwort-1".as_bytes());
        hide(b"\xff\xfelatin-secret");
        for text in [
            "as pä\"ß\nwort-1 is wrong",
            r#"as pä\"ß\nwort-1 is wrong"#,
            r#"p\u00e4\"\u00df\nwort-1"#,
            r#"p\u00E4\"\u00DF\nwort-1"#,
            r#"p\u{e4}\"\u{df}\nwort-1"#,
            "p\\xc3\\xa4\\\"\\xc3\\x9f\\nwort-1",
            "cMOkIsOfCndvcnQtMQ==",
            "pÃ¤\"Ã\u{9f}\nwort-1",
            "ÿþlatin-secret",
            "\u{fffd}\u{fffd}latin-secret",
        ] {
            assert_eq!(Foreign::of(text), NOT_SHOWN, "{text}");
            assert_eq!(Foreign::behind("not authorized", text), &*format!("not authorized: {NOT_SHOWN}"));
        }
        let across = format!("{}pä\"ß\nwort-1", "x".repeat(LIMIT - 3));
        assert_eq!(Foreign::of(&across), NOT_SHOWN, "begun before the cut");
    }

    #[test]
    fn their_words_cannot_be_without_the_gate() {
        let reason = Foreign::behind("quota exceeded", &"\n".repeat(60_000));
        assert!(reason.starts_with("quota exceeded: \\n\\n") && reason.len() <= LIMIT + 20, "{reason}");
        assert_eq!(Foreign::behind("quota exceeded", ""), "quota exceeded");
    }

    proptest! {
        #[test]
        fn any_text_is_one_line_within_the_limit_and_passes_again_unchanged(text in any::<String>()) {
            let text = text.repeat(1 + text.len() % 7);
            let shown = Foreign::of(&text);
            prop_assert!(shown.len() <= LIMIT && !shown.contains(char::is_control));
            prop_assert_eq!(&Foreign::of(&shown), &shown);
            prop_assert_eq!(one_line(&shown), &*shown);
        }
    }
}
