//! The topic filters of one session: which of them a message belongs to, and whether it is a spare copy of one that
//! belongs to another. Pure.
//!
//! Where several filters match a topic, a broker may send one message with the identifiers of all of them, or one for
//! each (MQTT 5, 3.3.4). Of the latter the one of the first filter goes to the function. Nothing is ever told apart by
//! its content.

use std::collections::HashSet;

use crate::topic::TopicFilter;

/// The largest subscription identifier (MQTT 5, 3.8.2.1.2).
const MAX_ID: u32 = 268_435_455;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Filters {
    all: Vec<TopicFilter>,
    /// One each, the same after every restart and whatever filters are beside it.
    ids: Vec<u32>,
    /// Whether a topic can belong to two of them.
    overlap: bool,
}

/// The filter to which a message belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belongs {
    /// To this filter.
    To(usize),
    /// To none that is configured.
    Nowhere,
    /// To a filter whose own copy comes beside this one.
    Elsewhere,
}

impl Filters {
    pub(super) fn new(all: Vec<TopicFilter>) -> Self {
        let rivals = |(index, one): (usize, &TopicFilter)| all[..index].iter().any(|other| one.overlaps(other));
        let overlap = all.iter().enumerate().any(rivals);
        let ids = identifiers(&all);
        Self { all, ids, overlap }
    }

    pub(super) fn all(&self) -> &[TopicFilter] {
        &self.all
    }

    pub(super) fn id(&self, index: usize) -> u32 {
        self.ids[index]
    }

    /// Where a message of this topic belongs that came with these identifiers. `paired` says that each message which
    /// the broker still has for the session was published when all filters were subscribed: before that, a copy may be
    /// the only one.
    pub(super) fn place(&self, topic: &str, said: &[u32], paired: bool) -> Belongs {
        let matching = |index: &usize| self.all[*index].matches(topic);
        let mut told = (0..self.all.len()).filter(|index| said.contains(&self.ids[*index]));
        let Some(told) = told.find(matching) else {
            return (0..self.all.len()).find(matching).map_or(Belongs::Nowhere, Belongs::To);
        };
        // Another member of the group may have got the other copy.
        let is_own = |index: &usize| !self.all[*index].is_shared();
        if !self.overlap || !paired || !is_own(&told) {
            return Belongs::To(told);
        }
        let first = (0..self.all.len()).filter(is_own).find(matching);
        if first.is_none_or(|first| said.contains(&self.ids[first])) { Belongs::To(told) } else { Belongs::Elsewhere }
    }

    /// For a log line: the first few.
    pub(super) fn shown(&self) -> String {
        crate::topic::some_of(&self.all)
    }
}

/// By the text of each; the next free number for one whose number another has.
fn identifiers(all: &[TopicFilter]) -> Vec<u32> {
    let mut taken = HashSet::new();
    let free = |filter: &TopicFilter| {
        let mut id = hash(filter.as_str()) % MAX_ID + 1;
        while !taken.insert(id) {
            id = id % MAX_ID + 1;
        }
        id
    };
    all.iter().map(free).collect()
}

/// FNV-1a: the same in every build of the bridge, which the standard library's hasher need not be.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Filters {
        Filters::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn identifiers_are_those_of_the_text_alone_and_differ() {
        let (one, other) = (filters(&["a/#", "b", "c"]), filters(&["x", "b"]));
        assert_eq!(one.id(1), other.id(1), "whatever is beside it");
        assert_eq!(one.id(0), 160_305_022, "and whichever build it is: the broker keeps it");
        let many: Vec<_> = (0..1000).map(|number| format!("devices/{number}/data").parse().unwrap()).collect();
        let ids: HashSet<_> = identifiers(&many).into_iter().collect();
        assert!(ids.len() == 1000 && ids.iter().all(|id| (1..=MAX_ID).contains(id)));
    }

    #[test]
    fn a_number_that_is_taken_leads_to_the_next_one() {
        let thrice: Vec<_> = ["a/#"; 3].map(|text| text.parse().unwrap()).into();
        assert_eq!(identifiers(&thrice), [160_305_022, 160_305_023, 160_305_024]);
    }

    #[test]
    fn a_log_line_names_the_filters() {
        assert_eq!(filters(&["a/#", "b"]).shown(), "a/#, b");
    }

    #[test]
    fn the_copy_of_the_first_filter_that_matches_is_the_one_that_goes() {
        let filters = filters(&["a/#", "a/b", "$share/g/a/b", "c"]);
        let id = |index| filters.id(index);
        for (topic, said, paired, expected) in [
            ("a/b", vec![id(0)], true, Belongs::To(0)),
            ("a/b", vec![id(1)], true, Belongs::Elsewhere),
            ("a/b", vec![id(1)], false, Belongs::To(1)),
            ("a/b", vec![id(1), id(0)], true, Belongs::To(0)),
            ("a/b", vec![id(2)], true, Belongs::To(2)),
            ("a/b", vec![], true, Belongs::To(0)),
            ("a/b", vec![7], true, Belongs::To(0)),
            ("a/x", vec![id(0)], true, Belongs::To(0)),
            ("c", vec![id(3)], true, Belongs::To(3)),
            ("d", vec![7], true, Belongs::Nowhere),
            ("d", vec![id(1)], true, Belongs::Nowhere),
        ] {
            assert_eq!(filters.place(topic, &said, paired), expected, "{topic} {said:?} {paired}");
        }
    }
}
