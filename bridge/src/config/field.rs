//! Names a part of a message: its ordering key, or its id. Does not read messages.

use std::str::FromStr;

use super::InvalidValue;

/// The field that is the ordering key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderingKey {
    /// `topic[1]`: a level of the topic, counted from 0.
    TopicLevel(usize),
    /// `payload:/device_id`: a JSON Pointer (RFC 6901) into a JSON payload; never empty.
    Payload(String),
    /// `property:device`: the name of an MQTT 5 user property; never empty.
    Property(String),
}

/// The field with the publisher's id of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageId {
    /// `payload:/message_id`: a JSON Pointer (RFC 6901) into a JSON payload; never empty.
    Payload(String),
    /// `property:message-id`: the name of an MQTT 5 user property; never empty.
    Property(String),
}

impl FromStr for OrderingKey {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if let Some(index) = text.strip_prefix("topic[") {
            return level(index).map(Self::TopicLevel);
        }
        match field(text)? {
            Some(Field::Payload(pointer)) => Ok(Self::Payload(pointer)),
            Some(Field::Property(name)) => Ok(Self::Property(name)),
            None => Err(InvalidValue::new(
                "not an ordering key; write for example `topic[1]`, `payload:/device_id` or `property:device`",
            )),
        }
    }
}

impl FromStr for MessageId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match field(text)? {
            Some(Field::Payload(pointer)) => Ok(Self::Payload(pointer)),
            Some(Field::Property(name)) => Ok(Self::Property(name)),
            None => Err(InvalidValue::new(
                "not a message id; write for example `payload:/message_id` or `property:message-id`",
            )),
        }
    }
}

/// What both kinds of names have in common.
enum Field {
    Payload(String),
    Property(String),
}

/// `None` when it names neither the payload nor a property.
fn field(text: &str) -> Result<Option<Field>, InvalidValue> {
    if let Some(pointer) = text.strip_prefix("payload:") {
        return json_pointer(pointer).map(|pointer| Some(Field::Payload(pointer)));
    }
    if let Some(name) = text.strip_prefix("property:") {
        return property(name).map(|name| Some(Field::Property(name)));
    }
    Ok(None)
}

/// Reads `1]`.
fn level(text: &str) -> Result<usize, InvalidValue> {
    let digits = text.strip_suffix(']').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| InvalidValue::new("not a level of a topic; the first is `topic[0]`, the second `topic[1]`"))
}

/// RFC 6901, section 3, without the empty pointer, which would be the whole payload.
fn json_pointer(text: &str) -> Result<String, InvalidValue> {
    if !text.starts_with('/') {
        return Err(InvalidValue::new("not a JSON Pointer (RFC 6901); write for example `payload:/device_id`"));
    }
    if text.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) {
        return Err(InvalidValue::new("in a JSON Pointer (RFC 6901) `~` is written `~0`, and `/` in a name `~1`"));
    }
    Ok(text.to_owned())
}

fn property(name: &str) -> Result<String, InvalidValue> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(InvalidValue::new("not the name of a user property; write for example `property:device`"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: FromStr<Err = InvalidValue> + std::fmt::Debug>(text: &str) -> String {
        text.parse::<T>().unwrap_err().to_string()
    }

    #[test]
    fn each_part_of_a_message_can_be_named() {
        assert_eq!("topic[0]".parse(), Ok(OrderingKey::TopicLevel(0)));
        assert_eq!("topic[12]".parse(), Ok(OrderingKey::TopicLevel(12)));
        assert_eq!("payload:/device_id".parse(), Ok(OrderingKey::Payload("/device_id".to_owned())));
        assert_eq!("payload:/a/0/b~0c~1d e".parse(), Ok(OrderingKey::Payload("/a/0/b~0c~1d e".to_owned())));
        assert_eq!("payload:/".parse(), Ok(MessageId::Payload("/".to_owned())));
        assert_eq!("property:message-id".parse(), Ok(MessageId::Property("message-id".to_owned())));
        assert_eq!("property:a:b".parse(), Ok(OrderingKey::Property("a:b".to_owned())));
    }

    #[test]
    fn levels_are_counted_from_zero_in_digits() {
        for text in ["topic[", "topic[]", "topic[-1]", "topic[+1]", "topic[1", "topic[a]", "topic[1] ", "topic[1][2]"] {
            assert!(refusal::<OrderingKey>(text).contains("the first is `topic[0]`"), "{text}");
        }
        assert!(refusal::<OrderingKey>(&format!("topic[{}]", "9".repeat(30))).contains("not a level"));
    }

    #[test]
    fn pointers_follow_rfc_6901() {
        for text in ["payload:", "payload:device_id", "payload: /a", "payload:$.a", "payload:#/a"] {
            assert!(refusal::<OrderingKey>(text).starts_with("not a JSON Pointer"), "{text}");
            assert!(refusal::<MessageId>(text).starts_with("not a JSON Pointer"), "{text}");
        }
        for text in ["payload:/a~", "payload:/a~2b", "payload:/~/b", "payload:/~~0"] {
            assert!(refusal::<MessageId>(text).contains("`~` is written `~0`"), "{text}");
        }
    }

    #[test]
    fn other_names_are_refused_with_examples() {
        for text in ["", "topic", "device_id", "Payload:/a", "payload", "header:a", " topic[1]"] {
            assert!(refusal::<OrderingKey>(text).contains("write for example `topic[1]`"), "{text}");
        }
        assert!(refusal::<MessageId>("topic[1]").contains("write for example `payload:/message_id`"));
        for text in ["property:", "property:a\nb", "property:\0"] {
            assert!(refusal::<MessageId>(text).starts_with("not the name of a user property"), "{text}");
        }
    }
}
