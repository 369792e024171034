//! When each delivery without an outcome was received. Tickets grow, so a queue is enough. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use crate::delivery::Ticket;

/// In the order of receipt; an entry that has its outcome is empty until all before it have theirs.
#[derive(Debug, Default)]
pub(super) struct Ages(VecDeque<(Ticket, Option<Instant>)>);

impl Ages {
    /// A delivery was made.
    pub(super) fn received(&mut self, ticket: Ticket, now: Instant) {
        let place = self.0.partition_point(|(earlier, _)| *earlier < ticket);
        self.0.insert(place, (ticket, Some(now)));
    }

    /// It has its outcome. Gives back when it was received.
    pub(super) fn settled(&mut self, ticket: Ticket) -> Option<Instant> {
        let index = self.0.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
        let received = self.0[index].1.take();
        while self.0.front().is_some_and(|(_, received)| received.is_none()) {
            self.0.pop_front();
        }
        received
    }

    /// When the oldest that is left was received.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.0.front().and_then(|(_, received)| *received)
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
        assert_eq!((ages.oldest(), ages.0.len()), (None, 0));
    }
}
