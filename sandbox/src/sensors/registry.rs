//! The record of one run: which message was published, confirmed and handled, and when. Keeps only messages in flight
//! in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Books messages `<run>-<number>`, numbered from 1 without a gap.
///
/// A message leaves the book when the broker has confirmed it *and* somebody settled it, so a long run takes no more
/// memory than a short one.
#[derive(Debug)]
pub struct Registry {
    run: String,
    total: Option<u64>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    open: HashMap<u64, Entry>,
    counts: Counts,
}

#[derive(Debug)]
struct Entry {
    published: Instant,
    acked: bool,
    settled: bool,
}

/// How many messages of a run came how far. Each message counts once in each number, except in `duplicates`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handed to a connection.
    pub published: u64,
    /// Confirmed to the publisher by the broker.
    pub acked: u64,
    /// Handled by the function.
    pub handled: u64,
    /// In a failure destination.
    pub dead_lettered: u64,
    /// Further times that a message was handled or dead-lettered after the first.
    pub duplicates: u64,
}

/// The books of a run at their end: each message stands in one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closing {
    /// The numbers.
    pub counts: Counts,
    /// Messages that the broker has confirmed and nobody has settled: it holds them, or they are lost.
    pub waiting: BTreeSet<String>,
    /// Messages that the broker has not confirmed and nobody has settled: their publisher still has them.
    pub unconfirmed: BTreeSet<String>,
}

impl Closing {
    /// How many messages are still on their way and how many are lost, given those that the broker `held`.
    #[must_use]
    pub fn split(&self, held: &BTreeSet<String>) -> (u64, u64) {
        let lost = self.waiting.difference(held).count() as u64;
        ((self.waiting.len() + self.unconfirmed.len()) as u64 - lost, lost)
    }
}

/// What the book knows of a message that was just handled or dead-lettered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// For the first time, so long after it was published.
    First(Duration),
    /// It had been before.
    Again,
    /// It is no message of this run.
    Foreign,
}

impl Registry {
    /// An empty book that gives out `total` numbers, or any number of them.
    #[must_use]
    pub fn new(total: Option<u64>) -> Self {
        Self { run: format!("{:08x}", fastrand::u32(..)), total, book: Mutex::default() }
    }

    /// The name of the run, different for each.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The id of the message with this number.
    #[must_use]
    pub fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// Books one more message and gives its number; `None` when all have been given out.
    pub fn publish(&self, now: Instant) -> Option<u64> {
        let mut book = self.book();
        if self.total.is_some_and(|total| book.counts.published >= total) {
            return None;
        }
        book.counts.published += 1;
        let number = book.counts.published;
        book.open.insert(number, Entry { published: now, acked: false, settled: false });
        Some(number)
    }

    /// Books the PUBACK for a message; a second one changes nothing.
    pub fn acknowledge(&self, number: u64) {
        let Book { open, counts } = &mut *self.book();
        let Some(entry) = open.get_mut(&number) else { return };
        if !entry.acked {
            entry.acked = true;
            counts.acked += 1;
        }
        if entry.settled {
            open.remove(&number);
        }
    }

    /// Books that the function has handled a message.
    pub fn handle(&self, id: &str, now: Instant) -> Receipt {
        self.settle(id, now, |counts| &mut counts.handled)
    }

    /// Books that a message is safe in a failure destination.
    pub fn dead_letter(&self, id: &str, now: Instant) -> Receipt {
        self.settle(id, now, |counts| &mut counts.dead_lettered)
    }

    /// The numbers so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.book().counts
    }

    /// Closes the books: all that they say is of one moment.
    #[must_use]
    pub fn close(&self) -> Closing {
        let book = self.book();
        let ids = |acked: bool| {
            let open = book.open.iter().filter(|(_, entry)| entry.acked == acked && !entry.settled);
            open.map(|(number, _)| self.id(*number)).collect()
        };
        Closing { counts: book.counts, waiting: ids(true), unconfirmed: ids(false) }
    }

    fn settle(&self, id: &str, now: Instant, counter: fn(&mut Counts) -> &mut u64) -> Receipt {
        let Some(number) = self.number(id) else { return Receipt::Foreign };
        let Book { open, counts } = &mut *self.book();
        if number == 0 || number > counts.published {
            return Receipt::Foreign;
        }
        // A number that is no longer in the book was settled and confirmed.
        let Some(entry) = open.get_mut(&number).filter(|entry| !entry.settled) else {
            counts.duplicates += 1;
            return Receipt::Again;
        };
        entry.settled = true;
        *counter(counts) += 1;
        let latency = now.saturating_duration_since(entry.published);
        if entry.acked {
            open.remove(&number);
        }
        Receipt::First(latency)
    }

    fn number(&self, id: &str) -> Option<u64> {
        id.strip_prefix(&self.run)?.strip_prefix('-')?.parse().ok()
    }

    /// A panic elsewhere leaves the numbers as they were: no update here can be half done.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_message_counts_once_and_leaves_the_book_when_all_is_known() {
        let (registry, start) = (Registry::new(None), Instant::now());
        let number = registry.publish(start).unwrap();
        let id = registry.id(number);
        assert_eq!(registry.close().unconfirmed, BTreeSet::from([id.clone()]));
        registry.acknowledge(number);
        registry.acknowledge(number);
        assert_eq!(registry.close().waiting, BTreeSet::from([id.clone()]));
        assert_eq!(registry.handle(&id, after(start, 7)), Receipt::First(Duration::from_millis(7)));
        assert!(registry.close().waiting.is_empty() && registry.book().open.is_empty());
        assert_eq!(registry.handle(&id, after(start, 9)), Receipt::Again);
        let counts = Counts { published: 1, acked: 1, handled: 1, dead_lettered: 0, duplicates: 1 };
        assert_eq!(registry.counts(), counts);
    }

    #[test]
    fn a_message_may_be_handled_before_its_puback_is_seen() {
        let (registry, start) = (Registry::new(None), Instant::now());
        let number = registry.publish(start).unwrap();
        assert_eq!(registry.dead_letter(&registry.id(number), start), Receipt::First(Duration::ZERO));
        assert_eq!(registry.handle(&registry.id(number), start), Receipt::Again);
        let closing = registry.close();
        assert!(closing.waiting.is_empty() && closing.unconfirmed.is_empty());
        registry.acknowledge(number);
        assert!(registry.book().open.is_empty());
        assert_eq!((registry.counts().dead_lettered, registry.counts().acked), (1, 1));
    }

    #[test]
    fn foreign_ids_change_nothing() {
        let (registry, now) = (Registry::new(None), Instant::now());
        registry.publish(now);
        for id in ["", "1", "other-1", &registry.id(0), &registry.id(2), &format!("{}-x", registry.run())] {
            assert_eq!(registry.handle(id, now), Receipt::Foreign, "{id}");
        }
        assert_eq!(registry.counts(), Counts { published: 1, ..Counts::default() });
    }

    /// All fates that three messages can have at the end, all sets that the broker can show: each message counts once.
    #[test]
    fn the_closing_adds_up_whatever_became_of_each_message() {
        let fates = [(false, 0), (true, 0), (false, 1), (true, 1), (false, 2), (true, 2)];
        for code in 0..fates.len().pow(3) {
            let (registry, now) = (Registry::new(None), Instant::now());
            for place in 0..3 {
                let (acked, settled) = fates[code / fates.len().pow(place) % fates.len()];
                let number = registry.publish(now).unwrap();
                match settled {
                    1 => drop(registry.handle(&registry.id(number), now)),
                    2 => drop(registry.dead_letter(&registry.id(number), now)),
                    _ => {}
                }
                if acked {
                    registry.acknowledge(number);
                }
            }
            let (closing, ids) = (registry.close(), [1, 2, 3].map(|number| registry.id(number)));
            for shown in 0..8 {
                let held = (0..3).filter(|bit| shown >> bit & 1 == 1).map(|bit: usize| ids[bit].clone()).collect();
                let (unacknowledged, lost) = closing.split(&held);
                let counts = closing.counts;
                assert_eq!(counts.handled + counts.dead_lettered + unacknowledged + lost, 3, "{closing:?} {held:?}");
                assert_eq!(lost, closing.waiting.iter().filter(|id| !held.contains(*id)).count() as u64);
            }
        }
    }

    #[test]
    fn gives_out_as_many_numbers_as_asked() {
        let registry = Registry::new(Some(2));
        let numbers = [(); 3].map(|()| registry.publish(Instant::now()));
        assert_eq!(numbers, [Some(1), Some(2), None]);
    }
}
