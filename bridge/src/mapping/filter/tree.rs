//! A pattern without `$or`: objects down to lists of rules, and what it means that one matches.
//!
//! An array in the message stands for any of its elements, and all that a pattern says about an array is about one and
//! the same element, as Event Ruler has it. Absence is the exception: a field is absent from an array when none of its
//! elements has it, unless another field has picked the element.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{FilterError, FilterFault};
use super::rule::Rule;

/// Fields that must all match.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree(BTreeMap<String, Node>);

/// What a pattern says about one field.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Rules of which one must match.
    Leaf(Vec<Rule>),
    /// Fields of the field.
    Branch(Tree),
}

/// How a node fares with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Mismatch,
    /// It asks for nothing but absence, and finds it.
    Absence,
    /// A value in the message matches.
    Match,
}

impl Tree {
    pub(super) fn of(name: &str, node: Node) -> Self {
        Self(BTreeMap::from([(name.to_owned(), node)]))
    }

    pub(super) fn node(&self, name: &str) -> Option<&Node> {
        self.0.get(name)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.0.iter()
    }

    pub(super) fn matches(&self, object: &Map<String, Value>) -> bool {
        self.verdict(Some(object)) != Verdict::Mismatch
    }

    /// Takes the fields of `other` as well.
    ///
    /// # Errors
    /// When both have the same list.
    pub(super) fn merge(&mut self, other: Self) -> Result<(), FilterError> {
        for (name, node) in other.0 {
            match (self.0.get_mut(&name), node) {
                (None, node) => {
                    self.0.insert(name, node);
                }
                (Some(Node::Branch(ours)), Node::Branch(theirs)) => {
                    ours.merge(theirs).map_err(|error| error.within(name))?;
                }
                (Some(_), _) => return Err(FilterError::new(FilterFault::Twice).within(name)),
            }
        }
        Ok(())
    }

    fn verdict(&self, object: Option<&Map<String, Value>>) -> Verdict {
        all(self.0.iter().map(|(name, node)| node.verdict(object.and_then(|object| object.get(name)))))
    }
}

impl Node {
    fn verdict(&self, value: Option<&Value>) -> Verdict {
        match (self, value) {
            (_, Some(Value::Array(elements))) if !elements.is_empty() => {
                any(elements.iter().map(|element| self.verdict(Some(element))))
            }
            (Self::Branch(tree), value) => tree.verdict(value.and_then(Value::as_object)),
            (Self::Leaf(rules), Some(value)) if !value.is_object() && !value.is_array() => {
                if rules.iter().any(|rule| rule.matches(value)) { Verdict::Match } else { Verdict::Mismatch }
            }
            // Rules are about leaves: an object or an empty array is as good as nothing.
            (Self::Leaf(rules), _) => {
                if rules.contains(&Rule::Absent) {
                    Verdict::Absence
                } else {
                    Verdict::Mismatch
                }
            }
        }
    }
}

/// Of fields, each must match.
fn all(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut found = Verdict::Absence;
    for verdict in verdicts {
        match verdict {
            Verdict::Mismatch => return Verdict::Mismatch,
            verdict => found = found.max(verdict),
        }
    }
    found
}

/// Of elements, one must match, or all must lack what should be absent.
fn any(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut found = Verdict::Absence;
    for verdict in verdicts {
        match verdict {
            Verdict::Match => return Verdict::Match,
            verdict => found = found.min(verdict),
        }
    }
    found
}
