//! Reads patterns: from JSON to trees without `$or`, one for each way through it. Knows the shape of a pattern and of a
//! message, but no operator.
//!
//! Spelled out like this, all that a pattern says about one array stands in one tree, whichever `$or` it comes from,
//! and so is about one element of it.

use serde_json::{Map, Value};

use super::error::{FilterError, FilterFault};
use super::rule;
use super::tree::{Node, Tree};
use super::vocabulary::{ALTERNATIVES_LIMIT, DEPTH_LIMIT, FIELDS, OPERATORS, PAYLOAD, USER_PROPERTIES};

const OR: &str = "$or";

/// Where in the pattern something stands.
#[derive(Clone, Copy)]
struct Context {
    /// Whose fields are named there.
    owner: Owner,
    in_or: bool,
    /// How many objects it is within.
    depth: usize,
}

#[derive(Clone, Copy)]
enum Owner {
    Message,
    UserProperties,
    Payload,
}

/// A pattern's alternatives, of which there is at least one.
pub(super) fn alternatives(pattern: &Value) -> Result<Vec<Tree>, FilterError> {
    match pattern {
        Value::Object(fields) => object(fields, Context { owner: Owner::Message, in_or: false, depth: 0 }),
        _ => Err(FilterError::new(FilterFault::NotAnObject { example: PAYLOAD })),
    }
}

fn object(fields: &Map<String, Value>, place: Context) -> Result<Vec<Tree>, FilterError> {
    if fields.is_empty() {
        return Err(FilterError::new(FilterFault::EmptyObject));
    }
    if place.depth == DEPTH_LIMIT {
        return Err(FilterError::new(FilterFault::TooDeep));
    }
    let place = Context { depth: place.depth + 1, ..place };
    let mut alternatives = vec![Tree::default()];
    for (name, value) in fields {
        let choices = if name == OR {
            or(value, place)?
        } else {
            field(name, value, place).map_err(|error| error.within(name))?
        };
        alternatives = combine(&alternatives, &choices)?;
    }
    Ok(alternatives)
}

fn or(value: &Value, place: Context) -> Result<Vec<Tree>, FilterError> {
    let objects: Option<Vec<_>> = value.as_array().and_then(|list| list.iter().map(Value::as_object).collect());
    let objects = objects.filter(|objects| objects.len() > 1);
    let objects = objects.ok_or_else(|| FilterError::new(FilterFault::Or).within(OR))?;
    let mut choices = Vec::new();
    for (index, fields) in objects.into_iter().enumerate() {
        let trees = object(fields, Context { in_or: true, ..place });
        choices.extend(trees.map_err(|error| error.within(format!("{OR}[{index}]")))?);
    }
    Ok(choices)
}

fn field(name: &str, value: &Value, place: Context) -> Result<Vec<Tree>, FilterError> {
    let owner = check(name, value, place).map_err(FilterError::new)?;
    match value {
        Value::Array(values) => {
            let rules = rule::read(values).map_err(FilterError::new)?;
            Ok(vec![Tree::of(name, Node::Leaf(rules))])
        }
        Value::Object(fields) => {
            let trees = object(fields, Context { owner, ..place })?.into_iter();
            Ok(trees.map(|tree| Tree::of(name, Node::Branch(tree))).collect())
        }
        other => Err(FilterError::new(FilterFault::Bare { found: shortened(other) })),
    }
}

/// Checks that there can be such a field, and says whose fields are within it.
fn check(name: &str, value: &Value, place: Context) -> Result<Owner, FilterFault> {
    if place.in_or && OPERATORS.contains(&name) {
        return Err(FilterFault::OperatorInOr { operator: name.to_owned() });
    }
    match (place.owner, name) {
        (Owner::Payload, _) | (Owner::Message, PAYLOAD) => Ok(Owner::Payload),
        (Owner::Message, USER_PROPERTIES) if value.is_array() => Err(FilterFault::NotAnObject { example: "name" }),
        (Owner::Message, USER_PROPERTIES) => Ok(Owner::UserProperties),
        (Owner::Message, name) if !FIELDS.contains(&name) => Err(FilterFault::UnknownField),
        _ if value.is_object() => Err(FilterFault::NotAList),
        (owner, _) => Ok(owner),
    }
}

/// Every alternative with every choice.
fn combine(alternatives: &[Tree], choices: &[Tree]) -> Result<Vec<Tree>, FilterError> {
    if alternatives.len() * choices.len() > ALTERNATIVES_LIMIT {
        return Err(FilterError::new(FilterFault::TooManyAlternatives));
    }
    let pairs = alternatives.iter().flat_map(|alternative| choices.iter().map(move |choice| (alternative, choice)));
    pairs
        .map(|(alternative, choice)| {
            let mut tree = alternative.clone();
            tree.merge(choice.clone())?;
            Ok(tree)
        })
        .collect()
}

fn shortened(value: &Value) -> String {
    const SHOWN: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
