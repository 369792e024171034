//! When each delivery without an outcome was received. Tickets grow, so a queue is enough. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use crate::delivery::Ticket;

/// In the order of receipt; an entry that has its outcome is empty until all before it have theirs, or it is swept away.
#[derive(Debug, Default)]
pub(super) struct Ages {
    all: VecDeque<(Ticket, Option<Instant>)>,
    /// How many have no outcome.
    running: usize,
}

/// So many empty entries, and as many as there are others, may stand behind one that waits for its outcome.
const EMPTY: usize = 64;

impl Ages {
    /// A delivery was made.
    pub(super) fn received(&mut self, ticket: Ticket, now: Instant) {
        let place = self.all.partition_point(|(earlier, _)| *earlier < ticket);
        self.all.insert(place, (ticket, Some(now)));
        self.running += 1;
    }

    /// It has its outcome. Gives back when it was received.
    pub(super) fn settled(&mut self, ticket: Ticket) -> Option<Instant> {
        let index = self.all.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
        let received = self.all[index].1.take()?;
        self.running -= 1;
        while self.all.front().is_some_and(|(_, received)| received.is_none()) {
            self.all.pop_front();
        }
        if self.all.len() > 2 * self.running + EMPTY {
            self.all.retain(|(_, received)| received.is_some());
        }
        Some(received)
    }

    /// When the oldest that is left was received.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.all.front().and_then(|(_, received)| *received)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_is_the_first_without_an_outcome_over_all_connections() {
        let (mut ages, begun) = (Ages::default(), Instant::now());
        let ticket = |epoch, slot| Ticket { epoch, slot };
        let at = |seconds| begun + Duration::from_secs(seconds);
        for (second, ticket) in [ticket(1, 0), ticket(1, 1), ticket(2, 0)].into_iter().enumerate() {
            ages.received(ticket, at(second as u64));
        }
        assert_eq!(ages.settled(ticket(1, 1)), Some(at(1)));
        assert_eq!(ages.oldest(), Some(at(0)));
        assert_eq!(ages.settled(ticket(1, 0)), Some(at(0)));
        assert_eq!(ages.oldest(), Some(at(2)), "past the one that was settled before");
        assert_eq!(ages.settled(ticket(1, 0)), None, "once");
        assert_eq!(ages.settled(ticket(2, 0)), Some(at(2)));
        assert_eq!((ages.oldest(), ages.all.len()), (None, 0));
    }

    /// As behind a message that no failure destination takes, and that the broker does not send again.
    #[test]
    fn one_that_never_has_an_outcome_keeps_no_others() {
        let (mut ages, begun) = (Ages::default(), Instant::now());
        let ticket = |slot| Ticket { epoch: 1, slot };
        let at = |slot| begun + Duration::from_millis(slot);
        ages.received(ticket(0), begun);
        for slot in 1..10_000 {
            ages.received(ticket(slot), at(slot));
            if slot > 10 {
                assert_eq!(ages.settled(ticket(slot - 10)), Some(at(slot - 10)));
            }
            assert!(ages.all.len() <= 2 * 11 + EMPTY + 1, "{} after {slot}", ages.all.len());
        }
        assert_eq!(ages.oldest(), Some(begun));
        assert_eq!(ages.settled(ticket(0)), Some(begun));
        assert_eq!(ages.oldest(), Some(at(9_990)));
    }
}
