//! The state of one batch: events to invoke now, and events that wait for their next attempt, so that records that fail
//! alone wait at the same time and not one after the other. Keeps the order of ordering keys. Pure.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::pending::Pending;

/// The longest that an event waits for its next attempt, whatever Lambda asks for.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The events of one batch that have not all their outcomes yet.
pub(super) struct Work {
    /// The next one last.
    ready: Vec<Pending>,
    waiting: Vec<(Instant, Pending)>,
    is_divided: bool,
}

/// What comes next.
pub(super) enum Next {
    /// This event, now.
    Now(Pending),
    /// This event, when its time has come.
    At(Instant, Pending),
}

impl Work {
    pub(super) fn new(batch: Pending) -> Self {
        Self { ready: vec![batch], waiting: Vec::new(), is_divided: false }
    }

    /// The first half goes before the second, so that a key keeps its order.
    pub(super) fn divided(&mut self, first: Pending, second: Pending) {
        self.ready.extend([second, first]);
        self.is_divided = true;
    }

    /// Whether its batch was divided, so that there may be as many events as it had records.
    pub(super) fn is_divided(&self) -> bool {
        self.is_divided
    }

    /// When there is something to do; `None` when there is nothing at all.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if self.has_ready() { Some(now) } else { self.waiting.iter().map(|(at, _)| *at).min() }
    }

    /// An event that need not wait goes, unless a waiting event has one of its keys.
    fn has_ready(&self) -> bool {
        let is_free = |next: &Pending| !have_keys_in_common(next, self.waiting.iter().map(|(_, waiting)| waiting));
        self.ready.last().is_some_and(is_free)
    }

    /// It goes next.
    pub(super) fn put_back(&mut self, pending: Pending) {
        self.ready.push(pending);
    }

    /// It goes again after this wait.
    pub(super) fn again(&mut self, pending: Pending, wait: Duration, now: Instant) {
        self.waiting.push((now + wait.min(LONGEST_WAIT), pending));
    }

    /// Waiting events are abandoned.
    pub(super) fn give_back_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Events that need not wait go first.
    pub(super) fn next(&mut self) -> Option<Next> {
        if self.has_ready() {
            return self.ready.pop().map(Next::Now);
        }
        let (first, _) = self.waiting.iter().enumerate().min_by_key(|(_, (at, _))| *at)?;
        let (at, pending) = self.waiting.remove(first);
        Some(Next::At(at, pending))
    }

    /// Whether a record of the event has the ordering key of a record here.
    pub(super) fn has_keys_of(&self, pending: &Pending) -> bool {
        have_keys_in_common(pending, self.ready.iter().chain(self.waiting.iter().map(|(_, waiting)| waiting)))
    }
}

fn have_keys_in_common<'a>(pending: &Pending, mut others: impl Iterator<Item = &'a Pending>) -> bool {
    let keys = |pending: &Pending| {
        let holds = pending.deliveries.iter().filter_map(|delivery| delivery.hold.as_ref());
        holds.map(|hold| hold.key()).collect::<HashSet<_>>()
    };
    let own = keys(pending);
    !own.is_empty() && others.any(|other| !keys(other).is_disjoint(&own))
}

#[cfg(test)]
mod tests {
    use super::super::pending::Onward;
    use super::super::pending::tests::{BACKOFF, deliveries};
    use super::*;

    fn work(keys: &[Option<u64>]) -> Work {
        Work::new(Pending::new(deliveries(keys), BACKOFF))
    }

    fn slots(pending: &Pending) -> Vec<String> {
        pending.deliveries.iter().map(|delivery| delivery.id.to_string()).collect()
    }

    /// How many invocations it takes until all but the bad records are handled and each bad one has failed alone.
    fn invocations(records: usize, bad: &[usize]) -> usize {
        let mut work = work(&vec![None; records]);
        let (mut count, mut handled, mut alone) = (0, 0, Vec::new());
        let bad: Vec<_> = bad.iter().map(|index| format!("0000000000000001-{index}")).collect();
        while let Some(Next::Now(pending)) = work.next() {
            count += 1;
            let ids = slots(&pending);
            match ids.iter().any(|id| bad.contains(id)) {
                false => handled += ids.len(),
                true if ids.len() == 1 => alone.extend(ids),
                true => {
                    let Onward::Halves(first, second) = pending.halves() else { panic!("halves") };
                    work.divided(first, second);
                }
            }
        }
        assert_eq!((handled, alone), (records - bad.len(), bad), "of {records}");
        count
    }

    #[test]
    fn one_bad_record_costs_two_invocations_a_level_and_one() {
        for records in 1..=200_usize {
            let levels = records.next_power_of_two().trailing_zeros() as usize;
            let step = if records <= 40 { 1 } else { 13 };
            let worst = (0..records).step_by(step).chain([records - 1]).map(|bad| invocations(records, &[bad])).max();
            assert_eq!(worst, Some(2 * levels + 1), "{records} records");
        }
    }

    #[test]
    fn a_batch_that_is_bad_throughout_costs_two_invocations_a_record() {
        for records in [1, 2, 7, 64, 100] {
            assert_eq!(invocations(records, &(0..records).collect::<Vec<_>>()), 2 * records - 1);
        }
    }

    fn halves(pending: Pending) -> (Pending, Pending) {
        let Onward::Halves(first, second) = pending.halves() else { panic!("halves") };
        (first, second)
    }

    #[test]
    fn what_fails_waits_while_the_rest_goes_on_unless_it_has_the_same_key() {
        let now = Instant::now();
        for (keys, second_waits) in [([None, None], false), ([Some(1), Some(2)], false), ([Some(1), Some(1)], true)] {
            let mut work = work(&keys);
            let Some(Next::Now(whole)) = work.next() else { panic!("ready") };
            let (first, second) = halves(whole);
            let first_ids = slots(&first);
            work.divided(first, second);
            let Some(Next::Now(first)) = work.next() else { panic!("ready") };
            assert_eq!(slots(&first), first_ids);
            work.again(first, Duration::from_secs(9), now);
            match work.next() {
                Some(Next::At(at, first)) => {
                    assert!(second_waits && at == now + Duration::from_secs(9), "{keys:?}");
                    assert_eq!(slots(&first), first_ids);
                }
                Some(Next::Now(second)) => assert!(!second_waits && slots(&second) != first_ids, "{keys:?}"),
                None => panic!("nothing is left"),
            }
        }
    }

    #[test]
    fn there_is_something_to_do_now_unless_all_waits() {
        let (now, mut work) = (Instant::now(), work(&[Some(1), Some(1)]));
        assert_eq!((work.is_divided(), work.due(now)), (false, Some(now)));
        let Some(Next::Now(whole)) = work.next() else { panic!("ready") };
        assert_eq!(work.due(now), None);
        let (first, second) = halves(whole);
        work.divided(first, second);
        assert_eq!((work.is_divided(), work.due(now)), (true, Some(now)));
        let Some(Next::Now(first)) = work.next() else { panic!("ready") };
        work.again(first, Duration::from_secs(9), now);
        assert_eq!(work.due(now), Some(now + Duration::from_secs(9)), "the other one has its key");
    }

    #[test]
    fn of_those_that_wait_the_earliest_goes_first() {
        let (now, mut work) = (Instant::now(), work(&[None; 3]));
        let Some(Next::Now(whole)) = work.next() else { panic!("ready") };
        let (first, rest) = halves(whole);
        let (second, third) = halves(rest);
        for (pending, wait) in
            [(first, Duration::MAX), (second, Duration::from_secs(2)), (third, Duration::from_secs(3))]
        {
            work.again(pending, wait, now);
        }
        let mut order = Vec::new();
        while let Some(Next::At(at, pending)) = work.next() {
            order.push((slots(&pending)[0].clone(), at - now));
        }
        let expected = [(1, Duration::from_secs(2)), (2, Duration::from_secs(3)), (0, LONGEST_WAIT)];
        assert_eq!(order, expected.map(|(slot, wait)| (format!("0000000000000001-{slot}"), wait)));
    }
}
