//! The mappings of a world. A session belongs to one mapping, so a second mapping has sessions, a function and lanes of
//! its own, and shares the publisher and the failure destinations with the first. A message is owed to each of them:
//! its number tells the two apart. Plain data.

/// Above all numbers of messages and keys.
const OFFSET: u64 = 1_000_000;

/// One of the mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mapping {
    First,
    Second,
}

impl Mapping {
    /// All that a world with so many has.
    pub(super) fn all(two: bool) -> &'static [Self] {
        if two { &[Self::First, Self::Second] } else { &[Self::First] }
    }

    /// `mapping.name`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::First => "m",
            Self::Second => "n",
        }
    }

    /// `mapping.function`.
    pub(super) fn function(self) -> &'static str {
        match self {
            Self::First => "f",
            Self::Second => "g",
        }
    }

    pub(super) fn named(name: &str) -> Self {
        if name == Self::Second.name() { Self::Second } else { Self::First }
    }

    /// Whose session this client identifier is: `bridge-REPLICA-MAPPING`, and perhaps the number of the session.
    pub(super) fn of_client(client_id: &str) -> Self {
        client_id.split('-').nth(2).map_or(Self::First, Self::named)
    }

    /// Whose function this request invokes: `/DATE/functions/FUNCTION/invocations`.
    pub(super) fn of_request(path: &str) -> Self {
        let is_second = path.ends_with(&format!("/{}/invocations", Self::Second.function()));
        if is_second { Self::Second } else { Self::First }
    }

    /// The number, or key, of a message as one that is owed to this mapping.
    pub(super) fn own(self, number: u64) -> u64 {
        match self {
            Self::First => number,
            Self::Second => number + OFFSET,
        }
    }
}

/// The number, or key, in the message itself.
pub(super) fn plain(number: u64) -> u64 {
    number % OFFSET
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_and_a_request_belong_to_a_mapping() {
        for (client_id, mapping) in [("bridge-0-m", Mapping::First), ("bridge-1-n", Mapping::Second)] {
            assert_eq!(Mapping::of_client(client_id), mapping);
            assert_eq!(Mapping::of_client(&format!("{client_id}-2")), mapping);
        }
        assert_eq!(Mapping::of_client("bridge-0-publisher"), Mapping::First);
        assert_eq!(Mapping::of_request("/2015-03-31/functions/g/invocations"), Mapping::Second);
        assert_eq!(Mapping::of_request("/2015-03-31/functions/f/invocations"), Mapping::First);
    }

    #[test]
    fn a_number_tells_whose_message_it_is() {
        assert_eq!((Mapping::First.own(7), Mapping::Second.own(7)), (7, 1_000_007));
        assert_eq!((plain(7), plain(1_000_007)), (7, 7));
    }
}
