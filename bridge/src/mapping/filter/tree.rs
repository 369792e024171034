//! A pattern without `$or`: objects down to lists of rules, and what it means that one matches.
//!
//! An array in the message stands for any of its elements, and all that a pattern says about an array is about one and
//! the same element, as Event Ruler has it. Absence is the exception: a field is absent from an array when none of its
//! elements has it, unless another field has picked the element.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::{FilterError, FilterFault};
use super::rule::{Rule, Scalar};
use super::view::{Seen, View, Wanted};

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

    /// Wants the fields that it names.
    pub(super) fn want(&self, wanted: &mut Wanted) {
        for (name, node) in &self.0 {
            let wanted = wanted.field_mut(name);
            if let Node::Branch(tree) = node {
                tree.want(wanted);
            }
        }
    }

    pub(super) fn matches(&self, object: &View<'_>) -> bool {
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

    fn verdict(&self, object: Option<&View<'_>>) -> Verdict {
        all(self.0.iter().map(|(name, node)| node.verdict(object.and_then(|object| object.get(name.as_str())))))
    }
}

impl Node {
    fn verdict(&self, value: Option<&Seen<'_>>) -> Verdict {
        match value {
            Some(Seen::Elements(elements, wanted)) => {
                let each = elements.clone().map(|element| self.verdict(Some(&wanted.see(element))));
                any(each).unwrap_or_else(|| self.of_nothing())
            }
            Some(Seen::Texts(texts)) => {
                let each = texts.iter().map(|text| self.of_scalar(&Scalar::Text(Cow::Borrowed(text))));
                any(each).unwrap_or_else(|| self.of_nothing())
            }
            Some(Seen::Scalar(scalar)) => self.of_scalar(scalar),
            Some(Seen::Object(object)) => match self {
                Self::Branch(tree) => tree.verdict(Some(object)),
                Self::Leaf(_) => self.of_nothing(),
            },
            None => self.of_nothing(),
        }
    }

    fn of_scalar(&self, scalar: &Scalar<'_>) -> Verdict {
        match self {
            Self::Branch(tree) => tree.verdict(None),
            Self::Leaf(rules) if rules.iter().any(|rule| rule.matches(scalar)) => Verdict::Match,
            Self::Leaf(_) => Verdict::Mismatch,
        }
    }

    /// Rules are about leaves: an object or an empty array is as good as nothing.
    fn of_nothing(&self) -> Verdict {
        match self {
            Self::Branch(tree) => tree.verdict(None),
            Self::Leaf(rules) if rules.contains(&Rule::Absent) => Verdict::Absence,
            Self::Leaf(_) => Verdict::Mismatch,
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

/// Of elements, one must match, or all must lack what should be absent. `None` when there are none.
fn any(verdicts: impl Iterator<Item = Verdict>) -> Option<Verdict> {
    let mut found = None;
    for verdict in verdicts {
        match verdict {
            Verdict::Match => return Some(Verdict::Match),
            verdict => found = Some(found.map_or(verdict, |found: Verdict| found.min(verdict))),
        }
    }
    found
}
