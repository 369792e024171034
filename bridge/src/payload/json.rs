//! Reads fields of JSON that has been checked: a value is a slice of the text. Never reads more than was asked for.

use std::borrow::Cow;

use super::check::is_readable;

/// A value, as it is written, in a text that has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

/// What a value is.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written.
    Number(&'a str),
    /// A string, without its quotes and escapes.
    Text(Cow<'a, str>),
    /// A list.
    List(Elements<'a>),
    /// An object.
    Object(Fields<'a>),
}

impl<'a> Json<'a> {
    /// The text, if it is JSON that every function can read.
    pub(super) fn checked(text: &'a str) -> Option<Self> {
        is_readable(text).then(|| Self::trusted(text))
    }

    /// A text that has been checked before.
    pub(super) fn trusted(text: &'a str) -> Self {
        Self(text.trim_matches(is_space))
    }

    /// As it is written, without white space around it.
    #[must_use]
    pub fn as_written(self) -> &'a str {
        self.0
    }

    /// What it is. Takes time in proportion to a string with escapes, and none otherwise.
    #[must_use]
    pub fn value(self) -> Value<'a> {
        let inside = self.0.get(1..self.0.len().saturating_sub(1)).unwrap_or_default();
        match self.0.as_bytes().first() {
            Some(b'"') => Value::Text(text(self.0, inside)),
            Some(b'[') => Value::List(Elements(Values(inside))),
            Some(b'{') => Value::Object(Fields(Values(inside))),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') | None => Value::Null,
            Some(_) => Value::Number(self.0),
        }
    }

    /// The value to which a pointer leads (RFC 6901). Of a field that is given twice the last counts.
    #[must_use]
    pub fn at(self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        let step = |json: Self, token: &str| {
            let is_plain = !token.contains('~');
            if is_plain { json.child(token) } else { json.child(&token.replace("~1", "/").replace("~0", "~")) }
        };
        pointer.strip_prefix('/')?.split('/').try_fold(self, step)
    }

    fn child(self, token: &str) -> Option<Self> {
        match self.value() {
            Value::Object(fields) => fields.filter(|(name, _)| name == token).last().map(|(_, value)| value),
            Value::List(mut elements) => {
                let is_index = token == "0" || !token.starts_with(['0', '+']);
                elements.nth(token.parse().ok().filter(|_| is_index)?)
            }
            _ => None,
        }
    }
}

/// The elements of a list, in their order.
#[derive(Debug, Clone)]
pub struct Elements<'a>(Values<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        self.0.next()
    }
}

/// The fields of an object, in their order; a name may be there twice.
#[derive(Debug, Clone)]
pub struct Fields<'a>(Values<'a>);

impl<'a> Iterator for Fields<'a> {
    type Item = (Cow<'a, str>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        // A name is always a string.
        let Value::Text(name) = self.0.next()?.value() else { return None };
        Some((name, self.0.next()?))
    }
}

/// What is left of a list or an object: values with commas, colons and white space between them.
#[derive(Debug, Clone)]
struct Values<'a>(&'a str);

impl<'a> Values<'a> {
    fn next(&mut self) -> Option<Json<'a>> {
        let is_between = |byte: &u8| matches!(byte, b',' | b':' | b' ' | b'\n' | b'\r' | b'\t');
        let begin = self.0.as_bytes().iter().position(|byte| !is_between(byte))?;
        let (_, rest) = self.0.split_at_checked(begin)?;
        let (value, rest) = rest.split_at_checked(length_of_first(rest.as_bytes()))?;
        self.0 = rest;
        Some(Json(value))
    }
}

/// How long the value is with which the bytes begin.
fn length_of_first(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(b'"') => 1 + rest_of_string(&bytes[1..]),
        Some(b'[' | b'{') => length_of_nested(bytes),
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b' ' | b'\n' | b'\r' | b'\t');
            bytes.iter().position(ends).unwrap_or(bytes.len())
        }
    }
}

/// The same for a list or an object.
fn length_of_nested(bytes: &[u8]) -> usize {
    let (mut at, mut open) = (0, 0_usize);
    while let Some(next) = bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'[' | b'{' | b']' | b'}')) {
        at += next + 1;
        match bytes[at - 1] {
            b'"' => at += rest_of_string(&bytes[at..]),
            b'[' | b'{' => open += 1,
            _ => open = open.saturating_sub(1),
        }
        if open == 0 {
            return at;
        }
    }
    bytes.len()
}

/// How long the rest of a string is, behind its opening quote and with the closing one.
fn rest_of_string(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        at += next + 1;
        if bytes[at - 1] == b'"' {
            return at;
        }
        // Skips the escaped byte, whatever it is.
        at = (at + 1).min(bytes.len());
    }
    bytes.len()
}

fn text<'a>(quoted: &'a str, inside: &'a str) -> Cow<'a, str> {
    if inside.as_bytes().contains(&b'\\') {
        // The text has been checked, so it parses.
        serde_json::from_str(quoted).map_or(Cow::Borrowed(inside), Cow::Owned)
    } else {
        Cow::Borrowed(inside)
    }
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\n' | '\r' | '\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Number, Value as Tree, json};

    use super::*;

    fn json(text: &str) -> Json<'_> {
        Json::checked(text).unwrap()
    }

    /// All of it, as a tree.
    fn tree(json: Json<'_>) -> Tree {
        match json.value() {
            Value::Null => Tree::Null,
            Value::Bool(value) => value.into(),
            Value::Number(text) => serde_json::from_str::<Number>(text).unwrap().into(),
            Value::Text(text) => text.into(),
            Value::List(elements) => elements.map(tree).collect(),
            Value::Object(fields) => {
                fields.map(|(name, value)| (name.into_owned(), tree(value))).collect::<Map<_, _>>().into()
            }
        }
    }

    #[test]
    fn values_are_found_where_they_stand() {
        let text = " { \"a\" : [ 1 , \"x\\\"]\" , { } , [ ] ] ,\t\"b\\u0041\":{\"c\":null,\"d\":-1.5e3},\"e\":true\n,\"\":\"\" } ";
        assert_eq!(tree(json(text)), serde_json::from_str::<Tree>(text).unwrap());
        for scalar in ["null", " 7 ", "\"\"", "[]", "{}", "[[]]", "{\"a\":{}}", "-0", "\"\\\\\"", "[\"\\\\\",1]"] {
            assert_eq!(tree(json(scalar)), serde_json::from_str::<Tree>(scalar).unwrap(), "{scalar}");
        }
    }

    #[test]
    fn pointers_lead_where_those_of_rfc_6901_lead() {
        let text = r#"{"a":{"b/c":[10,{"~":"x"}],"":2},"a b":3,"t":1,"t":{"u":2}}"#;
        let value: Tree = serde_json::from_str(text).unwrap();
        for pointer in [
            "",
            "/",
            "/a",
            "/a/",
            "/a/b~1c",
            "/a/b~1c/0",
            "/a/b~1c/1/~0",
            "/a b",
            "/t/u",
            "/a/b~1c/01",
            "/a/b~1c/+1",
            "/a/b~1c/2",
            "/a/b~1c/-",
            "/x",
            "a",
            "/t/u/v",
            "/a/b~1c/x",
        ] {
            assert_eq!(json(text).at(pointer).map(tree).as_ref(), value.pointer(pointer), "{pointer}");
        }
        assert_eq!(json(" [ 1.50 ] ").at("/0").unwrap().as_written(), "1.50");
    }

    fn document() -> impl Strategy<Value = Tree> {
        let scalar = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Tree::from),
            any::<i64>().prop_map(Tree::from),
            any::<f64>().prop_map(Tree::from),
            "(\\PC|[\"\\\\\n\u{1}]){0,6}".prop_map(Tree::from),
        ];
        scalar.prop_recursive(5, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::from),
                prop::collection::btree_map("(\\PC|[\"\\\\]){0,3}", inner, 0..5)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_walk_through_all_of_it_finds_what_a_tree_holds(document in document(), pretty in any::<bool>()) {
            let write = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
            let text = write(&document).unwrap();
            // Written and read once more, since a double may be read with another last digit.
            prop_assert_eq!(tree(json(&text)), serde_json::from_str::<Tree>(&text).unwrap());
        }
    }
}
