//! When a message that is refused without a reason may be given up: when others show that it alone is refused.

/// Refusals without a reason before Lambda's word counts: others have so many attempts' time to pass.
const ALONE_AFTER: u32 = 3;

/// What is known of the message's attempts: how many invocations had passed, and how often Lambda had said that it takes
/// some.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::sim) struct Blame {
    /// When it was asked for first, and last.
    passed_at_first: Option<u64>,
    passed_before: u64,
    words_before: u64,
    /// When it was first refused.
    passed: Option<u64>,
    times: u32,
    /// When it was refused last.
    words: u64,
    /// It may be given up, though another copy of it was taken.
    pub(in crate::sim) is_proven: bool,
}

impl Blame {
    /// Somebody asks Lambda for it.
    pub(super) fn asked(&mut self, passed: u64, words: u64) {
        self.passed_at_first.get_or_insert(passed);
        (self.passed_before, self.words_before) = (passed, words);
    }

    /// Whether it can be proven that it alone is refused: others have passed since its first attempt.
    pub(super) fn is_provable(&self, passed: u64) -> bool {
        self.times > ALONE_AFTER && self.passed_at_first.is_some_and(|first| first < passed)
    }

    /// It is refused. Others have passed since the first refusal; or they have since its first attempt, and between the last
    /// refusal and this attempt Lambda has said that it takes invocations.
    pub(super) fn refused(&mut self, passed: u64, words: u64) {
        let others_pass = *self.passed.get_or_insert(passed) < self.passed_before;
        let beside = self.passed_at_first.is_some_and(|first| first < self.passed_before);
        let is_alone = self.times >= ALONE_AFTER && self.words < self.words_before;
        self.is_proven |= others_pass || (beside && is_alone);
        self.times += 1;
        self.words = words;
    }
}
