//! How large a batch may become, and whether another record fits. Pure.

use std::collections::HashSet;
use std::time::Duration;

use bytestring::ByteString;

use crate::delivery::{Delivery, RecordId};
use crate::lambda::measure;

/// How large a batch may become.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Records.
    pub(super) records: usize,
    /// From the first record on.
    pub(super) window: Duration,
    /// The length of the encoded event.
    pub(super) bytes: usize,
}

/// What is left of an event: its bytes, and the ids that no record of it has yet.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    names: Names,
}

impl Room {
    pub(super) fn new(max_bytes: usize) -> Self {
        // The envelope around the records: its keys, and a mapping's name of at most 63 bytes.
        Self { bytes: max_bytes.saturating_sub(128), names: Names::default() }
    }

    /// Takes the bytes of this record; false when they are not there, or when its id is that of another record: a reply
    /// or a failure would reach the wrong one.
    pub(super) fn take(&mut self, delivery: &mut Delivery) -> bool {
        let size = measure(delivery);
        let fits = size <= self.bytes && self.names.take(&delivery.id);
        self.bytes = self.bytes.saturating_sub(size);
        fits
    }
}

/// The ids in one event. Those that the bridge gives differ from each other.
#[derive(Debug, Default)]
struct Names {
    given: HashSet<ByteString>,
    numbered: bool,
    /// A publisher's id looks like one of the bridge's; then no record with one of those may be beside it.
    imitated: bool,
}

impl Names {
    fn take(&mut self, id: &RecordId) -> bool {
        match id {
            RecordId::Numbered { .. } => {
                self.numbered |= !self.imitated;
                !self.imitated
            }
            RecordId::Given(id) => {
                let imitates = looks_numbered(id);
                if imitates && self.numbered {
                    return false;
                }
                self.imitated |= imitates;
                self.given.insert(id.clone())
            }
        }
    }
}

/// Whether it could be the text of a [`RecordId::Numbered`].
fn looks_numbered(id: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    id.split_once('-').is_some_and(|(run, sequence)| hexadecimal(run) && digits(sequence))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = RecordId> {
        prop_oneof![
            (0_u64..3).prop_map(|sequence| RecordId::Numbered { run: 1, sequence }),
            "[ab]|0000000000000001-[012]".prop_map(|text| RecordId::Given(text.into())),
        ]
    }

    proptest! {
        #[test]
        fn no_two_records_of_an_event_have_one_id(ids in prop::collection::vec(id(), 1..8)) {
            let mut numbered = HashSet::new();
            // The bridge never gives one id twice.
            let ids = ids.into_iter().filter(|id| matches!(id, RecordId::Given(_)) || numbered.insert(id.clone()));
            let (mut names, mut texts) = (Names::default(), HashSet::new());
            for (index, id) in ids.enumerate() {
                let taken = names.take(&id);
                prop_assert!(index > 0 || taken, "the first always joins");
                prop_assert!(!taken || texts.insert(id.to_string()), "{} twice", id);
            }
        }
    }
}
