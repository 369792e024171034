//! Strings whose letters may be of either case. Each letter of the pattern stands for its own lower and upper case and
//! for itself. That is how Event Ruler has it, but for the letter itself: `σ` and `ς` match `Σ`, and not each other;
//! `ß` matches `SS`.

/// A string to compare with, whatever the case.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Caseless(Vec<Letter>);

/// What one letter of the pattern may be in a value.
#[derive(Debug, Clone, PartialEq)]
struct Letter {
    itself: char,
    /// Absent for what has no case.
    cases: Option<(String, String)>,
}

impl Caseless {
    pub(super) fn new(text: &str) -> Self {
        Self(text.chars().map(Letter::new).collect())
    }

    pub(super) fn is(&self, value: &str) -> bool {
        self.after(value) == Some("")
    }

    pub(super) fn begins(&self, value: &str) -> bool {
        self.after(value).is_some()
    }

    pub(super) fn ends(&self, value: &str) -> bool {
        self.0.iter().rev().try_fold(value, |left, letter| letter.strip_end(left)).is_some()
    }

    /// What follows it in the value. No form of a letter begins or ends with another one, so the first that fits is
    /// right.
    fn after<'a>(&self, value: &'a str) -> Option<&'a str> {
        self.0.iter().try_fold(value, |left, letter| letter.strip_start(left))
    }
}

impl Letter {
    fn new(itself: char) -> Self {
        let (lower, upper) = (itself.to_lowercase().to_string(), itself.to_uppercase().to_string());
        Self { itself, cases: (lower != upper).then_some((lower, upper)) }
    }

    fn strip_start<'a>(&self, value: &'a str) -> Option<&'a str> {
        let cased =
            |(lower, upper): &(String, String)| value.strip_prefix(&**lower).or_else(|| value.strip_prefix(&**upper));
        value.strip_prefix(self.itself).or_else(|| self.cases.as_ref().and_then(cased))
    }

    fn strip_end<'a>(&self, value: &'a str) -> Option<&'a str> {
        let cased =
            |(lower, upper): &(String, String)| value.strip_suffix(&**lower).or_else(|| value.strip_suffix(&**upper));
        value.strip_suffix(self.itself).or_else(|| self.cases.as_ref().and_then(cased))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_letter_begins_or_ends_with_another() {
        for letter in '\0'..=char::MAX {
            let Letter { itself, cases: Some((lower, upper)) } = Letter::new(letter) else { continue };
            let forms = [itself.to_string(), lower, upper];
            let differ = |a: &String, b: &String| a == b || !a.starts_with(&**b) && !a.ends_with(&**b);
            assert!(forms.iter().all(|a| forms.iter().all(|b| differ(a, b))), "{forms:?}");
        }
    }

    #[test]
    fn each_letter_has_its_own_cases() {
        for (pattern, value, expected) in [
            ("ok", "OK", true),
            ("OK", "ok", true),
            ("ok", "okay", false),
            ("ÅNGSTRÖM", "ångström", true),
            ("ς", "Σ", true),
            ("ς", "ς", true),
            ("ς", "σ", false),
            ("σ", "Σ", true),
            ("Σ", "σ", true),
            ("Σ", "ς", false),
            ("ß", "SS", true),
            ("ß", "ss", false),
            ("SS", "ß", false),
            ("ſ", "S", true),
            ("s", "ſ", false),
            ("ǅ", "ǆ", true),
            ("ǅ", "ǅ", true),
            ("K", "\u{212a}", false),
            ("\u{212a}", "k", true),
            ("\u{10400}", "\u{10428}", true),
            ("1-☃", "1-☃", true),
            ("", "", true),
        ] {
            assert_eq!(Caseless::new(pattern).is(value), expected, "{pattern}: {value}");
        }
    }

    #[test]
    fn beginnings_and_ends_are_those_of_the_value() {
        assert!(Caseless::new("ΟΔΟΣ").begins("οδοσα") && !Caseless::new("ΟΔΟΣ").begins("οδο"));
        assert!(Caseless::new("ß").begins("SSD") && Caseless::new("ß").ends("GROSS"));
        assert!(Caseless::new(".PNG").ends("a.png") && !Caseless::new(".PNG").ends("png"));
        assert!(Caseless::new("").begins("a") && Caseless::new("").ends(""));
    }
}
