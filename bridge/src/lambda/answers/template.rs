//! Topic templates: `{topic[1]}` stands for that level of the record's own topic. Pure.

use std::borrow::Cow;

use super::Refusal;
use crate::delivery::Delivery;
use crate::lambda::work;
use crate::topic::{MAX_BYTES, levels};

const OPEN: &str = "{topic[";
const CLOSE: &str = "]}";

/// The levels of the topics of some records, read once for all templates that are about them: `None` where the records
/// differ.
pub(super) struct Levels<'d>(Vec<Option<&'d str>>);

impl<'d> Levels<'d> {
    pub(super) fn of(deliveries: &'d [Delivery]) -> Self {
        work::read(deliveries.len());
        let mut topics = deliveries.iter().map(|delivery| &*delivery.message.topic);
        let mut common: Vec<_> = topics.next().into_iter().flat_map(levels).map(Some).collect();
        for topic in topics {
            let mut theirs = levels(topic);
            for level in &mut common {
                if theirs.next() != *level {
                    *level = None;
                }
            }
        }
        Self(common)
    }

    fn at(&self, index: &str) -> Result<&'d str, &'static str> {
        let digits = index.bytes().all(|byte| byte.is_ascii_digit());
        let index: usize = index.parse().ok().filter(|_| digits).ok_or("`{topic[…]}` needs a level, counted from 0")?;
        let level = self.0.get(index).ok_or("the record's topic has no such level")?;
        level.ok_or("the records of this event differ in that level; name the topic in full")
    }
}

/// Whether there is something to fill.
pub(super) fn has_holes(template: &str) -> bool {
    template.contains(OPEN)
}

/// The topic with its holes filled. All records of the event must have the same level there: with several there is no
/// telling which of them the function means. Other braces stand for themselves. Ends where no topic name can be longer.
pub(super) fn expand<'a>(template: &'a str, levels: &Levels<'_>) -> Result<Cow<'a, str>, Refusal> {
    let refused = |cause| Refusal::Template { topic: template.into(), cause };
    let Some((before, mut rest)) = template.split_once(OPEN) else { return Ok(template.into()) };
    let mut topic = before.to_owned();
    loop {
        let (index, after) = rest.split_once(CLOSE).ok_or_else(|| refused("`{topic[` without its `]}`"))?;
        topic.push_str(levels.at(index).map_err(refused)?);
        if topic.len() > MAX_BYTES {
            return Err(refused("longer than 65,535 bytes once it is filled"));
        }
        let Some((before, next)) = after.split_once(OPEN) else {
            topic.push_str(after);
            return Ok(topic.into());
        };
        topic.push_str(before);
        rest = next;
    }
}
