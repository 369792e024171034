//! What a seed draws: the broker's habits, the mapping's settings, the function's moods, and when what breaks. Plain data;
//! a plan can be made smaller and played again.

use std::fmt;
use std::time::Duration;

use bridge::config::Protocol;

use super::broker::Habits;
use super::chance::Chance;

/// What kind of worlds to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    /// The broker's habits; drawn unless given.
    pub broker: Option<&'static str>,
    /// How much breaks.
    pub faults: Faults,
}

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
    /// Somebody else takes our client ids, once.
    TakenOver,
    /// The bridge is killed, and starts again.
    Killed(Duration),
    /// The bridge drains and stops, and starts again.
    Stopped(Duration),
    /// An operator holds the mapping.
    Paused(Duration),
    /// The configuration is read again, with other batches.
    Reloaded,
    /// The function throttles everything.
    Throttles(Duration),
    /// Lambda answers with errors that pass.
    ServiceErrors(Duration),
    /// The set-up of the function is wrong.
    SetUpWrong(Duration),
    /// Invocations get no answer.
    Silence(Duration),
    /// Failure destinations take nothing.
    DestinationsFail(Duration),
}

/// How the function behaves beside its faults, in percent of invocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moods {
    /// The longest that it runs, in milliseconds.
    pub longest: u64,
    /// It throws.
    pub throws: u32,
    /// It fails some records.
    pub partial: u32,
    /// It ran, and the answer is lost.
    pub answer_lost: u32,
    /// It answers with nonsense.
    pub lies: u32,
    /// 429, 500, 502 or 503.
    pub service: u32,
    /// Every so many messages one always fails; 0 for none.
    pub poison_every: u64,
}

/// A whole world, as a seed has drawn it.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The version of MQTT.
    pub protocol: Protocol,
    /// The broker.
    pub habits: Habits,
    /// How many messages are published.
    pub messages: u64,
    /// By how many devices, each with a topic of its own.
    pub devices: u64,
    /// In how long.
    pub publishing: Duration,
    /// `mapping.qos`.
    pub qos: u8,
    /// `mapping.concurrency`.
    pub concurrency: usize,
    /// `mapping.receive_maximum`.
    pub receive_maximum: u16,
    /// `mapping.batch.max_records`.
    pub batch: usize,
    /// `mapping.batch.bisect_on_error`.
    pub bisect: bool,
    /// Whether the devices' topics are ordering keys.
    pub ordered: bool,
    /// Whether `message_id` is configured.
    pub identified: bool,
    /// How many sessions share the subscription.
    pub sessions: usize,
    /// How many processes do.
    pub replicas: usize,
    /// Whether there are failure destinations: a queue, and a topic behind it.
    pub destinations: bool,
    /// Whether the bridge leaves for good at the end, and with how many messages that have just come.
    pub retires: Option<u64>,
    /// The network's pieces and delays.
    pub delay: u64,
    /// The largest piece that a link carries at once.
    pub piece: u64,
    /// The function.
    pub moods: Moods,
    /// What breaks, and when.
    pub faults: Vec<(Duration, Fault)>,
}

impl Plan {
    /// What this seed draws.
    #[must_use]
    pub fn draw(seed: u64, profile: Profile) -> Self {
        let mut chance = Chance::of(seed, 0);
        let habits = profile.broker.and_then(Habits::named).unwrap_or_else(|| Habits::draw(&mut chance));
        let protocol = habits.protocol(&mut chance);
        let shared = habits.knows_shared && chance.percent(25);
        let ordered = !shared && chance.percent(30);
        let publishing = Duration::from_secs(chance.number(20..180));
        let bisect = chance.percent(50);
        let moods = moods(&mut chance);
        let faults = faults(&mut chance, profile.faults, publishing);
        // Small pieces with long delays would be a line that carries less than the broker sends again.
        let (delay, piece) = chance.one_of(&[(0, 3), (0, 16_384), (0, 100), (5, 500), (200, 16_384)]);
        Self {
            seed,
            protocol,
            habits,
            messages: chance.number(200..400),
            devices: chance.one_of(&[1, 3, 20]),
            publishing,
            qos: chance.one_of(&[1, 1, 1, 2]),
            concurrency: chance.one_of(&[1, 4, 16]),
            receive_maximum: chance.one_of(&[1, 5, 20, 100]),
            batch: chance.one_of(&[1, 1, 10, 100]),
            bisect,
            ordered,
            identified: chance.percent(30),
            sessions: if shared { chance.one_of(&[1, 2]) } else { 1 },
            replicas: if shared { chance.one_of(&[1, 2]) } else { 1 },
            destinations: moods.poison_every > 0 || chance.percent(50),
            retires: chance.one_of(&[None, None, Some(0), Some(40)]),
            delay,
            piece,
            moods,
            faults,
        }
    }
}

fn moods(chance: &mut Chance) -> Moods {
    let mut often = |percent: u32| if chance.percent(40) { percent } else { 0 };
    let (throws, partial, answer_lost, lies, service) = (often(5), often(10), often(5), often(3), often(10));
    let longest = chance.one_of(&[1, 50, 2_000, 10_000]);
    let poison_every = chance.one_of(&[0, 0, 50]);
    Moods { longest, throws, partial, answer_lost, lies, service, poison_every }
}

fn faults(chance: &mut Chance, how_many: Faults, within: Duration) -> Vec<(Duration, Fault)> {
    let number = match how_many {
        Faults::None => 0,
        Faults::Usual => chance.number(5..11),
        Faults::Heavy => chance.number(20..41),
    };
    let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let mut faults: Vec<_> = (0..number).map(|_| (chance.millis(0..within), fault(chance))).collect();
    faults.sort_by_key(|(at, _)| *at);
    faults
}

fn fault(chance: &mut Chance) -> Fault {
    let mut long = || chance.millis(10..30_000);
    let (short, hole) = (long(), long());
    match chance.number(0..17) {
        0..3 => Fault::Cut,
        3 => Fault::HalfClose,
        4 if chance.percent(50) => Fault::Vanished,
        4 => Fault::BlackHole(hole * 3),
        5 => Fault::BrokerRestarts(short),
        6 => Fault::BrokerRefuses(short),
        7 => Fault::TakenOver,
        8 | 9 => Fault::Killed(short),
        10 => Fault::Stopped(short),
        11 => Fault::Paused(short),
        12 => Fault::Reloaded,
        13 => Fault::Throttles(short),
        14 => Fault::ServiceErrors(short),
        15 => Fault::SetUpWrong(short),
        16 if chance.percent(50) => Fault::Silence(short),
        _ => Fault::DestinationsFail(short),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, protocol, habits, messages, devices, faults, .. } = self;
        writeln!(f, "seed {seed}: MQTT {protocol}, {habits}, {messages} messages of {devices} devices")?;
        writeln!(
            f,
            "  qos {}, concurrency {}, receive maximum {}, batches of {}{}{}{}, {} sessions, {} replicas",
            self.qos,
            self.concurrency,
            self.receive_maximum,
            self.batch,
            if self.bisect { " bisected" } else { "" },
            if self.ordered { ", ordered" } else { "" },
            if self.identified { ", message_id" } else { "" },
            self.sessions,
            self.replicas
        )?;
        for (at, fault) in faults {
            writeln!(f, "  {:>9.3} {fault:?}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
