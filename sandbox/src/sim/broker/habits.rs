//! Differences between brokers as switches, and their values for real brokers as in docs/brokers.md. Plain data.

use std::fmt;
use std::time::Duration;

use bridge::config::Protocol;

use super::super::chance::Chance;

/// The habits of one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
pub struct Habits {
    /// Of which broker, or `drawn`.
    pub name: &'static str,
    /// MQTT 5.
    pub speaks_5: bool,
    /// MQTT 3.1.1.
    pub speaks_311: bool,
    /// Sessions outlive its restart.
    pub keeps_over_restart: bool,
    /// CONNACK says Session Present when there is one.
    pub says_present: bool,
    /// What is sent again after a reconnect has DUP.
    pub marks_again: bool,
    /// What is sent again after a reconnect has other packet identifiers.
    pub renumbers: bool,
    /// The lowest free packet identifier is taken, so that one is used again at once.
    pub reuses_at_once: bool,
    /// Where packet identifiers begin.
    pub first_id: u16,
    /// After this time what is not acknowledged is sent again on the same connection.
    pub resends_after: Option<Duration>,
    /// That timer alone brings again what an earlier connection left, behind what is new. MQTT 5 forbids it (4.4).
    pub again_by_timer: bool,
    /// So many times Receive Maximum may be in flight.
    pub exceeds: usize,
    /// Its own window.
    pub window: usize,
    /// The longest session that it grants.
    pub grants: Option<Duration>,
    /// Whether UNSUBSCRIBE drops what is queued, and what was sent and is not acknowledged.
    pub drops_at_unsubscribe: bool,
    /// Whether it knows shared subscriptions.
    pub knows_shared: bool,
    /// Whether CONNACK overrides Keep Alive, in seconds.
    pub server_keep_alive: Option<u16>,
    /// How many messages wait for a session at most.
    pub queue: usize,
    /// What a member of a group leaves when its connection ends goes to another member.
    pub redistributes: bool,
    /// Receive Maximum, for those who publish. MQTT 5.
    pub takes: Option<u16>,
    /// How long it takes to confirm what is published.
    pub confirms_after: Duration,
    /// Where several filters of a session match, each brings a copy of its own (MQTT 5, 3.3.4; MQTT 3.1.1, 3.3.5).
    pub sends_each: bool,
    /// The copy of the filter that was subscribed to last comes first.
    pub last_first: bool,
    /// It knows subscription identifiers (MQTT 5, 3.2.2.3.12).
    pub names_filters: bool,
    /// How much later it sends what there is room for; pings are answered at once.
    pub sends_after: Duration,
    /// And what it sends first after a CONNECT.
    pub begins_after: Duration,
}

const USUAL: Habits = Habits {
    name: "mosquitto",
    speaks_5: true,
    speaks_311: true,
    keeps_over_restart: true,
    says_present: true,
    marks_again: true,
    renumbers: false,
    reuses_at_once: false,
    first_id: 0,
    resends_after: None,
    again_by_timer: false,
    exceeds: 1,
    window: 100,
    grants: None,
    drops_at_unsubscribe: false,
    knows_shared: true,
    server_keep_alive: None,
    queue: usize::MAX,
    redistributes: false,
    takes: None,
    confirms_after: Duration::ZERO,
    sends_each: false,
    last_first: false,
    names_filters: true,
    sends_after: Duration::ZERO,
    begins_after: Duration::ZERO,
};

/// The habits of real brokers.
const ALL: [Habits; 11] = [
    USUAL,
    Habits { name: "mosquitto-2.0.11", exceeds: 2, ..USUAL },
    Habits { name: "rabbitmq", renumbers: true, window: 10, knows_shared: false, grants: DAY, ..USUAL },
    Habits { name: "ejabberd", keeps_over_restart: false, window: 1, knows_shared: false, ..USUAL },
    // As seen with 2.15: what is queued comes from another place than the answers to pings.
    Habits { name: "nats", speaks_5: false, resends_after: HALF_A_MINUTE, again_by_timer: true, ..SENDS_LATE },
    Habits { name: "activemq", speaks_5: false, says_present: false, ..LEAVES_BADLY },
    Habits { name: "aedes", speaks_5: false, keeps_over_restart: false, marks_again: false, ..RENUMBERS },
    Habits { name: "rumqttd", keeps_over_restart: false, marks_again: false, renumbers: true, ..LEAVES_BADLY },
    Habits { name: "emqx", resends_after: HALF_A_MINUTE, window: 32, ..USUAL },
    Habits { name: "hivemq", redistributes: true, takes: Some(10), ..USUAL },
    Habits { name: "vernemq", resends_after: Some(Duration::from_secs(20)), window: 20, ..USUAL },
];

const DAY: Option<Duration> = Some(Duration::from_hours(24));
const HALF_A_MINUTE: Option<Duration> = Some(Duration::from_secs(30));
const RENUMBERS: Habits = Habits { renumbers: true, knows_shared: false, ..USUAL };
const LEAVES_BADLY: Habits = Habits { drops_at_unsubscribe: true, knows_shared: false, ..USUAL };
const SENDS_LATE: Habits =
    Habits { sends_after: Duration::from_millis(5), begins_after: Duration::from_millis(500), ..LEAVES_BADLY };

impl Habits {
    /// The names that [`Habits::named`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|habits| habits.name)
    }

    /// Those of this broker.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|habits| habits.name == name)
    }

    /// Those of a real broker, or of one that nobody has written yet.
    pub(in crate::sim) fn draw(chance: &mut Chance) -> Self {
        if chance.percent(60) {
            return Self { first_id: chance.one_of(&[0, 65_500]), ..chance.one_of(&ALL) };
        }
        Self {
            name: "drawn",
            speaks_5: true,
            speaks_311: true,
            keeps_over_restart: chance.percent(70),
            says_present: chance.percent(85),
            marks_again: chance.percent(70),
            renumbers: chance.percent(40),
            reuses_at_once: chance.percent(40),
            first_id: chance.one_of(&[0, 0, 65_500]),
            resends_after: chance.percent(30).then(|| Duration::from_secs(chance.number(5..40))),
            exceeds: chance.one_of(&[1, 1, 2, 5]),
            window: chance.one_of(&[1, 10, 100]),
            grants: chance.one_of(&[None, None, Some(Duration::from_mins(1))]),
            drops_at_unsubscribe: chance.percent(30),
            knows_shared: chance.percent(60),
            server_keep_alive: chance.one_of(&[None, None, Some(0), Some(5), Some(65_535)]),
            queue: chance.one_of(&[usize::MAX, usize::MAX, usize::MAX, 50]),
            redistributes: chance.percent(30),
            takes: chance.one_of(&[None, Some(1), Some(10)]),
            confirms_after: chance.one_of(&[Duration::ZERO, Duration::from_millis(50), Duration::from_secs(1)]),
            ..USUAL
        }
    }

    /// What it does where filters overlap. Mosquitto 2.0 sends a copy for each under MQTT 5 and one message under MQTT
    /// 3.1.1, as seen; VerneMQ a copy for each, by the documentation of products that are made of it. What the others
    /// do is drawn.
    pub(in crate::sim) fn with_overlaps(self, protocol: Protocol, chance: &mut Chance) -> Self {
        let (each, last_first) = (chance.percent(60), chance.percent(30));
        let names_filters = chance.percent(85);
        let sends_each = match self.name {
            name if name.starts_with("mosquitto") => protocol == Protocol::V5,
            "vernemq" => true,
            _ => each,
        };
        Self { sends_each, last_first, names_filters: names_filters || self.name != "drawn", ..self }
    }

    /// Some answer pings before they send what they have queued.
    pub(in crate::sim) fn with_late_sending(self, chance: &mut Chance) -> Self {
        let (sends, begins) = chance.one_of(&[(0, 0), (0, 0), (0, 1_000), (5, 5), (20, 500)]);
        if self.name != "drawn" {
            return self;
        }
        // A session that CONNACK calls new, against MQTT 5, 3.2.2.1.1, is told from a new one by what comes before the SUBACK.
        let begins = if self.says_present { begins } else { 0 };
        Self { sends_after: Duration::from_millis(sends), begins_after: Duration::from_millis(begins), ..self }
    }

    pub(in crate::sim) fn protocol(&self, chance: &mut Chance) -> Protocol {
        match (self.speaks_5, self.speaks_311) {
            (true, true) => chance.one_of(&[Protocol::V5, Protocol::V5, Protocol::V311]),
            (true, false) => Protocol::V5,
            (false, _) => Protocol::V311,
        }
    }
}

impl fmt::Display for Habits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name == "drawn" { write!(f, "{self:?}") } else { write!(f, "broker {}", self.name) }
    }
}
