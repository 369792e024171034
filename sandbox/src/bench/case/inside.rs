//! What a bridge looks for in the payload of each message, and the configuration that makes it look. Pure.

use std::fmt;

/// A filter, an ordering key, a message id: each alone, all, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Inside {
    pub(in super::super) filter: bool,
    pub(in super::super) key: bool,
    pub(in super::super) id: bool,
}

impl Inside {
    pub(in super::super) const NOTHING: Self = Self { filter: false, key: false, id: false };
    pub(in super::super) const FILTER: Self = Self { filter: true, ..Self::NOTHING };
    pub(in super::super) const KEY: Self = Self { key: true, ..Self::NOTHING };
    pub(in super::super) const ID: Self = Self { id: true, ..Self::NOTHING };
    pub(in super::super) const ALL: Self = Self { filter: true, key: true, id: true };

    /// The keys of the mapping; each message of a benchmark passes the filter.
    pub(in super::super) fn settings(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        [
            (self.filter, "mapping.filter", r#"[{"payload":{"d":[{"numeric":[">=",0]}]}}]"#),
            (self.key, "mapping.ordering_key", "payload:/d"),
            (self.id, "mapping.message_id", "payload:/n"),
        ]
        .into_iter()
        .filter_map(|(is, key, value)| is.then_some((key, value)))
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self { filter: false, key: false, id: false } => "",
            Self { filter: true, key: false, id: false } => ", filter",
            Self { filter: false, key: true, id: false } => ", key",
            Self { filter: false, key: false, id: true } => ", id",
            Self { filter: true, key: true, id: false } => ", filter and key",
            Self { filter: true, key: false, id: true } => ", filter and id",
            Self { filter: false, key: true, id: true } => ", key and id",
            Self { filter: true, key: true, id: true } => ", filter, key and id",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_said_and_set_by_itself() {
        let all = [Inside::NOTHING, Inside::FILTER, Inside::KEY, Inside::ID, Inside::ALL];
        assert_eq!(all.map(|inside| inside.to_string()), ["", ", filter", ", key", ", id", ", filter, key and id"]);
        assert_eq!(all.map(|inside| inside.settings().count()), [0, 1, 1, 1, 3]);
        assert_eq!(Inside::KEY.settings().next().unwrap().0, "mapping.ordering_key");
    }
}
