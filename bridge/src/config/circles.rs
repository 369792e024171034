//! Finds mappings whose published messages can come back to them: directly, which the configuration refuses, or through
//! other mappings, which is only a warning, because a function may know when to stop. Pure.

use std::collections::BTreeSet;

use super::{Mapping, OnFailure};
use crate::topic::TopicFilter;

/// Something that a mapping can have published.
pub(super) struct Output {
    /// The key that says so.
    pub(super) key: &'static str,
    /// As it is written there.
    pub(super) text: String,
    /// All topics that it can be.
    topics: TopicFilter,
}

impl Output {
    /// Whether a message of it could be one of this mapping's.
    pub(super) fn reaches(&self, mapping: &Mapping) -> bool {
        mapping.topic_filter.iter().any(|filter| self.topics.overlaps(filter))
    }
}

/// The topics to which a mapping can publish: answers, replies and dead letters.
pub(super) fn outputs(mapping: &Mapping) -> impl Iterator<Item = Output> + '_ {
    let output = |key, text: &str, filter: &str| {
        let (text, topics) = (text.to_owned(), filter.parse().ok()?);
        Some(Output { key, text, topics })
    };
    let dead = mapping.on_failure.iter().filter_map(move |on_failure| match on_failure {
        OnFailure::Topic(topic) => output("mapping.on_failure.topic", topic, topic),
        _ => None,
    });
    let replies = mapping.reply_topics.iter().filter(|_| mapping.reply);
    let replies = replies.filter_map(move |topic| output("mapping.reply_topics", topic, &holes_as_wildcards(topic)));
    let answers = mapping.response.allow.iter().map(TopicFilter::as_str);
    let answers = answers.filter_map(move |filter| output("mapping.response.allow", filter, filter));
    dead.chain(replies).chain(answers)
}

/// Whole levels: the text beside a hole says little about the level that the two make together.
fn holes_as_wildcards(topic: &str) -> String {
    let levels: Vec<_> = topic.split('/').map(|level| if level.contains("{topic[") { "+" } else { level }).collect();
    levels.join("/")
}

/// The groups of mappings in which a message of each can lead to another one of each, through all of them; by their
/// names, in the order of the configuration.
#[must_use]
pub fn circles(mappings: &[Mapping]) -> Vec<Vec<&str>> {
    let reached: Vec<_> = (0..mappings.len()).map(|from| reached(mappings, from)).collect();
    let mut seen = BTreeSet::new();
    let mut groups = Vec::new();
    for from in 0..mappings.len() {
        let group: Vec<_> =
            (0..mappings.len()).filter(|to| reached[from].contains(to) && reached[*to].contains(&from)).collect();
        if group.len() > 1 && seen.insert(group.clone()) {
            groups.push(group.into_iter().map(|index| mappings[index].name.as_str()).collect());
        }
    }
    groups
}

/// All mappings that messages of this one can get to, over any number of others.
fn reached(mappings: &[Mapping], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(from) = next.pop() {
        let outputs: Vec<_> = outputs(&mappings[from]).collect();
        let direct = mappings.iter().enumerate().filter(|(_, to)| outputs.iter().any(|output| output.reaches(to)));
        next.extend(direct.map(|(to, _)| to).filter(|to| reached.insert(*to)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::super::read_text;

    /// The circles among mappings, each written as its filter and the topics that its function may answer to.
    fn circles(mappings: &[(&str, &str, &str)]) -> Vec<Vec<String>> {
        let table = |(name, filter, allow): &(&str, &str, &str)| {
            format!(
                "[[mapping]]\nname = \"{name}\"\nfunction = \"f\"\ntopic_filter = \"{filter}\"\nresponse.allow = [\"{allow}\"]\n"
            )
        };
        let text = mappings.iter().map(table).collect::<String>() + "[mqtt]\nurl = \"mqtts://b\"\n";
        let config = read_text(&text).unwrap();
        super::circles(&config.mappings).iter().map(|group| group.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn f49_messages_that_come_back_through_others_are_found() {
        let two = [("a", "a/+", "b/1"), ("b", "b/#", "a/1")];
        assert_eq!(circles(&two), [["a", "b"]]);
        let three = [("a", "$share/g/a/+", "b/1"), ("c", "c", "a/1"), ("other", "x/+", "b/2"), ("b", "b/+", "c")];
        assert_eq!(circles(&three), [["a", "c", "b"]], "`other` leads into it and is not part of it");
        let two_pairs = [("a", "a", "b"), ("b", "b", "a"), ("c", "c", "d"), ("d", "d", "c")];
        assert_eq!(circles(&two_pairs), [["a", "b"], ["c", "d"]]);
    }

    #[test]
    fn a_chain_that_ends_is_no_circle() {
        assert_eq!(circles(&[("a", "a", "b"), ("b", "b", "c"), ("c", "c", "d")]), Vec::<Vec<String>>::new());
    }
}
