//! The faults and the actions of operators in a world, and how a seed draws them. Plain data.

use std::time::Duration;

use super::super::chance::Chance;

/// How much breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Faults {
    /// Nothing.
    None,
    /// Five to ten things.
    #[default]
    Usual,
    /// Twenty to forty.
    Heavy,
}

/// One thing that goes wrong, or that somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// All connections break.
    Cut,
    /// One connection breaks.
    CutOne,
    /// All connections break in one direction.
    HalfClose,
    /// Nothing gets through for a while, on the connections that are there.
    BlackHole(Duration),
    /// Nothing gets through any more on the connections that are there, and nobody is told.
    Vanished,
    /// The broker is away.
    BrokerRestarts(Duration),
    /// The broker refuses CONNECT for a while.
    BrokerRefuses(Duration),
    /// Nothing gets to this one of two brokers for a while, and nobody is told.
    Unreachable(usize, Duration),
    /// This one of two brokers is away.
    OneRestarts(usize, Duration),
    /// This one of two brokers refuses CONNECT for a while, and the connections to it break.
    OneRefuses(usize, Duration),
    /// The broker refuses SUBSCRIBE for a while, and all connections break.
    SubscriptionsRefused(Duration),
    /// The broker keeps its sessions and forgets what they are subscribed to, and all connections break. MQTT 5 only.
    SubscriptionsForgotten,
    /// The broker refuses this one of the mapping's filters for a while (MQTT 5, 3.9.3: a reason code each), and all
    /// connections break.
    FilterRefused(usize, Duration),
    /// The broker keeps its sessions and forgets this one of their filters, and all connections break. MQTT 5 only.
    FilterForgotten(usize),
    /// The configuration is read again, without this one of the filters, or with the one that it was without.
    FilterReloaded(usize),
    /// Somebody else takes our client ids, once.
    TakenOver,
    /// The broker refuses what the bridge publishes for a while.
    PublishesRefused(Duration),
    /// The broker confirms nothing of what the bridge publishes for a while.
    PublishesSwallowed(Duration),
    /// The bridge is killed, and starts again.
    Killed(Duration),
    /// The bridge drains and stops, and starts again.
    Stopped(Duration),
    /// One process leaves for good, and another takes its place.
    Retired,
    /// An operator holds the mapping.
    Paused(Duration),
    /// The configuration is read again, with other batches.
    Reloaded,
    /// There are new TLS files.
    Rotated,
    /// The function throttles everything.
    Throttles(Duration),
    /// Lambda answers with errors that pass.
    ServiceErrors(Duration),
    /// The set-up of the function is wrong.
    SetUpWrong(Duration),
    /// Something else answers in Lambda's place.
    SomebodyElse(Duration),
    /// Invocations get no answer.
    Silence(Duration),
    /// The queue for dead letters takes nothing.
    QueueFails(Duration),
    /// The bucket for dead letters takes nothing.
    BucketFails(Duration),
}

/// What breaks within this time, the first first.
pub(super) fn draw(chance: &mut Chance, how_many: Faults, within: Duration) -> Vec<(Duration, Fault)> {
    let number = match how_many {
        Faults::None => 0,
        Faults::Usual => chance.number(5..11),
        Faults::Heavy => chance.number(20..41),
    };
    let mut faults = scattered(chance, number, within, one);
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// So many at any time within this, in no order.
pub(super) fn scattered(
    chance: &mut Chance,
    number: u64,
    within: Duration,
    one: impl Fn(&mut Chance) -> Fault,
) -> Vec<(Duration, Fault)> {
    let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    (0..number).map(|_| (chance.millis(0..within), one(chance))).collect()
}

fn one(chance: &mut Chance) -> Fault {
    let (short, hole) = (chance.millis(10..30_000), chance.millis(10..30_000));
    match chance.number(0..26) {
        0 | 1 => Fault::Cut,
        2 => Fault::CutOne,
        3 => Fault::HalfClose,
        4 => Fault::Vanished,
        5 => Fault::BlackHole(hole * 3),
        6 => Fault::BrokerRestarts(short),
        7 => Fault::BrokerRefuses(short),
        8 => Fault::SubscriptionsRefused(short),
        9 => Fault::SubscriptionsForgotten,
        10 => Fault::TakenOver,
        11 => Fault::PublishesRefused(short),
        12 => Fault::PublishesSwallowed(hole * 2),
        13 | 14 => Fault::Killed(short),
        15 => Fault::Stopped(short),
        16 => Fault::Retired,
        17 => Fault::Paused(short),
        18 => Fault::Reloaded,
        19 => Fault::Rotated,
        20 => Fault::Throttles(short),
        21 => Fault::ServiceErrors(short),
        22 => Fault::SetUpWrong(short),
        23 => Fault::Silence(short),
        24 => Fault::QueueFails(hole * 2),
        _ => Fault::BucketFails(hole * 2),
    }
}
