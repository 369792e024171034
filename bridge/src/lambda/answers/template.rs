//! Topics with holes: `{topic[1]}` stands for that level of the record's own topic. Pure.

use std::borrow::Cow;

use super::Refusal;
use crate::delivery::Delivery;
use crate::topic::levels;

const OPEN: &str = "{topic[";
const CLOSE: &str = "]}";

/// The topic with its holes filled. All deliveries of the event must have the same level there: with several there is
/// no telling which of them the function means. Other braces stand for themselves.
pub(super) fn expand<'a>(template: &'a str, deliveries: &[Delivery]) -> Result<Cow<'a, str>, Refusal> {
    let refused = |cause| Refusal::Template { topic: template.into(), cause };
    let Some((before, mut rest)) = template.split_once(OPEN) else { return Ok(template.into()) };
    let mut topic = before.to_owned();
    loop {
        let (index, after) = rest.split_once(CLOSE).ok_or_else(|| refused("`{topic[` without its `]}`"))?;
        topic.push_str(level(index, deliveries).map_err(refused)?);
        let Some((before, next)) = after.split_once(OPEN) else {
            topic.push_str(after);
            return Ok(topic.into());
        };
        topic.push_str(before);
        rest = next;
    }
}

/// The level that all deliveries have in common.
fn level<'d>(index: &str, deliveries: &'d [Delivery]) -> Result<&'d str, &'static str> {
    let digits = index.bytes().all(|byte| byte.is_ascii_digit());
    let index: usize = index.parse().ok().filter(|_| digits).ok_or("`{topic[…]}` needs a level, counted from 0")?;
    let mut found = deliveries.iter().map(|delivery| levels(&delivery.message.topic).nth(index));
    let first = found.next().flatten().ok_or("the record's topic has no such level")?;
    if found.any(|other| other != Some(first)) {
        return Err("the records of this event differ in that level; name the topic in full");
    }
    Ok(first)
}
