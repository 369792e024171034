//! Which device a topic belongs to: if the broker limits each device to topics of its own, a reading there may name no
//! other device. Pure.

use std::fmt;

/// The level of a pattern that stands for the device's id.
const DEVICE_ID: &str = "{device_id}";
/// The default without a setting: the devices that this function answers on `devices/{device_id}/command`.
const DEFAULT: &str = "devices/{device_id}/#";
/// The word for no pattern at all.
const NONE: &str = "none";

/// Patterns of topics with the id of their device as one level. What matches none of them is shared by many devices,
/// and the reading itself has to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceTopics(Vec<Pattern>);

/// `devices/{device_id}/#`: beside the id, levels, `+` for any one level and a last `#` for all that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(String);

/// A pattern that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}`: {fault}: write for example `{DEFAULT}`, several with spaces between them, or `{NONE}`")]
pub struct DeviceTopicsError {
    pattern: String,
    fault: &'static str,
}

impl Default for DeviceTopics {
    fn default() -> Self {
        Self(vec![Pattern(DEFAULT.to_owned())])
    }
}

impl DeviceTopics {
    /// Reads patterns with white space between them, or `none`.
    ///
    /// # Errors
    /// The first pattern that cannot be meant.
    pub fn read(text: &str) -> Result<Self, DeviceTopicsError> {
        if text.trim() == NONE {
            return Ok(Self(Vec::new()));
        }
        text.split_whitespace().map(Pattern::read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a reading of that device may come from this topic: true unless the topic is another's.
    #[must_use]
    pub fn allow(&self, topic: &str, device_id: &str) -> bool {
        self.0.iter().filter_map(|pattern| pattern.owner(topic)).all(|owner| owner == device_id)
    }
}

impl fmt::Display for DeviceTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns: Vec<_> = self.0.iter().map(|Pattern(pattern)| pattern.as_str()).collect();
        f.write_str(if patterns.is_empty() { NONE.to_owned() } else { patterns.join(" ") }.as_str())
    }
}

impl Pattern {
    fn read(pattern: &str) -> Result<Self, DeviceTopicsError> {
        let levels: Vec<_> = pattern.split('/').collect();
        let is_word = |level: &str| matches!(level, DEVICE_ID | "+" | "#");
        let fault = if levels.iter().filter(|level| **level == DEVICE_ID).count() != 1 {
            "`{device_id}` must be one level of it, once"
        } else if levels[..levels.len() - 1].contains(&"#") {
            "`#` must be the last level"
        } else if levels.iter().any(|level| !is_word(level) && level.contains(['+', '#', '{', '}'])) {
            "`+`, `#` and `{device_id}` are whole levels, and no other has braces"
        } else {
            return Ok(Self(pattern.to_owned()));
        };
        Err(DeviceTopicsError { pattern: pattern.to_owned(), fault })
    }

    /// The device that the topic belongs to, byte for byte; `None` where the pattern does not match.
    fn owner<'a>(&self, topic: &'a str) -> Option<&'a str> {
        let (mut levels, mut owner) = (topic.split('/'), None);
        for expected in self.0.split('/') {
            // Like a filter, a last `#` matches the level above it as well.
            if expected == "#" {
                return owner;
            }
            let level = levels.next()?;
            match expected {
                DEVICE_ID => owner = Some(level),
                "+" => {}
                _ if expected == level => {}
                _ => return None,
            }
        }
        if levels.next().is_none() { owner } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(patterns: &str, topic: &str, device_id: &str) -> bool {
        DeviceTopics::read(patterns).unwrap().allow(topic, device_id)
    }

    #[test]
    fn a_topic_below_a_device_is_of_that_device_alone() {
        for topic in ["devices/a/data", "devices/a/data/below", "devices/a"] {
            assert!(DeviceTopics::default().allow(topic, "a"), "{topic}");
            assert!(!DeviceTopics::default().allow(topic, "b"), "{topic}");
        }
        for (topic, device_id) in [("devices//data", "a"), ("devices/A/data", "a"), ("devices/a /data", "a")] {
            assert!(!DeviceTopics::default().allow(topic, device_id), "{topic}");
        }
    }

    #[test]
    fn a_topic_that_is_nobodys_says_nothing_of_the_device() {
        for topic in ["sensor/data", "devices", "/devices/a/data", "Devices/a/data", "plant/devices/a/data"] {
            assert!(DeviceTopics::default().allow(topic, "b"), "{topic}");
        }
        assert!(allow("none", "devices/a/data", "b"));
    }

    #[test]
    fn a_pattern_matches_level_by_level() {
        for (pattern, of_a, of_nobody) in [
            ("devices/{device_id}/data", "devices/a/data", "devices/a/data/below"),
            ("devices/{device_id}/data", "devices/a/data", "devices/a"),
            ("{device_id}", "a", "a/data"),
            ("+/{device_id}/+", "plant/a/data", "a/data"),
            ("plant/+/{device_id}/#", "plant/north/a", "plant/north"),
        ] {
            assert!(allow(pattern, of_a, "a") && !allow(pattern, of_a, "b"), "{pattern}: {of_a}");
            assert!(allow(pattern, of_nobody, "b"), "{pattern}: {of_nobody}");
        }
    }

    #[test]
    fn where_several_match_each_must_name_the_device() {
        let patterns = "devices/{device_id}/# psk/{device_id}/#  +/+/{device_id}";
        assert!(allow(patterns, "psk/a/data/now", "a") && !allow(patterns, "psk/a/data/now", "b"));
        assert!(!allow(patterns, "devices/a/b", "a") && !allow(patterns, "devices/a/b", "b"));
        assert!(allow(patterns, "devices/a/a", "a"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_way_out() {
        for (pattern, fault) in [
            ("devices/+/data", "`{device_id}` must be one level of it, once"),
            ("{device_id}/{device_id}", "`{device_id}` must be one level of it, once"),
            ("devices/x{device_id}/data", "`{device_id}` must be one level of it, once"),
            ("devices/#/{device_id}", "`#` must be the last level"),
            ("a+/{device_id}", "`+`, `#` and `{device_id}` are whole levels, and no other has braces"),
            ("{device_id}/{topic}", "`+`, `#` and `{device_id}` are whole levels, and no other has braces"),
            ("none devices/{device_id}", "`{device_id}` must be one level of it, once"),
        ] {
            let error = DeviceTopics::read(pattern).unwrap_err().to_string();
            let (pattern, end) = (pattern.split(' ').next().unwrap(), "several with spaces between them, or `none`");
            assert_eq!(error, format!("`{pattern}`: {fault}: write for example `devices/{{device_id}}/#`, {end}"));
        }
    }

    #[test]
    fn patterns_are_told_as_they_were_written() {
        for patterns in ["devices/{device_id}/#", "a/{device_id} +/{device_id}/b", "none"] {
            assert_eq!(DeviceTopics::read(patterns).unwrap().to_string(), patterns);
        }
        assert_eq!(DeviceTopics::default().to_string(), DEFAULT);
    }
}
