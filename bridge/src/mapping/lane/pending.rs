//! The records of one event on their way through the function, and how they are divided and held back. Pure.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use crate::backoff::Backoff;
use crate::config::{Range, Retry};
use crate::delivery::{Delivery, Outcome};
use crate::lambda::Failure;

/// Records on their way through the function, all of one event.
pub(super) struct Pending {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) attempts: u32,
    pub(super) first_attempt_at: SystemTime,
    pub(super) last_attempt_at: SystemTime,
    pub(super) backoff: Backoff,
    /// How many events had passed when this one was taken up, or the one that it is a part of.
    pub(super) passed_at_first: u64,
    /// What is known if it was refused without a known reason.
    pub(super) refused: Option<Refused>,
}

/// What is known of an event that was refused without a known reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// How many events had passed when the first such refusal came.
    passed: u64,
    times: u32,
}

/// Others have so many attempts' time to pass before Lambda is asked in their place.
const ALONE_AFTER: u32 = 3;

/// What to do with records that have no outcome after an attempt.
pub(super) enum Onward {
    /// They all have one, or are abandoned.
    Nothing,
    /// In two events.
    Halves(Pending, Pending),
    /// In the same event, after this wait.
    Again(Pending, Duration),
}

impl Pending {
    pub(super) fn new(deliveries: Vec<Delivery>, backoff: Range) -> Self {
        let now = SystemTime::now();
        let backoff = Backoff::new(backoff);
        let passed_at_first = deliveries.iter().map(|delivery| delivery.passed_before).max().unwrap_or_default();
        let refused = None;
        let (first_attempt_at, last_attempt_at) = (now, now);
        Self { deliveries, attempts: 0, first_attempt_at, last_attempt_at, backoff, passed_at_first, refused }
    }

    /// The record that an answer is about; one of them, when it is about none.
    pub(super) fn about(&self, record: Option<usize>) -> Option<&Delivery> {
        self.deliveries.get(record.unwrap_or_default())
    }

    pub(super) fn settle_expired(&mut self, now: Instant) {
        let expired = self.deliveries.extract_if(.., |delivery| delivery.is_expired(now));
        expired.for_each(|delivery| delivery.settle(Outcome::Expired));
    }

    /// Abandons what is behind an abandoned record of its key, as in the other half of a batch that was divided: it
    /// must not overtake that record, which the broker will send again.
    pub(super) fn abandon_behind(&mut self) {
        let behind = |delivery: &mut Delivery| delivery.hold.as_ref().is_some_and(|hold| hold.is_abandoned());
        self.deliveries.extract_if(.., behind).for_each(drop);
    }

    /// Those of these failures that no further attempt follows are final. So a record that is given up holds nothing
    /// back: what the function has taken behind it is delivered, and not given up with it.
    pub(super) fn note_last(&self, failures: &mut HashMap<usize, Failure>, policy: &Retry, now: Instant) {
        for (index, failure) in failures {
            let old = |delivery: &Delivery| now.saturating_duration_since(delivery.received) >= policy.max_age;
            if self.attempts >= policy.max_attempts || self.deliveries.get(*index).is_some_and(old) {
                failure.retry = false;
            }
        }
    }

    /// Takes out the records that have reached that age. Each record has an age of its own, whatever event it is in.
    pub(super) fn of_age(&mut self, age: Duration, now: Instant) -> Vec<Delivery> {
        let is_of_age = |delivery: &mut Delivery| now.saturating_duration_since(delivery.received) >= age;
        self.deliveries.extract_if(.., is_of_age).collect()
    }

    /// It is refused without a known reason. Whether the event is to blame: another has passed after this one was first
    /// refused so and before its last attempt began. An event that has passed meanwhile proves nothing, because the cause
    /// of both refusals may have been repaired in between. Lambda's word before the last attempt proves it, too
    /// (`is_asked`, see [`Self::lacks_a_word`]).
    pub(super) fn is_to_blame(&mut self, passed: u64, passed_before: u64, is_asked: bool) -> bool {
        let refused = self.refused.get_or_insert(Refused { passed, times: 0 });
        refused.times = refused.times.saturating_add(1);
        refused.passed < passed_before || is_asked
    }

    /// Whether Lambda's word is all that can show who is to blame: others have passed since this event was taken up, but
    /// none since its first refusal, for some attempts. In a window that is full of events that wait behind this one none
    /// ever will.
    pub(super) fn lacks_a_word(&self, passed: u64) -> bool {
        let is_alone = |refused: Refused| refused.times >= ALONE_AFTER && passed <= refused.passed;
        self.refused.is_some_and(is_alone) && self.passed_at_first < passed
    }

    /// Dividing is no attempt: each half has as many left as the whole had before.
    pub(super) fn halves(mut self) -> Onward {
        let second = self.deliveries.split_off(self.deliveries.len() / 2);
        self.attempts = self.attempts.saturating_sub(1);
        let second = Self { deliveries: second, backoff: self.backoff.clone(), ..self };
        Onward::Halves(self, second)
    }
}

/// In an ordered mapping a record that is tried again takes those of its key behind it along, whatever the function
/// said of them: they must not overtake it. Returns those of them that the function has taken.
pub(super) fn hold_back_behind(deliveries: &[Delivery], failures: &mut HashMap<usize, Failure>) -> HashSet<usize> {
    let (mut held, mut taken) = (HashMap::new(), HashSet::new());
    for (index, delivery) in deliveries.iter().enumerate() {
        let Some(key) = delivery.hold.as_ref().map(|hold| hold.key()) else { continue };
        match failures.get(&index) {
            Some(failure) if failure.retry => drop(held.entry(key).or_insert_with(|| failure.clone())),
            _ => {
                if let Some(failure) = held.get(&key) {
                    let behind = Failure { message: "behind a record of its key".into(), ..failure.clone() };
                    if failures.insert(index, behind).is_none() {
                        taken.insert(index);
                    }
                }
            }
        }
    }
    taken
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tokio::sync::mpsc;

    use super::*;
    use crate::config::Qos;
    use crate::delivery::{Freed, Hold, Keys, RecordId, Ticket};
    use crate::message::Message;

    pub(in crate::mapping::lane) const BACKOFF: Range =
        Range { min: Duration::from_millis(1), max: Duration::from_millis(2) };

    #[test]
    fn an_event_is_to_blame_when_it_is_refused_again_after_others_have_passed() {
        let mut event = Pending::new(deliveries(&[None; 4]), BACKOFF);
        assert!(!event.is_to_blame(1, 1, false), "nobody has passed since");
        assert!(!event.is_to_blame(2, 1, false), "one has meanwhile");
        assert!(event.is_to_blame(2, 2, false));
        let Onward::Halves(first, second) = event.halves() else { panic!("not divided") };
        let both = Some(Refused { passed: 1, times: 3 });
        assert_eq!((first.refused, second.refused), (both, both), "both were in it");
    }

    #[test]
    fn the_refusal_of_one_half_says_nothing_of_the_other() {
        let event = Pending::new(deliveries(&[None; 4]), BACKOFF);
        let Onward::Halves(mut first, mut second) = event.halves() else { panic!("not divided") };
        assert!(!first.is_to_blame(1, 1, false));
        let is_first = "its first refusal, though one has passed since that of the other half";
        assert!(!second.is_to_blame(2, 2, false), "{is_first}");
    }

    /// As often as others have time to pass.
    fn refused(passed_at_first: u64, passed: u64) -> Pending {
        let mut deliveries = deliveries(&[None, None]);
        deliveries[1].passed_before = passed_at_first;
        let mut event = Pending::new(deliveries, BACKOFF);
        for _ in 0..ALONE_AFTER {
            assert!(!event.lacks_a_word(passed), "another may still pass");
            assert!(!event.is_to_blame(passed, passed, false));
        }
        event
    }

    #[test]
    fn where_no_other_comes_those_that_passed_beside_it_and_lambdas_word_show_who_is_to_blame() {
        let mut event = refused(0, 4);
        assert!(event.lacks_a_word(4) && !event.lacks_a_word(5), "when a fifth has passed, that shows it");
        assert!(event.is_to_blame(4, 4, true));
    }

    #[test]
    fn where_no_other_has_passed_lambdas_word_shows_nothing() {
        assert!(!refused(4, 4).lacks_a_word(4), "a proxy may refuse every event and let dry runs pass");
    }

    #[derive(Debug)]
    struct Nobody;

    impl Keys for Nobody {
        fn free(&self, _: Freed) {}
    }

    pub(in crate::mapping::lane) fn deliveries(keys: &[Option<u64>]) -> Vec<Delivery> {
        let delivery = |(sequence, key): (u64, &Option<u64>)| {
            let message = Message {
                topic: "t".into(),
                payload: Bytes::new(),
                qos: Qos::AtLeastOnce,
                retain: false,
                dup: false,
                properties: None,
            };
            let id = RecordId::Numbered { run: 1, sequence };
            let mut delivery = Delivery::new(message, id, Ticket { epoch: 1, slot: sequence }, mpsc::channel(1).0);
            delivery.hold = key.map(|key| Arc::new(Hold::new(key, Arc::new(Nobody))));
            delivery
        };
        (0..).zip(keys).map(delivery).collect()
    }

    fn failing(keys: &[Option<u64>], failed: &[(usize, bool)]) -> Vec<usize> {
        let failure = |retry| Failure { kind: "k".into(), message: "m".into(), retry };
        let mut failures = failed.iter().map(|(index, retry)| (*index, failure(*retry))).collect();
        hold_back_behind(&deliveries(keys), &mut failures);
        let mut indices: Vec<_> = failures.into_keys().collect();
        indices.sort_unstable();
        indices
    }

    #[test]
    fn every_record_has_an_age_of_its_own() {
        let mut pending = Pending::new(deliveries(&[None, None, None]), BACKOFF);
        let begun = pending.deliveries[0].received;
        pending.deliveries[1].received = begun + Duration::from_secs(5);
        let slots = |deliveries: &[Delivery]| deliveries.iter().map(|d| d.id.to_string()).collect::<Vec<_>>();
        let all = slots(&pending.deliveries);
        assert_eq!(pending.of_age(Duration::from_mins(1), begun + Duration::from_secs(59)).len(), 0);
        let old = pending.of_age(Duration::from_mins(1), begun + Duration::from_secs(61));
        assert_eq!(slots(&old), [all[0].clone(), all[2].clone()]);
        assert_eq!(slots(&pending.deliveries), [all[1].clone()]);
    }

    #[test]
    fn the_second_half_does_not_overtake_an_abandoned_first() {
        let mut deliveries = deliveries(&[Some(1), Some(2), Some(1), None]);
        // Deliveries of one key in one batch share their hold.
        deliveries[2].hold = deliveries[0].hold.clone();
        let Onward::Halves(first, mut second) = Pending::new(deliveries, BACKOFF).halves() else { panic!("halves") };
        second.abandon_behind();
        assert_eq!(second.deliveries.len(), 2, "nothing is abandoned yet");
        drop(first);
        second.abandon_behind();
        assert_eq!(second.deliveries.iter().map(|delivery| delivery.hold.is_some()).collect::<Vec<_>>(), [false]);
    }

    #[test]
    fn what_is_behind_a_record_to_be_tried_again_goes_with_it() {
        let keys = [Some(1), Some(2), Some(1), Some(1), None, Some(2)];
        assert_eq!(failing(&keys, &[(0, true)]), [0, 2, 3]);
        assert_eq!(failing(&keys, &[(2, true), (4, true)]), [2, 3, 4]);
    }

    #[test]
    fn what_the_function_has_taken_is_told_from_what_it_has_failed() {
        let failure = |retry| Failure { kind: "k".into(), message: "m".into(), retry };
        let mut failures = HashMap::from([(0, failure(true)), (2, failure(false))]);
        let taken = hold_back_behind(&deliveries(&[Some(1), Some(1), Some(1), Some(2)]), &mut failures);
        assert_eq!((taken, failures.len()), (HashSet::from([1]), 3));
    }

    #[test]
    fn a_record_that_is_given_up_lets_its_key_go_on() {
        assert_eq!(failing(&[Some(1), Some(1)], &[(0, false)]), [0]);
    }

    #[test]
    fn a_record_that_fails_for_the_last_time_takes_none_behind_it_along() {
        let policy = Retry {
            max_attempts: 3,
            max_age: Duration::from_mins(1),
            backoff: Range { min: Duration::ZERO, max: Duration::ZERO },
        };
        let behind = |attempts, age| {
            let mut pending = Pending::new(deliveries(&[Some(1), Some(1)]), BACKOFF);
            pending.attempts = attempts;
            let mut failures = HashMap::from([(0, Failure { kind: "k".into(), message: "m".into(), retry: true })]);
            pending.note_last(&mut failures, &policy, pending.deliveries[0].received + age);
            hold_back_behind(&pending.deliveries, &mut failures);
            (failures.len() == 2, failures[&0].retry)
        };
        assert_eq!(behind(2, Duration::ZERO), (true, true));
        assert_eq!(behind(3, Duration::ZERO), (false, false), "the attempts are spent");
        assert_eq!(behind(1, Duration::from_mins(1)), (false, false), "it is too old");
    }

    #[test]
    fn without_keys_every_record_stands_for_itself() {
        assert_eq!(failing(&[None, None, None], &[(0, true)]), [0]);
    }
}
