//! Groups writes into calls, and decides when to retry them. Pure: uses no randomness and no clock.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::row::{Entry, Repeat, Row};

/// The most items of one `BatchWriteItem` (its API reference, `RequestItems`).
pub(super) const BATCH: usize = 25;
/// How often a write is tried in one invocation. The bridge tries again after that, and with more patience.
pub(super) const ATTEMPTS: u32 = 4;
/// The longest wait before the second attempt; it doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// One item to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) row: Row,
    pub(super) when: When,
}

/// On what condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// None: what stands at the key is the same.
    Always,
    /// Nothing stands at the key.
    Absent,
    /// The existing item, if there is one, is older.
    Newer,
}

/// The order of the writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// First the claims, which decide the time of those that have none of their own.
    Claims,
    /// Then the readings.
    Readings,
    /// Then the newest of each device: never one that is not stored.
    Latest,
}

impl Step {
    /// What to write of the entries that are `open`, and which entry each write is for.
    pub(super) fn puts(
        self,
        entries: &[Option<Entry<'_>>],
        open: impl Iterator<Item = usize>,
        ttl: Option<Duration>,
    ) -> (Vec<usize>, Vec<Put>) {
        let open = open.filter_map(|at| Some((at, entries[at].as_ref()?)));
        match self {
            Self::Claims => open
                .filter(|(_, entry)| entry.repeat() == Repeat::Claims)
                .map(|(at, entry)| (at, Put { row: entry.claim(ttl), when: When::Absent }))
                .unzip(),
            Self::Readings => open.map(|(at, entry)| (at, Put { row: entry.row(ttl), when: once(entry) })).unzip(),
            Self::Latest => newest(open)
                .into_iter()
                .map(|(at, entry)| (at, Put { row: entry.latest(ttl), when: When::Newer }))
                .unzip(),
        }
    }
}

/// How a reading is written that has its time.
fn once(entry: &Entry<'_>) -> When {
    match entry.repeat() {
        // The claim was there: so is the reading, unless the call that made the claim has not written it yet.
        Repeat::Claims if entry.is_repeat() => When::Absent,
        Repeat::WritesTheSame | Repeat::Claims => When::Always,
        Repeat::FirstStays => When::Absent,
    }
}

/// The calls that write those of `puts` that are `open`: what has a condition goes alone, since a batch knows none.
pub(super) fn calls(puts: &[Put], open: &[usize]) -> Vec<Vec<usize>> {
    let (together, alone): (Vec<usize>, Vec<usize>) = open.iter().partition(|&&at| puts[at].when == When::Always);
    together.chunks(BATCH).map(<[usize]>::to_vec).chain(alone.into_iter().map(|at| vec![at])).collect()
}

/// The wait after `attempt` attempts: `drawn`, from 0 to 1, of a ceiling that doubles.
pub(super) fn wait(attempt: u32, drawn: f64) -> Duration {
    FIRST_WAIT.mul_f64(f64::from(1_u32 << attempt.saturating_sub(1).min(16)) * drawn)
}

/// For each entry the first that is the same message: twice the same key in one batch would have all of it refused.
pub(super) fn first_of_each(entries: &[Option<Entry<'_>>]) -> Vec<usize> {
    let mut seen = HashMap::new();
    let identities = entries.iter().map(|entry| entry.as_ref().map(Entry::identity));
    let first = |(at, identity): (usize, Option<_>)| identity.map_or(at, |known| *seen.entry(known).or_insert(at));
    identities.enumerate().map(first).collect()
}

/// Of each device the newest of these entries.
fn newest<'a, 'e: 'a>(entries: impl Iterator<Item = (usize, &'a Entry<'e>)>) -> Vec<(usize, &'a Entry<'e>)> {
    let mut newest: BTreeMap<&str, (String, usize, &Entry<'_>)> = BTreeMap::new();
    for (at, entry) in entries {
        let as_of = entry.as_of();
        if newest.get(entry.device_id()).is_none_or(|(known, ..)| as_of > *known) {
            newest.insert(entry.device_id(), (as_of, at, entry));
        }
    }
    newest.into_values().map(|(_, at, entry)| (at, entry)).collect()
}

#[cfg(test)]
mod tests {
    use event::{Event, Record};

    use super::super::Checked;
    use super::*;
    use crate::reading::Reading;

    fn put(when: When) -> Put {
        Put { row: Row { device_id: "a".to_owned(), sk: "b".to_owned(), attributes: Vec::new() }, when }
    }

    /// A record of `device`, received in that second.
    fn record(device: &str, id: &str, second: u32) -> Record {
        let event: Event = serde_json::from_str(include_str!("../../../event/fixtures/event.json")).unwrap();
        let mut record = event.records.into_iter().next().unwrap();
        let payload = format!(r#"{{"device_id":"{device}","temperature":24.5,"status":"OK"}}"#);
        record.payload = serde_json::value::RawValue::from_string(payload).unwrap();
        (record.id, record.received_at) = (id.to_owned(), format!("2026-11-20T12:00:{second:02}.000Z"));
        record
    }

    fn checked(records: &[Record]) -> Vec<Checked<'_>> {
        records.iter().map(|r| Checked { record: r, reading: Reading::of(r).unwrap(), breach: None }).collect()
    }

    #[test]
    fn batches_hold_what_has_no_condition() {
        let mut puts = vec![put(When::Always); 60];
        (puts[3].when, puts[7].when) = (When::Absent, When::Newer);
        let all: Vec<_> = (0..60).collect();
        let calls = calls(&puts, &all);
        assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [25, 25, 8, 1, 1]);
        assert_eq!(calls[3..], [[3], [7]]);
        let mut again: Vec<_> = calls.into_iter().flatten().collect();
        again.sort_unstable();
        assert_eq!(again, all, "each exactly once");
    }

    #[test]
    fn only_what_is_open_is_called_for() {
        assert_eq!(calls(&vec![put(When::Always); 60], &[4, 59]), [[4, 59]]);
        assert!(calls(&[put(When::Always)], &[]).is_empty());
    }

    #[test]
    fn waits_double_and_are_drawn() {
        let waits: Vec<_> = (1..4).map(|attempt| wait(attempt, 1.0).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200]);
        assert_eq!((wait(1, 0.0), wait(2, 0.5).as_millis()), (Duration::ZERO, 50));
    }

    #[test]
    fn the_same_message_twice_is_written_once() {
        let records = [record("a", "m-1", 0), record("b", "m-1", 0), record("a", "m-1", 9), record("a", "m-2", 0)];
        let checked = checked(&records);
        let mut entries: Vec<_> = checked.iter().map(|checked| Entry::new(checked).ok()).collect();
        assert_eq!(first_of_each(&entries), [0, 1, 0, 3]);
        entries[0] = None;
        assert_eq!(first_of_each(&entries), [0, 1, 2, 3]);
    }

    #[test]
    fn each_device_has_one_newest() {
        let records = [record("a", "1", 5), record("b", "2", 1), record("a", "3", 7), record("a", "4", 6)];
        let checked = checked(&records);
        let entries: Vec<_> = checked.iter().map(|checked| Entry::new(checked).unwrap()).collect();
        let mut newest: Vec<_> = newest(entries.iter().enumerate()).into_iter().map(|(at, _)| at).collect();
        newest.sort_unstable();
        assert_eq!(newest, [1, 2]);
    }
}
