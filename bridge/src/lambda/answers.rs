//! The answers in a function's response: messages to publish, and replies to records that asked for one. Pure; rejects
//! everything that would make a broker close the connection.

mod template;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use bytes::Bytes;
use event::{PayloadError, Publish, Reply, Response};

use super::{Failure, work};
use crate::config::{Qos, ResponseTopics};
use crate::delivery::Delivery;
use crate::foreign::Foreign;
use crate::message::Properties;
use crate::outgoing::Outgoing;
use crate::topic::{TopicError, validate_topic_name};
use template::Levels;

/// The answers in a response.
#[derive(Debug, Default)]
pub struct Answers {
    /// What to publish before the records are settled, in the order of the response, replies last.
    pub all: Vec<Answer>,
    /// Replies that are left out because of the Response Topic that the publisher of the record chose. They are not the
    /// function's fault: a device must not be able to hold up its neighbours.
    /// Each with the index of its record.
    pub refused: Vec<(usize, Refusal)>,
}

/// One message that the function wants published. Each is handled separately: an error in one does not affect the
/// others.
#[derive(Debug)]
pub struct Answer {
    /// The message; when it is refused, as far as the function has given it.
    pub outgoing: Outgoing,
    /// The index of the record it is about.
    pub record: Option<usize>,
    /// Why it must not be published.
    pub refusal: Option<Refusal>,
}

/// Why a message is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No filter of the mapping allows the topic.
    #[error("topic `{}`: not allowed by this mapping; add a filter for it to `response.allow`", .0)]
    NotAllowed(Foreign),
    /// It is none of the reply topics that the record has.
    #[error("topic `{}`: no reply topic of this record; add a template for it to `reply_topics`", .0)]
    NoReplyTopic(Foreign),
    /// MQTT has no such topic name.
    #[error(transparent)]
    Invalid(#[from] TopicError),
    /// Topics that begin with `$` are the broker's own (MQTT 5, 4.7.2).
    #[error("topic `{}`: begins with `$`, which is for the broker's own topics", .0)]
    Dollar(Foreign),
    /// A character for which a broker may close the connection (MQTT 5, 1.5.4).
    #[error("topic `{}`: holds a control character or a Unicode non-character", .0)]
    Character(Foreign),
    /// A topic template that stands for nothing.
    #[error("topic `{}`: {cause}", .topic)]
    Template {
        /// As the function wrote it.
        topic: Foreign,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// Any quality of service but 0 and 1.
    #[error("publish to `{}`: qos {qos} is not spoken here; use 0 or 1", .topic)]
    Qos {
        /// Where to.
        topic: Foreign,
        /// What was asked for.
        qos: u8,
    },
    /// A payload that its encoding does not fit.
    #[error("publish to `{}`: {cause}", .topic)]
    Payload {
        /// Where to.
        topic: Foreign,
        /// What is wrong with it.
        cause: PayloadError,
    },
    /// About a record that is not in the event.
    #[error("`{}` is no record of this event", .0)]
    UnknownRecord(Foreign),
}

/// The records of an event by their ids, found once and only for a response that needs them.
struct Records<'d> {
    deliveries: &'d [Delivery],
    by_id: OnceCell<HashMap<String, usize>>,
    /// The topic levels of one record, or those of all.
    levels: HashMap<Option<usize>, Levels<'d>>,
}

impl<'d> Records<'d> {
    fn of(deliveries: &'d [Delivery]) -> Self {
        Self { deliveries, by_id: OnceCell::new(), levels: HashMap::new() }
    }

    fn index_of(&self, id: &str) -> Result<usize, Refusal> {
        let index = |deliveries: &[Delivery]| {
            work::read(deliveries.len());
            (0..).zip(deliveries).map(|(n, d)| (d.id.to_string(), n)).collect()
        };
        let by_id: &HashMap<_, _> = self.by_id.get_or_init(|| index(self.deliveries));
        by_id.get(id).copied().ok_or_else(|| Refusal::UnknownRecord(id.into()))
    }

    fn topic(&mut self, template: &str, record: Option<usize>) -> Result<String, Refusal> {
        if !template::has_holes(template) {
            return Ok(template.to_owned());
        }
        template::expand(template, self.levels(record)).map(Cow::into_owned)
    }

    fn levels(&mut self, record: Option<usize>) -> &Levels<'d> {
        let all = self.deliveries;
        let about = || record.map_or(all, |index| std::slice::from_ref(&all[index]));
        self.levels.entry(record).or_insert_with(|| Levels::of(about()))
    }
}

impl Answers {
    /// The answers in `response` to the event of these deliveries. Those about a record in `failures`, by its index,
    /// are left out: they come with the attempt that succeeds. Without `reply_topics` the mapping gives no replies. The
    /// work is linear in the response and the event.
    #[must_use]
    pub fn of(
        response: &Response,
        deliveries: &[Delivery],
        failures: &HashMap<usize, Failure>,
        topics: &ResponseTopics,
        reply_topics: Option<&[String]>,
    ) -> Self {
        let mut answers = Self::default();
        let mut records = Records::of(deliveries);
        for publish in &response.publish {
            let record = publish.item_identifier.as_deref().map(|id| records.index_of(id)).transpose();
            if !matches!(record, Ok(Some(index)) if failures.contains_key(&index)) {
                answers.all.push(answer(publish, record, &mut records, topics));
            }
        }
        let Some(reply_topics) = reply_topics else { return answers };
        for reply in &response.reply {
            match records.index_of(&reply.item_identifier) {
                Ok(index) if failures.contains_key(&index) => {}
                Ok(index) => answers.reply(reply, index, &mut records, topics.qos, reply_topics),
                Err(refusal) => answers.all.push(Answer::refused(String::new(), reply.bytes(), None, refusal)),
            }
        }
        answers
    }

    /// MQTT 5, 4.10: to the Response Topic, with the Correlation Data. Nothing when no answer is asked for.
    fn reply(&mut self, reply: &Reply, index: usize, records: &mut Records<'_>, at: Qos, reply_topics: &[String]) {
        let Some(asked) = records.deliveries[index].message.properties.as_deref() else { return };
        let Some(topic) = &asked.response_topic else { return };
        if let Err(refusal) = check_reply(topic, records.levels(Some(index)), reply_topics) {
            self.refused.push((index, refusal));
            return;
        }
        let properties = asked
            .correlation_data
            .clone()
            .map(|data| Box::new(Properties { correlation_data: Some(data), ..Properties::default() }));
        let read = qos(topic, at as u8).and_then(|qos| Ok((qos, bytes(topic, reply.bytes())?)));
        self.all.push(match read {
            Ok((qos, payload)) => {
                let outgoing = Outgoing { qos, properties, ..Outgoing::new(topic.as_str(), payload) };
                Answer { outgoing, record: Some(index), refusal: None }
            }
            Err(refusal) => Answer::refused(topic.clone(), reply.bytes(), Some(index), refusal),
        });
    }
}

impl Answer {
    fn refused(
        topic: String,
        payload: Result<Cow<'_, [u8]>, PayloadError>,
        record: Option<usize>,
        refusal: Refusal,
    ) -> Self {
        let payload = payload.map(Cow::into_owned).unwrap_or_default();
        Self { outgoing: Outgoing::new(topic, payload), record, refusal: Some(refusal) }
    }
}

fn answer(
    publish: &Publish,
    record: Result<Option<usize>, Refusal>,
    records: &mut Records<'_>,
    topics: &ResponseTopics,
) -> Answer {
    let about = record.as_ref().ok().copied().flatten();
    let read = record.and_then(|record| {
        let topic = records.topic(&publish.topic, record)?;
        check(&topic, topics)?;
        let qos = qos(&topic, publish.qos.unwrap_or(topics.qos as u8))?;
        let payload = bytes(&topic, publish.bytes())?;
        Ok(Outgoing { qos, retain: publish.retain, ..Outgoing::new(topic, payload) })
    });
    match read {
        Ok(outgoing) => Answer { outgoing, record: about, refusal: None },
        Err(refusal) => Answer::refused(publish.topic.clone(), publish.bytes(), about, refusal),
    }
}

/// A device chooses its Response Topic itself, so it must be one of its own: a template of the mapping, filled from the
/// record's topic.
fn check_reply(topic: &str, levels: &Levels<'_>, reply_topics: &[String]) -> Result<(), Refusal> {
    check_name(topic)?;
    let own = |template: &String| template::expand(template, levels).is_ok_and(|own| own == topic);
    if reply_topics.iter().any(own) { Ok(()) } else { Err(Refusal::NoReplyTopic(topic.into())) }
}

fn check(topic: &str, topics: &ResponseTopics) -> Result<(), Refusal> {
    check_name(topic)?;
    if !topics.allow.iter().any(|filter| filter.matches(topic)) {
        return Err(Refusal::NotAllowed(topic.into()));
    }
    Ok(())
}

fn check_name(topic: &str) -> Result<(), Refusal> {
    validate_topic_name(topic)?;
    if topic.starts_with('$') {
        return Err(Refusal::Dollar(topic.into()));
    }
    if topic.chars().any(|character| character.is_control() || is_noncharacter(character)) {
        return Err(Refusal::Character(topic.into()));
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

#[cfg(test)]
mod tests;
