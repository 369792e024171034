//! Topic names and topic filters as MQTT 5, section 4.7, defines them: which are valid, and which filter matches which
//! name. Does no I/O and keeps no table of subscriptions.

use std::fmt;
use std::str::FromStr;

use crate::foreign::Foreign;

/// The longest UTF-8 string a packet can carry, in bytes (MQTT 5, 1.5.4).
pub const MAX_BYTES: usize = 65_535;

/// The prefix of a shared subscription (MQTT 5, 4.8.2).
const SHARE_PREFIX: &str = "$share/";

/// A valid topic filter, shared (`$share/group/filter`) or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicFilter {
    text: String,
    /// Where the part after `$share/group/` begins; 0 when the filter is not shared.
    filter_at: usize,
}

impl TopicFilter {
    /// The filter as a SUBSCRIBE packet carries it, with `$share/group/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is a shared subscription (MQTT 5, 4.8.2).
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.filter_at > 0
    }

    /// The share name of a shared subscription.
    #[must_use]
    pub fn share_group(&self) -> Option<&str> {
        let end = self.filter_at.checked_sub(1)?;
        self.text.get(SHARE_PREFIX.len()..end)
    }

    /// Whether it holds `+` or `#`.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        levels(self.plain()).any(|level| matches!(level, "+" | "#"))
    }

    /// Whether a message published to `topic` belongs to this filter. The share name plays no part in it.
    ///
    /// A leading wildcard does not match a topic that begins with `$` (MQTT 5, 4.7.2).
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let filter = self.plain();
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut names = levels(topic);
        for level in levels(filter) {
            match (level, names.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }
}

impl TopicFilter {
    /// The filter without `$share/group/`.
    #[must_use]
    pub fn plain(&self) -> &str {
        &self.text[self.filter_at..]
    }

    /// Whether some topic that can be published belongs to both filters.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.plain(), other.plain());
        // A leading wildcard matches no topic that begins with `$` (MQTT 5, 4.7.2).
        let leads = |filter: &str| filter.starts_with(['+', '#']);
        if (leads(ours) && theirs.starts_with('$')) || (leads(theirs) && ours.starts_with('$')) {
            return false;
        }
        if matches!((ours, theirs), ("+", "/#") | ("/#", "+")) {
            // They overlap only in the empty topic, to which nobody can publish.
            return false;
        }
        let (mut ours, mut theirs) = (levels(ours), levels(theirs));
        loop {
            match (ours.next(), theirs.next()) {
                // `#` also matches its parent level, that is, no further level at all.
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (Some(a), Some(b)) if a == b || a == "+" || b == "+" => {}
                _ => return false,
            }
        }
    }
}

impl FromStr for TopicFilter {
    type Err = TopicError;

    /// # Errors
    /// When MQTT 5, 4.7 or 4.8.2, forbids the filter, or when it holds control characters, for which a broker may close
    /// the connection (1.5.4) each time.
    fn from_str(text: &str) -> Result<Self, TopicError> {
        let error = |fault| TopicError::new("topic filter", text, fault);
        check_string(text).map_err(error)?;
        if text.chars().any(char::is_control) {
            return Err(error(TopicFault::ControlCharacter));
        }
        let filter_at = filter_start(text).map_err(error)?;
        check_wildcards(&text[filter_at..]).map_err(error)?;
        Ok(Self { text: text.to_owned(), filter_at })
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Filters for a line of text: the first few, and how many more there are.
#[must_use]
pub fn some_of(filters: &[TopicFilter]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<_> = filters.iter().take(SHOWN).map(TopicFilter::as_str).collect();
    match filters.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The levels of a topic name or filter, empty ones included: `/a/` has three.
pub fn levels(topic: &str) -> impl Iterator<Item = &str> {
    topic.split('/')
}

/// Checks that a message can be published to `topic` (MQTT 5, 4.7.1 and 4.7.3).
///
/// # Errors
/// When it is empty, longer than 65,535 bytes, or holds a NUL or a wildcard.
pub fn validate_topic_name(topic: &str) -> Result<(), TopicError> {
    let error = |fault| TopicError::new("topic", topic, fault);
    check_string(topic).map_err(error)?;
    if topic.contains(['+', '#']) {
        return Err(error(TopicFault::WildcardInName));
    }
    Ok(())
}

/// A topic name or filter that MQTT does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object} `{text}`: {fault}")]
pub struct TopicError {
    object: &'static str,
    text: Foreign,
    fault: TopicFault,
}

impl TopicError {
    fn new(object: &'static str, text: &str, fault: TopicFault) -> Self {
        Self { object, text: text.into(), fault }
    }

    /// Which rule it breaks.
    #[must_use]
    pub fn fault(&self) -> TopicFault {
        self.fault
    }
}

/// The rule that a topic name or filter breaks, with its clause of MQTT 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicFault {
    /// No character at all (4.7.3-1).
    #[error("must not be empty")]
    Empty,
    /// More than 65,535 bytes of UTF-8 (4.7.3-3).
    #[error("is longer than 65,535 bytes")]
    TooLong,
    /// U+0000 (4.7.3-2).
    #[error("must not hold a NUL character")]
    Nul,
    /// A control character in a filter (1.5.4: a receiver may treat it as malformed).
    #[error("must not hold control characters")]
    ControlCharacter,
    /// `+` or `#` in a topic name (4.7.1).
    #[error("`+` and `#` are for topic filters only")]
    WildcardInName,
    /// `#` before the last level (4.7.1-1).
    #[error("`#` must be the last level")]
    HashNotLast,
    /// `+` or `#` beside other characters (4.7.1-1, 4.7.1-2).
    #[error("`+` and `#` must stand alone in their level")]
    WildcardNotAlone,
    /// `$share//…` or a wildcard in the share name (4.8.2-1, 4.8.2-2).
    #[error("`$share/` must be followed by a group name without `+` and `#`")]
    ShareGroup,
    /// `$share/group` with nothing after it (4.8.2-2).
    #[error("`$share/group/` must be followed by a topic filter")]
    ShareFilter,
}

/// The rules that names and filters have in common.
fn check_string(text: &str) -> Result<(), TopicFault> {
    match text {
        "" => Err(TopicFault::Empty),
        _ if text.len() > MAX_BYTES => Err(TopicFault::TooLong),
        _ if text.contains('\0') => Err(TopicFault::Nul),
        _ => Ok(()),
    }
}

fn filter_start(text: &str) -> Result<usize, TopicFault> {
    let Some(shared) = text.strip_prefix(SHARE_PREFIX) else { return Ok(0) };
    let (group, filter) = shared.split_once('/').unwrap_or((shared, ""));
    if group.is_empty() || group.contains(['+', '#']) {
        return Err(TopicFault::ShareGroup);
    }
    if filter.is_empty() {
        return Err(TopicFault::ShareFilter);
    }
    Ok(text.len() - filter.len())
}

fn check_wildcards(filter: &str) -> Result<(), TopicFault> {
    let mut rest = levels(filter).peekable();
    while let Some(level) = rest.next() {
        match level {
            "#" if rest.peek().is_some() => return Err(TopicFault::HashNotLast),
            "#" | "+" => {}
            _ if level.contains(['+', '#']) => return Err(TopicFault::WildcardNotAlone),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilter {
        text.parse().unwrap()
    }

    fn fault(text: &str) -> TopicFault {
        text.parse::<TopicFilter>().unwrap_err().fault()
    }

    #[test]
    fn examples_of_the_specification_match() {
        // MQTT 5, 4.7.1.2 and 4.7.1.3.
        for topic in ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"] {
            assert!(filter("sport/tennis/player1/#").matches(topic), "{topic}");
        }
        assert!(filter("sport/#").matches("sport"));
        assert!(filter("sport/tennis/+").matches("sport/tennis/player1"));
        assert!(!filter("sport/tennis/+").matches("sport/tennis/player1/ranking"));
        assert!(!filter("sport/+").matches("sport"));
        assert!(filter("sport/+").matches("sport/"));
        assert!(filter("+/+").matches("/finance"));
        assert!(filter("/+").matches("/finance"));
        assert!(!filter("+").matches("/finance"));
    }

    #[test]
    fn leading_wildcard_leaves_system_topics_alone() {
        assert!(!filter("#").matches("$SYS/uptime"));
        assert!(!filter("+/uptime").matches("$SYS/uptime"));
        assert!(!filter("$share/g/#").matches("$SYS/uptime"));
        assert!(filter("$SYS/#").matches("$SYS/uptime"));
        assert!(filter("$SYS/+").matches("$SYS/uptime"));
    }

    #[test]
    fn shared_filter_knows_its_group() {
        let shared = filter("$share/bridge/devices/+/data");
        assert!(shared.is_shared());
        assert_eq!(shared.share_group(), Some("bridge"));
        assert_eq!(shared.as_str(), "$share/bridge/devices/+/data");
        assert!(shared.matches("devices/7/data"));
        assert!(!shared.matches("$share/bridge/devices/7/data"));
        assert_eq!(filter("$share/g//a").share_group(), Some("g"));
        assert!(filter("$share/g//a").matches("/a"));
        assert_eq!(filter("a/b").share_group(), None);
    }

    #[test]
    fn each_rule_has_its_fault() {
        assert_eq!(fault(""), TopicFault::Empty);
        assert_eq!(fault(&"a".repeat(MAX_BYTES + 1)), TopicFault::TooLong);
        assert_eq!(fault("a\0b"), TopicFault::Nul);
        assert_eq!(fault("a\r\nb"), TopicFault::ControlCharacter);
        assert_eq!(fault("a/#/b"), TopicFault::HashNotLast);
        assert_eq!(fault("a/b#"), TopicFault::WildcardNotAlone);
        assert_eq!(fault("a+/b"), TopicFault::WildcardNotAlone);
        assert_eq!(fault("$share//a"), TopicFault::ShareGroup);
        assert_eq!(fault("$share/g+/a"), TopicFault::ShareGroup);
        assert_eq!(fault("$share/g"), TopicFault::ShareFilter);
        assert_eq!(fault("$share/g/"), TopicFault::ShareFilter);
        assert_eq!(fault("$share/g/a/#/b"), TopicFault::HashNotLast);
        assert!("a".repeat(MAX_BYTES).parse::<TopicFilter>().is_ok());
    }

    #[test]
    fn error_names_object_cause_and_stays_on_one_line() {
        let error = "a/#/b".parse::<TopicFilter>().unwrap_err();
        assert_eq!(error.to_string(), "topic filter `a/#/b`: `#` must be the last level");
        let long = format!("\n{}", "a".repeat(MAX_BYTES)).parse::<TopicFilter>().unwrap_err().to_string();
        assert!(long.len() < 600 && !long.contains('\n'), "{long}");
    }

    #[test]
    fn topic_names_hold_no_wildcards() {
        assert!(validate_topic_name("a//b").is_ok());
        assert!(validate_topic_name("$SYS").is_ok());
        assert_eq!(validate_topic_name("").unwrap_err().fault(), TopicFault::Empty);
        assert_eq!(validate_topic_name("a/+").unwrap_err().fault(), TopicFault::WildcardInName);
        assert_eq!(validate_topic_name("a#").unwrap_err().fault(), TopicFault::WildcardInName);
        assert_eq!(validate_topic_name("\0").unwrap_err().fault(), TopicFault::Nul);
    }

    #[test]
    fn filters_overlap_where_one_topic_belongs_to_both() {
        for (a, b, expected) in [
            ("devices/+/data", "devices/+/command", false),
            ("devices/+/data", "devices/1/+", true),
            ("devices/#", "devices", true),
            ("devices/+", "devices", false),
            ("#", "a/b", true),
            ("#", "$SYS/a", false),
            ("$SYS/#", "$SYS/+", true),
            ("+/a", "$SYS/a", false),
            ("$share/g/a/+", "a/b", true),
            ("a/+/c", "a/b/d", false),
        ] {
            assert_eq!(filter(a).overlaps(&filter(b)), expected, "{a} {b}");
            assert_eq!(filter(b).overlaps(&filter(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn empty_levels_count() {
        assert_eq!(levels("/a/").collect::<Vec<_>>(), ["", "a", ""]);
    }

    /// Section 4.7 once more, from the other end: does the filter's first level eat the topic's first level?
    fn eats(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            ([f, filter @ ..], [t, topic @ ..]) => (*f == "+" || f == t) && eats(filter, topic),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(filter in "[ab+]{0,1}(/[ab+]{0,1}){0,3}(/#)?", topic in "[ab]{0,1}(/[ab]{0,1}){0,4}") {
            prop_assume!(!filter.is_empty() && !topic.is_empty());
            let expected = eats(&levels(&filter).collect::<Vec<_>>(), &levels(&topic).collect::<Vec<_>>());
            prop_assert_eq!(super::TopicFilter::from_str(&filter).unwrap().matches(&topic), expected);
            let shared: TopicFilter = format!("$share/g/{filter}").parse().unwrap();
            prop_assert_eq!(shared.matches(&topic), expected);
        }

        /// Against all topics of up to five levels over the letters that the filters have, and one more.
        #[test]
        fn an_overlap_has_a_topic_and_nothing_else_has(
            a in "[$ab+]{0,1}(/[ab+]{0,1}){0,2}(/#)?",
            b in "[$ab+]{0,1}(/[ab+]{0,1}){0,2}(/#)?",
        ) {
            prop_assume!(!a.is_empty() && !b.is_empty());
            let (a, b) = (filter(&a), filter(&b));
            let mut topics: Vec<String> = ["", "$", "a", "b", "c"].map(str::to_owned).to_vec();
            let mut deepest = topics.clone();
            for _ in 0..3 {
                deepest = deepest.iter().flat_map(|t| ["", "a", "b", "c"].map(|l| format!("{t}/{l}"))).collect();
                topics.extend(deepest.iter().cloned());
            }
            let shared = topics.iter().find(|topic| !topic.is_empty() && a.matches(topic) && b.matches(topic));
            prop_assert_eq!(a.overlaps(&b), shared.is_some(), "{} {} {:?}", a, b, shared);
        }

        #[test]
        fn a_name_matches_itself_and_is_a_filter(topic in "[a-z0-9 ü/]{1,40}") {
            prop_assert!(validate_topic_name(&topic).is_ok());
            prop_assert!(filter(&topic).matches(&topic));
            let with_hash = filter(&format!("{topic}/#"));
            prop_assert!(with_hash.matches(&topic));
        }

        #[test]
        fn any_text_is_kept_or_refused(text in "[$a-c+#/\u{0}-\u{20}]{0,12}|(\\$share/){0,2}[ab+#/]{0,8}|\\PC{0,20}") {
            match text.parse::<TopicFilter>() {
                Ok(filter) => {
                    prop_assert_eq!(filter.to_string(), text.clone());
                    let after_hash = levels(&text).skip_while(|level| *level != "#").count();
                    prop_assert!(after_hash <= 1, "# before the last level in {:?}", text);
                }
                Err(error) => prop_assert!(!error.to_string().contains(char::is_control)),
            }
        }
    }
}
