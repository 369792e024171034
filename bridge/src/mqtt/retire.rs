//! Decides when a session may unsubscribe, and when it may assume after that that the broker has no more messages for
//! it. Pure: the time is an argument.
//!
//! MQTT has no packet for the second: after UNSUBACK a broker finishes messages that it has begun to send, and may also
//! send its queue (MQTT 5, 3.10.4). So two conditions must hold after the last message is acknowledged. First, the
//! broker has answered a PINGREQ sent after that acknowledgement: it has read the acknowledgement, and usually sends
//! the messages for which this made room before the answer. Second, nothing has arrived for [`QUIET`], which is enough
//! for brokers that read, queue and send in different threads or on different machines.

use std::time::{Duration, Instant};

/// How long nothing may come. Far above the time of a message through a cluster of brokers. The wait costs nothing,
/// because nobody waits for a session or a filter that leaves.
pub const QUIET: Duration = Duration::from_secs(3);

/// The action that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before this moment, unless something happens.
    Later(Instant),
    /// Nothing before something happens.
    Nothing,
    /// Send PINGREQ.
    Ping,
    /// There is nothing more to come.
    Over,
}

/// Watches one connection from its UNSUBACK on.
#[derive(Debug, Default)]
pub struct Quiet {
    /// Since when no message is held and none has arrived, and how many answers to PINGREQ were missing then.
    since: Option<(Instant, usize)>,
}

impl Quiet {
    /// A message has arrived, one is held, or none is read, so earlier observations prove nothing.
    pub fn disturbed(&mut self) {
        self.since = None;
    }

    /// PINGRESP has come.
    pub fn answered(&mut self) {
        if let Some((_, missing)) = &mut self.since {
            *missing = missing.saturating_sub(1);
        }
    }

    /// What to do now that nothing is held. `unanswered` counts the PINGREQs on their way, without the one asked for.
    pub fn due(&mut self, unanswered: usize, now: Instant) -> Due {
        let Some((since, missing)) = self.since else {
            self.since = Some((now, unanswered + 1));
            return Due::Ping;
        };
        if missing > 0 {
            Due::Nothing
        } else if now.saturating_duration_since(since) < QUIET {
            Due::Later(since + QUIET)
        } else {
            Due::Over
        }
    }
}

/// How long to look for a moment in which the broker's queue is provably empty, counted from when the broker last had
/// no room in its window: until then the queue is being fetched, or waits behind a message whose function is slow.
const PROVE_WITHIN: Duration = Duration::from_mins(1);

/// How long to look at most, for a subscription that gets more than its function can take.
const PROVE_AT_LAST: Duration = Duration::from_mins(15);

/// What comes next before an UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Nothing before this moment, unless something happens.
    Later(Instant),
    /// Send PINGREQ.
    Ping,
    /// The broker has nothing queued.
    Proven,
    /// It may have.
    Unproven,
}

/// How many PINGREQs, one behind the other, are answered without a message before the answer. With the first one the
/// broker has read every acknowledgement, which may only then have made room: it may answer before it sends what there
/// is room for. By the second one it has sent them, if it does one thing after the other.
pub const ROUNDS: u8 = 2;

/// How long a gap has to last, by the age of the search. At first it is [`QUIET`], as a broker may take its time to begin after a
/// CONNECT. Later it is what a broker takes to send what an acknowledgement made room for: a stream may have no longer gap.
const GAPS: [(Duration, Duration); 3] = [
    (Duration::ZERO, QUIET),
    (Duration::from_secs(4), Duration::from_millis(200)),
    (Duration::from_secs(8), Duration::from_millis(50)),
];

/// A broker that has had room for so long would have sent a queue: then the answers are enough.
const ROOM_FOR: Duration = Duration::from_secs(10);

/// How long to look for a moment in which nothing is in flight either, as long as new messages come; counted from when the broker
/// last had no room, as those that waited for it come then.
const NOTHING_IN_FLIGHT_WITHIN: Duration = Duration::from_secs(20);

/// New messages come no more when none has come for so long.
const NO_STREAM: Duration = Duration::from_secs(10);

/// What is to be seen of the broker's window.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The broker could have one more message in flight.
    pub has_room: bool,
    /// No more are read here.
    pub is_full: bool,
    /// Whatever it has sent has its outcome, and is acknowledged.
    pub is_empty: bool,
}

/// Looks for a moment in which the broker has nothing left for a subscription, since some brokers drop at UNSUBSCRIBE what they
/// have queued: it has room in its window, so that it would send what it has; it answers PINGREQs without a message before the
/// answers; and nothing comes for a while, as some brokers answer at once and send a queue later (NATS 2.15). The same brokers
/// drop what they have sent, too, which would be lost with this process. So its outcome is waited for, but in a stream that is
/// never without one.
#[derive(Debug)]
pub struct EmptyQueue {
    begun: Instant,
    /// Before, the broker may have something that it sends again by a timer alone.
    not_before: Instant,
    /// When there was no room, nothing was read, or what was in flight was waited for.
    last_full: Instant,
    /// When a new message came last.
    last_new: Option<Instant>,
    /// The longest that an answer took: a message behind the last one may come as much later.
    slowest: Duration,
    /// None while the broker has no room, or a message has come.
    gap: Option<Gap>,
}

/// Nothing has come, though the broker has room.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// When the last PINGREQ was sent: at the answer to the one before, by which the broker has read every acknowledgement.
    since: Instant,
    /// When the last answer came.
    answered: Instant,
    /// How many answers to PINGREQ are missing until that of our own.
    missing: usize,
    /// How many rounds begin after it.
    rounds: u8,
}

impl Gap {
    /// A PINGREQ is sent now, with so many others on their way.
    fn new(now: Instant, unanswered: usize, rounds: u8) -> Self {
        Self { since: now, answered: now, missing: unanswered + 1, rounds }
    }
}

impl EmptyQueue {
    /// The search begins, and is over at this moment at the earliest.
    #[must_use]
    pub fn new(now: Instant, not_before: Instant) -> Self {
        Self { begun: now, not_before, last_full: now, last_new: None, slowest: Duration::ZERO, gap: None }
    }

    /// A message has arrived.
    pub fn disturbed(&mut self) {
        self.gap = None;
    }

    /// Nothing is read, so that nothing proves anything, and the broker may soon be without room.
    pub fn unread(&mut self, now: Instant) {
        (self.gap, self.last_full) = (None, now);
    }

    /// It is a new one.
    pub fn new_message(&mut self, now: Instant) {
        self.last_new = Some(now);
    }

    /// PINGRESP has come.
    pub fn answered(&mut self, now: Instant) {
        let Some(gap) = &mut self.gap else { return };
        gap.answered = now;
        if gap.missing == 1 {
            self.slowest = self.slowest.max(now.saturating_duration_since(gap.since));
        }
        gap.missing = gap.missing.saturating_sub(1);
    }

    /// What to do now. `unanswered` counts the PINGREQs on their way, without the one asked for.
    pub fn due(&mut self, window: Window, unanswered: usize, now: Instant) -> Search {
        let is_awaited = !window.is_empty && !self.is_stream(now);
        if window.is_full || !window.has_room || is_awaited {
            self.last_full = now;
        }
        if !window.has_room {
            self.gap = None;
        }
        let (full, begun) = (self.last_full.max(self.not_before), self.begun.max(self.not_before));
        let until = (full + PROVE_WITHIN).min(begun + PROVE_AT_LAST);
        let Some(gap) = &mut self.gap else {
            if now >= until {
                return Search::Unproven;
            } else if !window.has_room {
                return Search::Later(until);
            }
            self.gap = Some(Gap::new(now, unanswered, ROUNDS - 1));
            return Search::Ping;
        };
        let room_for_long = gap.since.max(self.last_full + ROOM_FOR);
        let arrived = gap.answered + self.slowest.min(QUIET);
        let lasted = |(age, least): (Duration, Duration)| (gap.since + least).max(arrived).max(self.begun + age);
        let quiet = GAPS.into_iter().map(lasted).fold(room_for_long, Instant::min).max(self.not_before);
        match (gap.missing, gap.rounds) {
            (0, 0) if now >= quiet => self.leave(window, now),
            _ if now >= until => Search::Unproven,
            (0, 0) => Search::Later(quiet.min(until)),
            (0, _) => {
                *gap = Gap::new(now, unanswered, gap.rounds - 1);
                Search::Ping
            }
            _ => Search::Later(until),
        }
    }

    /// Nothing is queued: whether what is in flight may be left at the broker, or when to look at it again, if its outcome
    /// does not wake the session before.
    fn leave(&self, window: Window, now: Instant) -> Search {
        let patience = self.last_full.max(self.not_before) + NOTHING_IN_FLIGHT_WITHIN;
        if window.is_empty || self.is_stream(now) && now >= patience { Search::Proven } else { Search::Later(patience) }
    }

    fn is_stream(&self, now: Instant) -> bool {
        self.last_new.is_some_and(|last| now.saturating_duration_since(last) < NO_STREAM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Window = Window { has_room: true, is_full: false, is_empty: true };
    const BUSY: Window = Window { is_empty: false, ..IDLE };
    const NO_ROOM: Window = Window { has_room: false, ..BUSY };
    const FULL: Window = Window { is_full: true, ..BUSY };

    #[test]
    fn over_is_when_the_fence_is_answered_and_the_time_has_passed() {
        let (start, mut quiet) = (Instant::now(), Quiet::default());
        assert_eq!(quiet.due(0, start), Due::Ping);
        assert_eq!(quiet.due(1, start + QUIET * 2), Due::Nothing, "the fence has no answer");
        quiet.answered();
        assert_eq!(quiet.due(0, start + QUIET / 2), Due::Later(start + QUIET));
        assert_eq!(quiet.due(0, start + QUIET), Due::Over);
    }

    #[test]
    fn whatever_comes_starts_it_over() {
        let (start, mut quiet) = (Instant::now(), Quiet::default());
        assert_eq!(quiet.due(0, start), Due::Ping);
        quiet.answered();
        quiet.disturbed();
        assert_eq!(quiet.due(0, start + QUIET), Due::Ping, "the time and the answer of before count no more");
        assert_eq!(quiet.due(1, start + QUIET * 3), Due::Nothing);
        quiet.answered();
        assert_eq!(quiet.due(0, start + QUIET * 3), Due::Over);
    }

    #[test]
    fn the_answer_to_an_earlier_ping_is_not_the_fence() {
        let (start, mut quiet) = (Instant::now(), Quiet::default());
        assert_eq!(quiet.due(1, start), Due::Ping);
        quiet.answered();
        assert_eq!(quiet.due(1, start + QUIET), Due::Nothing);
        quiet.answered();
        assert_eq!(quiet.due(0, start + QUIET), Due::Over);
    }

    #[test]
    fn f40_a_queue_is_empty_when_there_is_room_and_two_pings_are_answered_before_the_next_message() {
        let start = Instant::now();
        let mut queue = EmptyQueue::new(start, start);
        assert!(matches!(queue.due(NO_ROOM, 0, start), Search::Later(_)));
        assert_eq!(queue.due(IDLE, 1, start), Search::Ping);
        queue.answered(start);
        assert!(matches!(queue.due(IDLE, 1, start), Search::Later(_)), "the answer to an earlier ping");
        queue.disturbed();
        queue.answered(start);
        assert!(matches!(queue.due(NO_ROOM, 0, start), Search::Later(_)));
        assert_eq!(queue.due(IDLE, 0, start), Search::Ping, "a message came before the answer");
        queue.answered(start);
        assert_eq!(queue.due(IDLE, 0, start), Search::Ping, "what an acknowledgement made room for may come yet");
        queue.answered(start);
        assert_eq!(queue.due(IDLE, 0, start), Search::Later(start + QUIET), "it may send later than it answers");
        assert_eq!(queue.due(IDLE, 0, start + QUIET), Search::Proven);
    }

    #[test]
    fn f40_a_gap_begins_with_the_first_answer_and_lasts_behind_the_second_as_long_as_an_answer_took() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut queue = EmptyQueue::new(start, start);
        assert_eq!(queue.due(IDLE, 0, start), Search::Ping);
        queue.answered(start + second);
        assert_eq!(queue.due(IDLE, 0, start + second), Search::Ping);
        queue.answered(start + second);
        assert_eq!(queue.due(IDLE, 0, start + second), Search::Later(start + second + QUIET));
        queue.disturbed();
        // Later, with the window full until now: no 50 ms, but as long as that answer took.
        let now = start + second * 20;
        queue.due(NO_ROOM, 0, now);
        for _ in 0..ROUNDS {
            assert_eq!(queue.due(IDLE, 0, now), Search::Ping);
            queue.answered(now);
        }
        assert_eq!(queue.due(IDLE, 0, now), Search::Later(now + second));
        // A message that the broker sent right behind the second answer is not here before.
        queue.disturbed();
        assert_eq!(queue.due(IDLE, 0, now), Search::Ping);
        queue.answered(now);
        assert_eq!(queue.due(IDLE, 0, now), Search::Ping);
        queue.answered(now + second / 2);
        assert_eq!(queue.due(IDLE, 0, now + second), Search::Later(now + second * 3 / 2));
    }

    #[test]
    fn f40_what_a_broker_sends_again_by_a_timer_is_waited_for() {
        let (start, late) = (Instant::now(), Instant::now() + PROVE_AT_LAST * 2);
        let mut queue = EmptyQueue::new(start, late);
        for _ in 0..ROUNDS {
            assert_eq!(queue.due(IDLE, 0, start), Search::Ping);
            queue.answered(start);
        }
        assert_eq!(queue.due(IDLE, 0, start + PROVE_AT_LAST), Search::Later(late));
        queue.disturbed();
        for _ in 0..ROUNDS {
            assert_eq!(queue.due(IDLE, 0, late), Search::Ping, "it came, and the minute begins now");
            queue.answered(late);
        }
        assert_eq!(queue.due(IDLE, 0, late + QUIET), Search::Proven);
    }

    #[test]
    fn f40_a_stream_may_have_shorter_gaps_after_a_while_and_none_where_there_was_room_for_long() {
        let start = Instant::now();
        let (long, short) = (Duration::from_secs, Duration::from_millis);
        for (after, was_full, gap) in [
            (long(0), false, QUIET),
            (long(1), true, QUIET),
            (long(3), true, long(1)),
            (long(4), false, short(200)),
            (long(8), false, short(50)),
            (long(10), true, short(50)),
            (long(10), false, long(0)),
        ] {
            let (mut queue, now) = (EmptyQueue::new(start, start), start + after);
            if was_full {
                queue.due(NO_ROOM, 0, now);
            }
            for _ in 0..ROUNDS {
                assert_eq!(queue.due(IDLE, 0, now), Search::Ping);
                queue.answered(now);
            }
            if !gap.is_zero() {
                assert_eq!(queue.due(IDLE, 0, now), Search::Later(now + gap), "{after:?}, {was_full}");
            }
            assert_eq!(queue.due(IDLE, 0, now + gap), Search::Proven, "{after:?}, {was_full}");
        }
    }

    #[test]
    fn f40_room_does_not_count_as_long_as_nothing_is_read() {
        let (start, mut queue) = (Instant::now(), EmptyQueue::new(Instant::now(), Instant::now()));
        let resumed = start + ROOM_FOR * 2;
        queue.unread(resumed);
        for _ in 0..ROUNDS {
            assert_eq!(queue.due(IDLE, 0, resumed), Search::Ping);
            queue.answered(resumed);
        }
        assert!(matches!(queue.due(IDLE, 0, resumed), Search::Later(_)), "an answer may only now have made room");
    }

    /// The broker has nothing queued at this moment.
    fn proven(queue: &mut EmptyQueue, window: Window, now: Instant) -> Search {
        for _ in 0..ROUNDS {
            assert_eq!(queue.due(window, 0, now), Search::Ping);
            queue.answered(now);
        }
        queue.due(window, 0, now + QUIET)
    }

    #[test]
    fn f40_what_is_in_flight_has_its_outcome_first() {
        let start = Instant::now();
        let mut queue = EmptyQueue::new(start, start);
        assert!(matches!(proven(&mut queue, BUSY, start), Search::Later(_)));
        // Also a function that takes long: nothing waits for the session meanwhile.
        let late = start + PROVE_AT_LAST * 2;
        assert!(matches!(queue.due(BUSY, 0, late), Search::Later(_)));
        assert_eq!(queue.due(IDLE, 0, late), Search::Proven);
        // A broker that sends again what takes long leaves no gap, and the minute begins when that is done.
        let (mut queue, minute) = (EmptyQueue::new(start, start), Duration::from_mins(1));
        for minutes in 0..14 {
            queue.disturbed();
            assert!(!matches!(queue.due(BUSY, 0, start + minute * minutes), Search::Unproven), "{minutes}");
        }
        queue.disturbed();
        assert_eq!(proven(&mut queue, IDLE, start + minute * 13 + minute / 2), Search::Proven);
    }

    #[test]
    fn f40_in_a_stream_there_may_be_something_in_flight_all_the_time() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut queue = EmptyQueue::new(start, start);
        queue.disturbed();
        queue.new_message(start);
        let patience = Search::Later(start + NOTHING_IN_FLIGHT_WITHIN);
        let feed = |queue: &mut EmptyQueue, at: Instant| {
            queue.disturbed();
            queue.new_message(at);
            proven(queue, BUSY, at)
        };
        for seconds in [0, 5, 10, 15] {
            assert_eq!(feed(&mut queue, start + second * seconds), patience);
        }
        assert_eq!(feed(&mut queue, start + NOTHING_IN_FLIGHT_WITHIN), Search::Proven);
        // What waited for room is no stream, nor is what comes after a pause, or again.
        let full = start + NOTHING_IN_FLIGHT_WITHIN * 2;
        queue.due(NO_ROOM, 0, full);
        assert_eq!(feed(&mut queue, full), Search::Later(full + NOTHING_IN_FLIGHT_WITHIN));
        let later = full + NOTHING_IN_FLIGHT_WITHIN;
        assert!(matches!(queue.due(BUSY, 0, later), Search::Later(_)));
        assert_eq!(feed(&mut queue, later), Search::Later(later + NOTHING_IN_FLIGHT_WITHIN));
        queue.disturbed();
        assert!(matches!(proven(&mut queue, BUSY, later + NOTHING_IN_FLIGHT_WITHIN), Search::Later(_)));
    }

    #[test]
    fn f40_both_rounds_count_from_the_last_message_and_from_the_last_full_window() {
        let start = Instant::now();
        let (mut queue, later) = (EmptyQueue::new(start, start), Search::Later(start + PROVE_WITHIN));
        let fences = |queue: &mut EmptyQueue| {
            assert_eq!(queue.due(IDLE, 0, start), Search::Ping);
            assert_eq!(queue.due(IDLE, 1, start), later, "the first is not answered");
            queue.answered(start);
        };
        fences(&mut queue);
        queue.disturbed();
        fences(&mut queue);
        assert_eq!(queue.due(IDLE, 0, start), Search::Ping, "one round since the message");
        queue.disturbed();
        fences(&mut queue);
        assert_eq!(queue.due(NO_ROOM, 0, start), later, "no room any more");
        fences(&mut queue);
        // Behind a PINGREQ of the keep-alive, whose answer comes first.
        assert_eq!(queue.due(IDLE, 1, start), Search::Ping);
        queue.answered(start);
        assert_eq!(queue.due(IDLE, 1, start), later, "the answer to another");
        queue.answered(start);
        assert_eq!(queue.due(IDLE, 0, start + QUIET), Search::Proven);
    }

    #[test]
    fn f40_a_stream_without_a_gap_is_left_after_a_minute_with_room_and_a_backlog_is_fetched_first() {
        let (start, minute) = (Instant::now(), Duration::from_mins(1));
        // The window is full, or the broker's smaller one is, because of one message that takes long.
        for window in [FULL, NO_ROOM] {
            let mut queue = EmptyQueue::new(start, start);
            for minutes in 0..10 {
                queue.disturbed();
                let due = queue.due(window, 0, start + minute * minutes);
                assert!(!matches!(due, Search::Unproven | Search::Proven), "{minutes}: {due:?}");
            }
            queue.disturbed();
            assert_eq!(queue.due(IDLE, 0, start + minute * 10), Search::Unproven);
            let mut queue = EmptyQueue::new(start, start);
            assert_eq!((0..=15).map(|n| queue.due(window, 0, start + minute * n)).last(), Some(Search::Unproven));
        }
    }
}
