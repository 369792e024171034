//! How the function behaves apart from its faults, and what it answers. Plain data.

use bridge::config::Protocol;

use super::super::chance::Chance;

/// In percent of invocations unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moods {
    /// The longest that it runs, in milliseconds.
    pub longest: u64,
    /// It throws.
    pub throws: u32,
    /// It fails some records: in percent of records.
    pub partial: u32,
    /// It ran, and the answer is lost.
    pub answer_lost: u32,
    /// It answers with nonsense.
    pub lies: u32,
    /// 429, 500, 502 or 503.
    pub service: u32,
    /// Every so many messages one always fails; 0 for none.
    pub poison_every: u64,
    /// Every so many messages one fails for good; 0 for none.
    pub hopeless_every: u64,
    /// Every so many messages Lambda refuses an event that holds it; 0 for none.
    pub refused_every: u64,
    /// Something else answers in Lambda's place.
    pub strange: u32,
    /// Every so many messages a proxy lets no event through that holds it; 0 for none.
    pub blocked_every: u64,
}

/// What the function has to say to devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answers {
    /// Records with a message to publish, in percent.
    pub commands: u32,
    /// Of those, how many name their record; the others are about none.
    pub named: u32,
    /// Of those, how many go where the mapping allows nothing.
    pub forbidden: u32,
    /// Whether the mapping gives replies.
    pub replies: bool,
    /// Every so many answers one that the broker never takes; 0 for none.
    pub refused_every: u64,
}

impl Moods {
    /// Without a failure destination, whatever is given up is held for ever: then nothing is.
    pub(super) fn draw(chance: &mut Chance, destinations: bool) -> Self {
        let mut often = |percent: u32| if chance.percent(40) { percent } else { 0 };
        let (throws, partial, answer_lost, lies, service) = (often(5), often(10), often(5), often(3), often(10));
        let longest = chance.one_of(&[1, 50, 2_000, 10_000]);
        let mut every = |numbers: &[u64]| if destinations { chance.one_of(numbers) } else { 0 };
        let (poison_every, hopeless_every) = (every(&[0, 0, 50]), every(&[0, 0, 0, 60]));
        let refused_every = every(&[0, 0, 0, 70]);
        let (strange, blocked_every) = (0, 0);
        Self {
            longest,
            throws,
            partial,
            answer_lost,
            lies,
            service,
            poison_every,
            hopeless_every,
            refused_every,
            strange,
            blocked_every,
        }
    }
}

impl Answers {
    /// MQTT 3.1.1 has no Response Topic.
    pub(super) fn draw(chance: &mut Chance, protocol: Protocol) -> Self {
        if chance.percent(50) {
            return Self::default();
        }
        Self {
            commands: chance.one_of(&[0, 20, 100]),
            named: chance.one_of(&[0, 50, 100]),
            forbidden: chance.one_of(&[0, 0, 5]),
            replies: chance.percent(60) && protocol == Protocol::V5,
            refused_every: chance.one_of(&[0, 0, 30]),
        }
    }

    /// Whether there are any.
    #[must_use]
    pub fn any(&self) -> bool {
        self.commands > 0 || self.replies
    }
}
