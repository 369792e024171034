//! What the function's response has to say to devices: the messages to publish, and the replies to those who asked for
//! one. Pure; checks everything that a broker could only answer by closing the connection.

mod template;

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use event::{PayloadError, Reply, Response};

use super::Failure;
use crate::config::{Qos, ResponseTopics};
use crate::delivery::Delivery;
use crate::message::Properties;
use crate::outgoing::Outgoing;
use crate::topic::{TopicError, validate_topic_name};

/// What a response has published.
#[derive(Debug, Default)]
pub struct Answers {
    /// What to publish before the records are settled, in the order of the response, replies last.
    pub outgoing: Vec<Outgoing>,
    /// Replies that are left out because of the Response Topic that the publisher of the record chose. They are not the
    /// function's fault, and no reason to invoke it again: a device must not be able to hold up its neighbours.
    pub refused: Vec<Refusal>,
}

/// Why a message is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No filter of the mapping allows the topic.
    #[error("topic `{}`: not allowed by this mapping; add a filter for it to `response.allow`", .0.escape_debug())]
    NotAllowed(String),
    /// MQTT has no such topic name.
    #[error(transparent)]
    Invalid(#[from] TopicError),
    /// Topics that begin with `$` are the broker's own (MQTT 5, 4.7.2).
    #[error("topic `{}`: begins with `$`, which is for the broker's own topics", .0.escape_debug())]
    Dollar(String),
    /// A character for which a broker may close the connection (MQTT 5, 1.5.4).
    #[error("topic `{}`: holds a control character or a Unicode non-character", .0.escape_debug())]
    Character(String),
    /// A topic template that stands for nothing.
    #[error("topic `{}`: {cause}", .topic.escape_debug())]
    Template {
        /// As the function wrote it.
        topic: String,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// Any quality of service but 0 and 1.
    #[error("publish to `{}`: qos {qos} is not spoken here; use 0 or 1", .topic.escape_debug())]
    Qos {
        /// Where to.
        topic: String,
        /// What was asked for.
        qos: u8,
    },
    /// A payload that its encoding does not fit.
    #[error("publish to `{}`: {cause}", .topic.escape_debug())]
    Payload {
        /// Where to.
        topic: String,
        /// What is wrong with it.
        cause: PayloadError,
    },
    /// A reply to a record that is not in the event.
    #[error("reply: `{}` is no record of this event", .0.escape_debug())]
    UnknownRecord(String),
}

impl From<Refusal> for Failure {
    /// Another attempt would bring the same response.
    fn from(refusal: Refusal) -> Self {
        Self { kind: "Function.RefusedResponse".into(), message: refusal.to_string(), retry: false }
    }
}

impl Answers {
    /// The answers in `response` to the event of these deliveries, of which those in `failures`, by their index, get no
    /// reply. `reply` says whether the mapping gives replies at all. Nothing of a faulty response is published.
    ///
    /// # Errors
    /// When the function asks for something that this mapping does not allow, or that MQTT cannot carry.
    pub fn of(
        response: &Response,
        deliveries: &[Delivery],
        failures: &HashMap<usize, Failure>,
        topics: &ResponseTopics,
        reply: bool,
    ) -> Result<Self, Refusal> {
        let mut answers = Self::default();
        for publish in &response.publish {
            let topic = template::expand(&publish.topic, deliveries)?.into_owned();
            check(&topic, topics)?;
            let qos = qos(&topic, publish.qos.unwrap_or(topics.qos as u8))?;
            let payload = bytes(&topic, publish.bytes())?;
            let retain = publish.retain;
            answers.outgoing.push(Outgoing { topic: topic.into(), payload, qos, retain, properties: None });
        }
        for answer in response.reply.iter().filter(|_| reply) {
            let index = index_of(answer, deliveries)?;
            if !failures.contains_key(&index) {
                answers.reply(answer, &deliveries[index], topics)?;
            }
        }
        Ok(answers)
    }

    /// MQTT 5, 4.10: to the Response Topic, with the Correlation Data. Nothing when no answer is asked for.
    fn reply(&mut self, answer: &Reply, to: &Delivery, topics: &ResponseTopics) -> Result<(), Refusal> {
        let Some(asked) = to.message.properties.as_deref() else { return Ok(()) };
        let Some(topic) = &asked.response_topic else { return Ok(()) };
        let qos = qos(topic, topics.qos as u8)?;
        let payload = bytes(topic, answer.bytes())?;
        if let Err(refusal) = check(topic, topics) {
            self.refused.push(refusal);
            return Ok(());
        }
        let properties = asked
            .correlation_data
            .clone()
            .map(|data| Box::new(Properties { correlation_data: Some(data), ..Properties::default() }));
        self.outgoing.push(Outgoing { topic: topic.as_str().into(), payload, qos, retain: false, properties });
        Ok(())
    }
}

fn check(topic: &str, topics: &ResponseTopics) -> Result<(), Refusal> {
    validate_topic_name(topic)?;
    if topic.starts_with('$') {
        return Err(Refusal::Dollar(topic.into()));
    }
    if topic.chars().any(|character| character.is_control() || is_noncharacter(character)) {
        return Err(Refusal::Character(topic.into()));
    }
    if !topics.allow.iter().any(|filter| filter.matches(topic)) {
        return Err(Refusal::NotAllowed(topic.into()));
    }
    Ok(())
}

/// The Unicode Standard, 23.7.
fn is_noncharacter(character: char) -> bool {
    let code = u32::from(character);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

fn qos(topic: &str, asked: u8) -> Result<Qos, Refusal> {
    match asked {
        0 => Ok(Qos::AtMostOnce),
        1 => Ok(Qos::AtLeastOnce),
        qos => Err(Refusal::Qos { topic: topic.into(), qos }),
    }
}

fn bytes(topic: &str, payload: Result<Cow<'_, [u8]>, PayloadError>) -> Result<Bytes, Refusal> {
    match payload {
        Ok(bytes) => Ok(bytes.into_owned().into()),
        Err(cause) => Err(Refusal::Payload { topic: topic.into(), cause }),
    }
}

fn index_of(answer: &Reply, deliveries: &[Delivery]) -> Result<usize, Refusal> {
    let index = deliveries.iter().position(|delivery| delivery.id.to_string() == answer.item_identifier);
    index.ok_or_else(|| Refusal::UnknownRecord(answer.item_identifier.clone()))
}

#[cfg(test)]
mod tests;
