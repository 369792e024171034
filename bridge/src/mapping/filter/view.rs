//! A message as patterns see it: an object of those fields alone that a pattern names. Nothing else of it is copied, and of
//! a payload nothing else is kept.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::tree::{Node, Tree};
use super::vocabulary::{PAYLOAD, QOS, RETAIN, TOPIC, TOPIC_LEVELS, USER_PROPERTIES};
use crate::message::Message;
use crate::topic::levels;

/// The fields that patterns name, and of each the fields that they name in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted(BTreeMap<String, Wanted>);

impl Wanted {
    /// Wants the fields of this pattern, too.
    pub(super) fn add(&mut self, tree: &Tree) {
        for (name, node) in tree.nodes() {
            let wanted = self.0.entry(name.clone()).or_default();
            if let Node::Branch(tree) = node {
                wanted.add(tree);
            }
        }
    }

    /// The message with the wanted fields. It has no `payload` when that is neither text nor JSON.
    pub(super) fn view(&self, message: &Message) -> Map<String, Value> {
        let field = |(name, wanted): (&String, &Self)| Some((name.clone(), wanted.field(name, message)?));
        self.0.iter().filter_map(field).collect()
    }

    fn field(&self, name: &str, message: &Message) -> Option<Value> {
        match name {
            PAYLOAD => self.payload(&message.payload),
            TOPIC => Some(message.topic.to_string().into()),
            TOPIC_LEVELS => Some(levels(&message.topic).collect()),
            QOS => Some((message.qos as u8).into()),
            RETAIN => Some(message.retain.into()),
            USER_PROPERTIES => Some(self.user_properties(message)),
            _ => None,
        }
    }

    /// JSON, or text as a JSON string: as the function gets it.
    fn payload(&self, payload: &[u8]) -> Option<Value> {
        let text = std::str::from_utf8(payload).ok()?;
        let mut json = serde_json::Deserializer::from_str(text);
        let value = self.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
        // JSON that cannot be held, such as ten thousand brackets or 1e999, is not the text of a sensor.
        value.ok().or_else(|| serde_json::from_str::<IgnoredAny>(text).is_err().then(|| text.into()))
    }

    /// Name to values, for a name may be given more than once (MQTT 5, 3.3.2.3.7).
    fn user_properties(&self, message: &Message) -> Value {
        let mut values: Map<String, Value> = Map::new();
        for (name, value) in message.properties.iter().flat_map(|properties| &properties.user) {
            if self.0.contains_key(name)
                && let Value::Array(values) = values.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()))
            {
                values.push(value.clone().into());
            }
        }
        values.into()
    }
}

/// Reads JSON, keeping of every object the wanted fields only. What is not kept is skipped without a tree being built, and
/// without a limit to its depth.
impl<'de> DeserializeSeed<'de> for &Wanted {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Wanted {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            kept.push(element);
        }
        Ok(kept.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if let Some(wanted) = self.0.get(&name) {
                let value = fields.next_value_seed(wanted)?;
                kept.insert(name, value);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(kept.into())
    }
}
