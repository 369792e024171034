//! A message as patterns see it: an object with only the fields that a pattern names. It reads nothing else, and copies
//! only strings with escapes. A list in the payload is read in place, so no payload is parsed into a tree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::rule::Scalar;
use super::vocabulary::{PAYLOAD, QOS, RETAIN, TOPIC, TOPIC_LEVELS, USER_PROPERTIES};
use crate::message::Message;
use crate::payload::{Elements, Json, Look, Value};
use crate::topic::levels;

/// The fields that patterns name, and of each the fields that they name in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted(BTreeMap<String, Wanted>);

/// The wanted fields of an object.
pub(super) type View<'a> = BTreeMap<&'a str, Seen<'a>>;

/// A field of a message, or of its payload.
#[derive(Debug)]
pub(super) enum Seen<'a> {
    Object(View<'a>),
    /// A list of the payload, and the fields that are wanted of its elements.
    Elements(Elements<'a>, &'a Wanted),
    /// A list of the message.
    Texts(Vec<&'a str>),
    Scalar(Scalar<'a>),
}

impl Wanted {
    /// Wants the field of that name, and gives what is wanted of it.
    pub(super) fn field_mut(&mut self, name: &str) -> &mut Self {
        self.0.entry(name.to_owned()).or_default()
    }

    /// The message with the wanted fields. It has no `payload` when that is neither text nor JSON. Asks for the payload
    /// only when it is wanted.
    pub(super) fn view<'a>(&'a self, message: &'a Message, payload: impl FnOnce() -> Look<'a>) -> View<'a> {
        let mut payload = Some(payload);
        let mut view = View::new();
        for (name, wanted) in &self.0 {
            let seen = match name.as_str() {
                PAYLOAD => payload.take().and_then(|payload| wanted.payload(payload())),
                name => wanted.field(name, message),
            };
            view.extend(seen.map(|seen| (name.as_str(), seen)));
        }
        view
    }

    fn field<'a>(&'a self, name: &str, message: &'a Message) -> Option<Seen<'a>> {
        match name {
            TOPIC => Some(Seen::Scalar(Scalar::Text(Cow::Borrowed(&message.topic)))),
            TOPIC_LEVELS => Some(Seen::Texts(levels(&message.topic).collect())),
            QOS => Some(Seen::Scalar(Scalar::Number((message.qos as u8).into()))),
            RETAIN => Some(Seen::Scalar(Scalar::Bool(message.retain))),
            USER_PROPERTIES => Some(Seen::Object(self.user_properties(message))),
            _ => None,
        }
    }

    /// JSON, or text as a string: as the function gets it.
    fn payload<'a>(&'a self, payload: Look<'a>) -> Option<Seen<'a>> {
        match payload {
            Look::Json(json) => Some(self.see(json)),
            Look::Text(text) => Some(Seen::Scalar(Scalar::Text(Cow::Borrowed(text)))),
            Look::Bytes => None,
        }
    }

    /// Name to values, for a name may be given more than once (MQTT 5, 3.3.2.3.7).
    fn user_properties<'a>(&'a self, message: &'a Message) -> View<'a> {
        let mut values = View::new();
        for (name, value) in message.properties.iter().flat_map(|properties| &properties.user) {
            if self.0.contains_key(name)
                && let Seen::Texts(values) = values.entry(name.as_str()).or_insert_with(|| Seen::Texts(Vec::new()))
            {
                values.push(value);
            }
        }
        values
    }

    /// A value of the payload with the wanted fields.
    pub(super) fn see<'a>(&'a self, json: Json<'a>) -> Seen<'a> {
        match json.value() {
            Value::Null => Seen::Scalar(Scalar::Null),
            Value::Bool(value) => Seen::Scalar(Scalar::Bool(value)),
            // The text has been checked, so it parses.
            Value::Number(text) => Seen::Scalar(text.parse().map_or(Scalar::Null, Scalar::Number)),
            Value::Text(text) => Seen::Scalar(Scalar::Text(text)),
            Value::List(elements) => Seen::Elements(elements, self),
            Value::Object(_) if self.0.is_empty() => Seen::Object(View::new()),
            Value::Object(fields) => {
                let wanted = fields.filter_map(|(name, value)| Some((self.0.get_key_value(&*name)?, value)));
                Seen::Object(wanted.map(|((name, wanted), value)| (name.as_str(), wanted.see(value))).collect())
            }
        }
    }
}
