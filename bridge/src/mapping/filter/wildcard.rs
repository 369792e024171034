//! Wildcards: `*` stands for any characters, none included; `\*` and `\\` stand for themselves. Takes time in
//! proportion to the value, however many stars there are, so that no pattern can hold up a lane.

/// A string with stars in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wildcard {
    /// What stands before the first star.
    start: String,
    /// What stands between stars, and after the last one; empty when there is no star.
    rest: Vec<String>,
}

impl Wildcard {
    /// Reads one; `None` when two stars stand side by side, or a backslash before anything but a star or a backslash,
    /// which Event Ruler refuses, too.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = vec![String::new()];
        let mut after_star = false;
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let star = character == '*';
            match character {
                '*' if after_star => return None,
                '*' => parts.push(String::new()),
                '\\' => parts.last_mut()?.push(characters.next().filter(|escaped| ['*', '\\'].contains(escaped))?),
                other => parts.last_mut()?.push(other),
            }
            after_star = star;
        }
        let rest = parts.split_off(1);
        Some(Self { start: parts.pop()?, rest })
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        let Some((end, between)) = self.rest.split_last() else { return value == self.start };
        let inner = value.strip_prefix(self.start.as_str()).and_then(|inner| inner.strip_suffix(end.as_str()));
        // The earliest place of each part leaves the most room for those that follow.
        let left = inner.and_then(|inner| {
            between.iter().try_fold(inner, |left, part| left.find(part.as_str()).map(|at| &left[at + part.len()..]))
        });
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(wildcard: &str, value: &str) -> bool {
        Wildcard::read(wildcard).unwrap().matches(value)
    }

    /// The definition, for one star after the other.
    fn by_definition(wildcard: &[u8], value: &[u8]) -> bool {
        match wildcard {
            [] => value.is_empty(),
            [b'*', rest @ ..] => (0..=value.len()).any(|skipped| by_definition(rest, &value[skipped..])),
            [first, rest @ ..] => value.first() == Some(first) && by_definition(rest, &value[1..]),
        }
    }

    #[test]
    fn stars_stand_for_any_characters() {
        assert!(matches("dir/*.png", "dir/a/b.png"));
        assert!(matches("dir/*.png", "dir/.png"));
        assert!(!matches("dir/*.png", "dir/a.jpg"));
        assert!(!matches("dir/*.png", "other/dir/a.png"));
        assert!(matches("*/lib/*", "/lib/"));
        assert!(!matches("a*a", "a"), "the parts must not overlap");
        assert!(matches("plain", "plain") && !matches("plain", "plainer"));
        assert!(matches("*", ""));
    }

    #[test]
    fn escapes_stand_for_themselves() {
        assert!(matches(r"a\*b", "a*b") && !matches(r"a\*b", "axb"));
        assert!(matches(r"a\\*", r"a\b") && !matches(r"a\\*", "ab"));
        assert!(matches(r"*\**", "1*2"));
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for text in ["**", "a**b", r"a\b", r"a\"] {
            assert_eq!(Wildcard::read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(wildcard in r"(\*?[ab]{1,2}){0,4}\*?", value in "[ab]{0,8}") {
            prop_assert_eq!(matches(&wildcard, &value), by_definition(wildcard.as_bytes(), value.as_bytes()));
        }
    }
}
