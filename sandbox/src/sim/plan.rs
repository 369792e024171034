//! What a seed draws: the broker's behaviour, the mapping's settings, the function's moods, and the times of faults.
//! Plain data; a plan can be made smaller and run again.

mod brokers;
mod fault;
mod filters;
mod moods;

use std::fmt;
use std::time::Duration;

use bridge::config::{LambdaClient, Protocol};

use super::broker::Habits;
use super::chance::Chance;

pub use brokers::Brokers;
pub use fault::{Fault, Faults};
pub use filters::Filters;
pub use moods::{Answers, Moods};

/// What kind of worlds to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is chosen by itself")]
pub struct Profile {
    /// The broker's habits; drawn unless given.
    pub broker: Option<&'static str>,
    /// How much breaks.
    pub faults: Faults,
    /// Whether every mapping has several topic filters; drawn unless set.
    pub several_filters: bool,
    /// Whether every world has two mappings; drawn unless set.
    pub two_mappings: bool,
    /// Whether something else answers in Lambda's place in every world; drawn unless set.
    pub strangers: bool,
    /// Whether every world has two brokers; drawn unless set.
    pub two_brokers: bool,
    /// Whether devices in every world write topics that MQTT forbids; drawn unless set.
    pub careless: bool,
    /// Without the parts that some seeds have drawn since, each from a stream of its own: the worlds in which old seeds found
    /// faults.
    pub plain: bool,
}

/// A place for dead letters. Files are for the tests with real parts: what a disk does follows no virtual clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// SQS.
    Queue,
    /// S3.
    Bucket,
    /// The broker itself.
    Topic,
}

/// A whole world, as a seed has drawn it.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The version of MQTT.
    pub protocol: Protocol,
    /// The broker.
    pub habits: Habits,
    /// A second broker, where there is one.
    pub brokers: Option<Brokers>,
    /// How many messages are published.
    pub messages: u64,
    /// By how many devices, each with a topic of its own.
    pub devices: u64,
    /// In how long.
    pub publishing: Duration,
    /// How many of them expire, in percent. MQTT 5 only.
    pub expiring: u32,
    /// How many of them are retained, in percent.
    pub retained: u32,
    /// Every so many messages one has a topic that MQTT forbids; 0 for none.
    pub ill_formed_every: u64,
    /// `mapping.topic_filter`.
    pub filters: Filters,
    /// Whether a second mapping has a function of its own for the same messages.
    pub two_mappings: bool,
    /// `mapping.qos`.
    pub qos: u8,
    /// `mapping.concurrency`.
    pub concurrency: usize,
    /// `mapping.receive_maximum`.
    pub receive_maximum: u16,
    /// `mapping.max_outstanding_bytes`; its default unless drawn.
    pub most_bytes: Option<u64>,
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
    /// `mapping.on_failure`: each is the fallback of those before it.
    pub places: &'static [Place],
    /// Whether the bridge leaves for good at the end, and with how many messages that have just come.
    pub retires: Option<u64>,
    /// The network's longest delay, in milliseconds.
    pub delay: u64,
    /// The largest piece that a link carries at once.
    pub piece: u64,
    /// The function.
    pub moods: Moods,
    /// What it answers.
    pub answers: Answers,
    /// `lambda.client`.
    pub client: LambdaClient,
    /// `lambda.dry_run`.
    pub dry_runs: bool,
    /// What breaks, and when.
    pub faults: Vec<(Duration, Fault)>,
}

/// The chains that are drawn.
const CHAINS: [&[Place]; 8] = {
    use Place::{Bucket, Queue, Topic};
    [&[], &[], &[Queue], &[Topic], &[Bucket], &[Queue, Topic], &[Bucket, Queue], &[Topic, Bucket]]
};

impl Plan {
    /// What this seed draws.
    #[must_use]
    pub fn draw(seed: u64, profile: Profile) -> Self {
        let mut chance = Chance::of(seed, 0);
        let habits = profile.broker.and_then(Habits::named).unwrap_or_else(|| Habits::draw(&mut chance));
        let protocol = habits.protocol(&mut chance);
        let shared = habits.knows_shared && chance.percent(35);
        let ordered = !shared && chance.percent(30);
        let publishing = Duration::from_secs(chance.number(20..180));
        let bisect = chance.percent(50);
        let places = chance.one_of(&CHAINS);
        let moods = Moods::draw(&mut chance, !places.is_empty());
        let faults = fault::draw(&mut chance, profile.faults, publishing);
        // Small pieces with long delays would be a line that carries less than the broker sends again.
        let (delay, piece) = chance.one_of(&[(0, 3), (0, 16_384), (0, 100), (5, 500), (200, 16_384)]);
        let plan = Self {
            seed,
            protocol,
            habits,
            brokers: None,
            filters: Filters::default(),
            two_mappings: profile.two_mappings || !profile.plain && Chance::of(seed, 10).percent(12),
            messages: chance.number(200..400),
            devices: chance.one_of(&[1, 3, 20]),
            publishing,
            expiring: if protocol == Protocol::V5 { chance.one_of(&[0, 0, 20]) } else { 0 },
            retained: if shared { 0 } else { chance.one_of(&[0, 0, 20]) },
            ill_formed_every: 0,
            qos: chance.one_of(&[1, 1, 1, 2]),
            concurrency: chance.one_of(&[1, 4, 16]),
            receive_maximum: chance.one_of(&[1, 5, 20, 100]),
            // From a stream of its own, so that the other draws of a seed do not change.
            most_bytes: Chance::of(seed, 8).one_of(&[None, None, None, Some(1_024)]),
            batch: chance.one_of(&[1, 1, 10, 100]),
            bisect,
            ordered,
            identified: chance.percent(30),
            sessions: if shared { chance.one_of(&[1, 2]) } else { 1 },
            replicas: if shared { chance.one_of(&[1, 2, 3]) } else { 1 },
            places,
            retires: chance.one_of(&[None, None, Some(0), Some(40)]),
            delay,
            piece,
            moods,
            answers: Answers::draw(&mut chance, protocol),
            client: chance.one_of(&[LambdaClient::Sdk, LambdaClient::Lean]),
            dry_runs: !profile.plain && Chance::of(seed, 15).percent(12),
            faults,
        };
        let plan = plan.with_late_sending(profile);
        plan.with_several_filters(profile)
            .with_strangers(profile)
            .with_two_brokers(profile)
            .with_careless_devices(profile)
    }

    /// From a stream of its own, so that the others stay as they are.
    fn with_late_sending(mut self, profile: Profile) -> Self {
        if !profile.plain {
            self.habits = self.habits.with_late_sending(&mut Chance::of(self.seed, 17));
        }
        self
    }

    /// In some worlds a mapping has several filters. From a stream of its own, so that the others stay as they are.
    fn with_several_filters(mut self, profile: Profile) -> Self {
        let mut chance = Chance::of(self.seed, 9);
        if (profile.plain || !chance.percent(20)) && !profile.several_filters {
            return self;
        }
        self.filters = Filters::several(&mut chance);
        self.habits = self.habits.with_overlaps(self.protocol, &mut chance);
        if self.ordered {
            // A retained message comes when its filter is granted, which may be after later ones of its key.
            self.retained = 0;
        }
        self.faults.extend(filters::faults(&mut chance, self.filters, profile.faults, self.publishing));
        self.faults.sort_by_key(|(at, _)| *at);
        self
    }

    /// In some worlds something else answers in Lambda's place now and then. From a stream of its own, too.
    fn with_strangers(mut self, profile: Profile) -> Self {
        let mut chance = Chance::of(self.seed, 11);
        if (profile.plain || !chance.percent(12)) && !profile.strangers {
            return self;
        }
        self.moods.strange = chance.one_of(&[0, 2, 10]);
        // What waits behind it in its key, nobody can let pass; and what is given up must go somewhere.
        // With one message at a time none passes beside it.
        let several = self.receive_maximum > 1 && self.habits.window > 1 && self.most_bytes.is_none();
        if several && !self.ordered && !self.places.is_empty() {
            self.moods.blocked_every = chance.one_of(&[0, 45]);
            // In a window that is full behind it none passes beside it any more, and only Lambda's word shows it.
            self.dry_runs |= self.moods.blocked_every > 0;
        }
        let within = u64::try_from(self.publishing.as_millis()).unwrap_or(u64::MAX);
        let number = if profile.faults == Faults::None { 0 } else { chance.number(1..4) };
        for _ in 0..number {
            let (at, how_long) = (chance.millis(0..within), chance.millis(10..30_000));
            self.faults.push((at, Fault::SomebodyElse(how_long)));
        }
        self.faults.sort_by_key(|(at, _)| *at);
        self
    }

    /// In some worlds devices write topics that MQTT forbids. From a stream of its own, too.
    fn with_careless_devices(mut self, profile: Profile) -> Self {
        let mut chance = Chance::of(self.seed, 18);
        if (profile.plain || !chance.percent(12)) && !profile.careless {
            return self;
        }
        // What is given up must go somewhere, and a topic is what is ordered by.
        if !self.ordered && !self.places.is_empty() {
            self.ill_formed_every = chance.one_of(&[7, 40]);
        }
        self
    }

    /// In some worlds there are two brokers. From a stream of its own, too.
    fn with_two_brokers(mut self, profile: Profile) -> Self {
        let mut chance = Chance::of(self.seed, 16);
        if (profile.plain || !chance.percent(12)) && !profile.two_brokers {
            return self;
        }
        self.brokers = Some(Brokers::draw(&mut chance));
        // What waits at one of them is overtaken by what comes from the other; and more of it would be published where
        // nobody is any more, by those who leave and by those who want to see a refused message pass.
        (self.ordered, self.moods.blocked_every) = (false, 0);
        self.retires = self.retires.map(|_| 0);
        self.faults.extend(brokers::faults(&mut chance, profile.faults, self.publishing));
        self.faults.sort_by_key(|(at, _)| *at);
        self
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, protocol, habits, messages, devices, faults, .. } = self;
        writeln!(f, "seed {seed}: MQTT {protocol}, {habits}, {messages} messages of {devices} devices")?;
        let mut words = vec![
            format!("qos {}", self.qos),
            format!("concurrency {}", self.concurrency),
            format!("receive maximum {}", self.receive_maximum),
            format!("batches of {}", self.batch),
            format!("{} sessions", self.sessions),
            format!("{} replicas", self.replicas),
            format!("dead letters to {:?}", self.places),
        ];
        words.extend(self.most_bytes.map(|most| format!("{most} bytes")));
        if self.filters.count() > 1 {
            words.push(format!("filters {}", self.filters.texts().collect::<Vec<_>>().join(" ")));
        }
        words.extend(self.brokers.map(|brokers| format!("{brokers:?}")));
        for (word, is_so) in [
            ("two mappings", self.two_mappings),
            ("dry runs", self.dry_runs),
            ("bisected", self.bisect),
            ("ordered", self.ordered),
            ("message_id", self.identified),
            ("expiring", self.expiring > 0),
            ("retained", self.retained > 0),
            ("careless", self.ill_formed_every > 0),
            ("lean", self.client == LambdaClient::Lean),
        ] {
            words.extend(is_so.then(|| word.to_owned()));
        }
        writeln!(f, "  {}", words.join(", "))?;
        writeln!(f, "  {:?}", self.moods)?;
        if self.answers.any() {
            writeln!(f, "  {:?}", self.answers)?;
        }
        for (index, (at, fault)) in faults.iter().enumerate() {
            writeln!(f, "  {index:>2} {:>9.3} {fault:?}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
