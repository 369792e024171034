//! The words and limits of patterns: the fields of a message, the operators of a rule, and how large a pattern may be.
//! Reads and compares nothing.

use crate::payload::MAX_DEPTH;

/// The longest pattern, in characters of its JSON without spaces (Lambda API, `Filter.Pattern`: at most 4,096).
pub const PATTERN_LIMIT: usize = 4096;

/// The most combinations that the `$or`s of one pattern may make; each costs time for each message.
pub(super) const ALTERNATIVES_LIMIT: usize = 1000;

/// The most objects within one another: a message, and a payload as deep as one can be that has fields.
pub(super) const DEPTH_LIMIT: usize = 1 + MAX_DEPTH as usize;

pub(super) const PAYLOAD: &str = "payload";
pub(super) const TOPIC: &str = "topic";
pub(super) const TOPIC_LEVELS: &str = "topicLevels";
pub(super) const QOS: &str = "qos";
pub(super) const RETAIN: &str = "retain";
pub(super) const USER_PROPERTIES: &str = "userProperties";

/// The fields of a message.
pub(super) const FIELDS: [&str; 6] = [PAYLOAD, TOPIC, TOPIC_LEVELS, QOS, RETAIN, USER_PROPERTIES];

pub(super) const PREFIX: &str = "prefix";
pub(super) const SUFFIX: &str = "suffix";
pub(super) const EQUALS_IGNORE_CASE: &str = "equals-ignore-case";
pub(super) const WILDCARD: &str = "wildcard";
pub(super) const ANYTHING_BUT: &str = "anything-but";
pub(super) const NUMERIC: &str = "numeric";
pub(super) const EXISTS: &str = "exists";
pub(super) const CIDR: &str = "cidr";

/// All operators of a rule.
pub(super) const OPERATORS: [&str; 8] =
    [PREFIX, SUFFIX, EQUALS_IGNORE_CASE, WILDCARD, ANYTHING_BUT, NUMERIC, EXISTS, CIDR];
