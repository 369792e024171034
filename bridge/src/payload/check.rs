//! Checks whether a text is JSON that every usual parser accepts, also in the middle of an event. Reads it once and
//! keeps nothing.

/// The most lists and objects within one another. An event adds three around a payload; .NET reads 64.
pub const MAX_DEPTH: u8 = 60;
/// The most digits of a number. Jackson reads 1,000, Python 4,300 of an integer.
pub const MAX_DIGITS: usize = 1000;
/// The longest name of an object's field, in bytes. Jackson reads 50,000 characters.
pub const MAX_NAME: usize = 50_000;

/// Whether the text is JSON (RFC 8259) within the limits above, each number of it finite as a double and each `\u`
/// escape a character or half of a pair: `1e999` and a lone surrogate are JSON by the letter, and refused by many.
pub(super) fn is_readable(text: &str) -> bool {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    reader.value(MAX_DEPTH).is_some() && reader.at == reader.bytes.len()
}

/// `None` means that it is not readable, throughout.
struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// A value and the white space around it.
    fn value(&mut self, levels: u8) -> Option<()> {
        self.space();
        match self.next()? {
            b'"' => self.string()?,
            b'{' => self.object(levels.checked_sub(1)?)?,
            b'[' => self.list(levels.checked_sub(1)?)?,
            b't' => self.word(b"rue")?,
            b'f' => self.word(b"alse")?,
            b'n' => self.word(b"ull")?,
            b'-' | b'0'..=b'9' => {
                self.at -= 1;
                self.number()?;
            }
            _ => return None,
        }
        self.space();
        Some(())
    }

    fn list(&mut self, levels: u8) -> Option<()> {
        self.space();
        if self.take(b']') {
            return Some(());
        }
        loop {
            self.value(levels)?;
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn object(&mut self, levels: u8) -> Option<()> {
        self.space();
        if self.take(b'}') {
            return Some(());
        }
        loop {
            self.space();
            let begin = self.at;
            (self.next()? == b'"').then_some(())?;
            self.string()?;
            (self.at - begin <= MAX_NAME).then_some(())?;
            self.space();
            (self.next()? == b':').then_some(())?;
            self.value(levels)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Checks the text after the opening quote.
    fn string(&mut self) -> Option<()> {
        loop {
            let special = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
            self.at += self.bytes[self.at..].iter().position(special)?;
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.unit()? {
                0xd800..=0xdbff => {
                    self.word(b"\\u")?;
                    matches!(self.unit()?, 0xdc00..=0xdfff).then_some(())
                }
                0xdc00..=0xdfff => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit * 16 + char::from(self.next()?).to_digit(16)?))
    }

    fn number(&mut self) -> Option<()> {
        let begin = self.at;
        self.take(b'-');
        let leads_with_zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if leads_with_zero && whole > 1 {
            return None;
        }
        let fraction = if self.take(b'.') { self.digits()? } else { 0 };
        let mut exponent = 0;
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            exponent = self.digits()?;
        }
        let is_short = whole + fraction + exponent <= MAX_DIGITS;
        (is_short && (whole <= 200 && exponent <= 2 || is_finite(&self.text[begin..self.at]))).then_some(())
    }

    /// How many there are; at least one.
    fn digits(&mut self) -> Option<usize> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > begin).then_some(self.at - begin)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        word.iter().try_for_each(|byte| (self.next()? == *byte).then_some(()))
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// Whether a double can hold it. At the edge parsers differ by a rounding, so the one that most functions in Rust have
/// must agree.
fn is_finite(number: &str) -> bool {
    number.parse().is_ok_and(f64::is_finite) && serde_json::from_str::<f64>(number).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn the_limits_are_where_they_are_said_to_be() {
        let digits = |count: usize| format!("0.{}", "1".repeat(count - 1));
        let name = |bytes: usize| format!("{{\"{}\":1}}", "x".repeat(bytes - 2));
        for (inside, beyond) in [
            (nested(60), nested(61)),
            (format!("{{\"a\":{}}}", nested(59)), format!("{{\"a\":{}}}", nested(60))),
            (digits(MAX_DIGITS), digits(MAX_DIGITS + 1)),
            (format!("[{}]", "9".repeat(308)), format!("[{}]", "9".repeat(309))),
            ("1.7976931348623157e308".into(), "1.7976931348623159e308".into()),
            ("-1e308".into(), "-1e309".into()),
            ("0e999".into(), "1e999".into()),
            (r#""\ud83d\ude00""#.into(), r#""\ud83d""#.into()),
            (r#""\udbff\udfff""#.into(), r#""\udbff\ue000""#.into()),
            (r#"{"\uD7FF":"\uE000"}"#.into(), r#"{"\udc00":1}"#.into()),
            ("{}".into(), "\u{feff}{}".into()),
            (name(MAX_NAME), name(MAX_NAME + 1)),
        ] {
            assert!(is_readable(&inside), "{}", &inside[..inside.len().min(40)]);
            assert!(!is_readable(&beyond), "{}", &beyond[..beyond.len().min(40)]);
        }
    }

    #[test]
    fn what_is_no_json_is_not_readable() {
        for text in [
            "",
            " ",
            "nul",
            "nulll",
            "True",
            "NaN",
            "Infinity",
            "-",
            "+1",
            ".5",
            "1.",
            "1e",
            "1e+",
            "01",
            "-01",
            "0x1",
            "1 2",
            "[",
            "]",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "{}}",
            "{a:1}",
            "{'a':1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800x\"",
            "\"\n\"",
            "\"\0\"",
            "//\n1",
            "\u{a0}1",
            "1\0",
        ] {
            assert!(!is_readable(text), "{text:?}");
            assert!(text.contains("ud800") || serde_json::from_str::<Value>(text).is_err(), "{text:?}");
        }
    }

    /// Pieces that make JSON, or nearly.
    fn nearly_json() -> impl Strategy<Value = String> {
        let piece = "[\\[\\]{}:,\" ]|\"a\":|\"\\\\u[dD][89abC-F][0-9a-f]{2}\"|\\\\u[0-9a-fA-F]{4}|-?[0-9]{1,3}(\\.[0-9]{1,3})?\
                     ([eE][+-]?[0-9]{1,3})?|true|false|null|\\PC|\\\\.";
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    fn has_lone_surrogate(text: &str) -> bool {
        text.to_lowercase().contains("\\ud")
    }

    proptest! {
        /// A tree of `serde_json` is the strictest of the usual readers, depth aside; this is as strict and no
        /// stricter.
        #[test]
        fn what_is_readable_is_what_a_tree_can_hold(text in nearly_json()) {
            let tree = serde_json::from_str::<Value>(&text);
            prop_assert!(!is_readable(&text) || tree.is_ok(), "{:?}", text);
            prop_assert!(is_readable(&text) || tree.is_err() || has_lone_surrogate(&text), "{:?}", text);
        }

        #[test]
        fn numbers_at_the_edge_of_a_double_are_judged_as_others_judge_them(
            sign in "-?", whole in "[1-9][0-9]{0,320}", fraction in "(\\.[0-9]{1,40})?", exponent in "([eE][+-]?[0-9]{1,3})?",
        ) {
            let text = format!("{sign}{whole}{fraction}{exponent}");
            prop_assert_eq!(is_readable(&text), serde_json::from_str::<Value>(&text).is_ok() && text.parse().is_ok_and(f64::is_finite));
        }
    }
}
