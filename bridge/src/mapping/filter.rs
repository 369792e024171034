//! Which messages go to the function: patterns in the syntax of Lambda's event filtering, compiled once and asked about
//! each message. Pure: does no I/O, keeps no message and settles nothing.
//!
//! The syntax and its meaning are those of the [Lambda] and [EventBridge] documentation; where that leaves a case open,
//! AWS's own engine, [Event Ruler], decides it. docs/filters.md is the page for users, with what differs.
//!
//! A message is seen as the object `{ payload, topic, topicLevels, qos, retain, userProperties }`.
//!
//! [Lambda]: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
//! [EventBridge]: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
//! [Event Ruler]: https://github.com/aws/event-ruler

mod caseless;
mod cidr;
mod error;
mod numeric;
mod parse;
mod rule;
mod tree;
mod view;
mod vocabulary;
mod wildcard;

pub use error::{FilterError, FilterFault};
pub use vocabulary::PATTERN_LIMIT;

use serde_json::Value;

use crate::message::Message;
use crate::payload::Look;
use tree::{Node, Tree};
use view::{Seen, View, Wanted};
use vocabulary::PAYLOAD;

/// One pattern.
#[derive(Debug, Clone)]
pub struct Filter {
    /// One for each way through its `$or`s. A message matches when it matches one of them.
    alternatives: Vec<Tree>,
}

impl Filter {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When it is not of the documented syntax, is about a field that no message has, or exceeds a limit.
    pub fn parse(pattern: &Value) -> Result<Self, FilterError> {
        let characters = pattern.to_string().chars().count();
        if characters > PATTERN_LIMIT {
            return Err(FilterError::new(FilterFault::TooLong { characters }));
        }
        Ok(Self { alternatives: parse::alternatives(pattern)? })
    }

    fn matches(&self, view: &View<'_>) -> bool {
        self.alternatives.iter().any(|tree| reads_payload(tree, view.get(PAYLOAD)) && tree.matches(view))
    }
}

/// All patterns of a mapping. A message passes when it matches one of them; without any pattern every message passes.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    filters: Vec<Filter>,
    wanted: Wanted,
}

impl Filters {
    /// Compiles the patterns of a mapping.
    ///
    /// # Errors
    /// For the first pattern that [`Filter::parse`] refuses; the error says which when there are several.
    pub fn parse(patterns: &[Value]) -> Result<Self, FilterError> {
        let filter = |(index, pattern)| {
            Filter::parse(pattern).map_err(|error| if patterns.len() > 1 { error.of_pattern(index) } else { error })
        };
        patterns.iter().enumerate().map(filter).collect()
    }

    /// Whether the message goes to the function.
    #[must_use]
    pub fn matches(&self, message: &Message) -> bool {
        self.matches_as(message, || Look::at(&message.payload))
    }

    /// The same; asks for the payload, once for all patterns, only when one of them names it.
    #[must_use]
    pub fn matches_as<'a>(&'a self, message: &'a Message, payload: impl FnOnce() -> Look<'a>) -> bool {
        if self.filters.is_empty() {
            return true;
        }
        let view = self.wanted.view(message, payload);
        self.filters.iter().any(|filter| filter.matches(&view))
    }
}

impl FromIterator<Filter> for Filters {
    fn from_iter<I: IntoIterator<Item = Filter>>(filters: I) -> Self {
        let filters: Vec<_> = filters.into_iter().collect();
        let mut wanted = Wanted::default();
        filters.iter().flat_map(|filter| &filter.alternatives).for_each(|tree| tree.want(&mut wanted));
        Self { filters, wanted }
    }
}

/// Whether the payload is of the kind that the pattern was written for. Lambda drops what is not JSON when the pattern
/// is about its fields, and `exists: false` must not let such a message through.
fn reads_payload(tree: &Tree, payload: Option<&Seen<'_>>) -> bool {
    match (tree.node(PAYLOAD), payload) {
        (None, _) | (Some(Node::Leaf(_)), Some(_)) => true,
        (Some(Node::Branch(_)), Some(payload)) => matches!(payload, Seen::Object(_) | Seen::Elements(..)),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
#[path = "filter/tests.rs"]
mod tests;
