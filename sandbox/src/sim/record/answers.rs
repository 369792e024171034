//! The messages that the function wants published, from the moment that the bridge receives them until a device has
//! them.

use std::time::Duration;

use super::{Answer, Inner, MAX_ATTEMPTS, Record};

/// The network brings the end of a connection so much later, or sooner: several times its longest delay.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

impl Record {
    /// The bridge hears that a message has succeeded, and that these answers came with it.
    pub(in crate::sim) fn succeeded(&self, number: u64, answers: Vec<u64>) {
        let mut inner = self.inner();
        let now = inner.begun.elapsed();
        let breaks = inner.breaks.partition_point(|at| *at + ON_ITS_WAY < now);
        for answer in &answers {
            if let Some(answer) = inner.answers.get_mut(answer) {
                answer.breaks_before = breaks;
            }
        }
        if let Some(fate) = inner.fates.get_mut(&number) {
            fate.settle(now);
            (fate.taken, fate.passed) = (true, true);
            // A broker that renumbers packets after a reconnect may deliver it again, and the bridge cannot recognise
            // it.
            fate.taken_late = fate.copied && fate.invoked > MAX_ATTEMPTS.into();
            fate.answers.push(answers);
        }
    }

    /// The function has something to say about this message; `impossible` when it may not. The number of the answer.
    pub(in crate::sim) fn answered(&self, number: u64, impossible: bool) -> u64 {
        let mut inner = self.inner();
        let answer = inner.answers.len() as u64 + 1;
        inner.answers.insert(answer, Answer { number, impossible, ..Answer::default() });
        answer
    }

    /// The message that this answer is about.
    pub(in crate::sim) fn about(&self, answer: u64) -> Option<u64> {
        self.inner().answers.get(&answer).map(|answer| answer.number)
    }

    /// The broker says that it has it.
    pub(in crate::sim) fn answer_confirmed(&self, answer: u64) {
        self.of_answer(answer, |answer| answer.confirmed = true);
    }

    /// The broker refuses it, for now or for good.
    pub(in crate::sim) fn answer_refused(&self, answer: u64, for_good: bool) {
        self.of_answer(answer, |answer| {
            answer.refusals += 1;
            answer.impossible |= for_good;
        });
    }

    /// A dead letter of its own is safe.
    pub(in crate::sim) fn answer_kept(&self, answer: u64) {
        let early = {
            let mut inner = self.inner();
            let breaks = inner.breaks.len();
            let Some(answer) = inner.answers.get_mut(&answer) else { return };
            answer.kept = true;
            !answer.may_be_given_up(breaks)
        };
        if early {
            self.violated("given up early", format!("answer {answer}, which the broker would take"));
        }
    }

    fn of_answer(&self, answer: u64, change: impl FnOnce(&mut Answer)) {
        if let Some(answer) = self.inner().answers.get_mut(&answer) {
            change(answer);
        }
    }

    /// The key of a message.
    pub(in crate::sim) fn key_of(&self, number: u64) -> Option<u64> {
        self.inner().fates.get(&number).map(|fate| fate.key)
    }
}

impl Inner {
    /// A connection breaks now, or may have.
    pub(super) fn broke(&mut self) {
        let now = self.begun.elapsed();
        self.breaks.push(now);
    }

    /// Whether a message may be given up for one of its answers.
    pub(super) fn may_give_up_answer_of(&self, number: u64) -> bool {
        let mut all = self.fates.get(&number).into_iter().flat_map(|fate| fate.answers.iter().flatten());
        all.any(|answer| self.answers.get(answer).is_some_and(|answer| answer.may_be_given_up(self.breaks.len())))
    }

    /// Whether there were answers with every success, and none of them is complete.
    pub(super) fn unsettled_answer_of(&self, number: u64) -> bool {
        let Some(fate) = self.fates.get(&number) else { return false };
        let settled = |answer: &u64| {
            self.answers.get(answer).is_none_or(|answer| answer.is_settled(self.breaks.len(), self.has_destination))
        };
        !fate.answers.is_empty() && !fate.answers.iter().any(|answers| answers.iter().all(settled))
    }
}
