//! Ten minutes of a fleet, a tenth of a second at a time. Pure: the same seed gives the same.

use clap::ValueEnum;

use super::size::{Fleet, REQUESTS};

const TICK: f64 = 0.1;
const TICKS: u32 = 6_000;
/// When the incident begins.
const BEGINS: u32 = 600;
/// A broker finds a client gone after one and a half keep-alives of 30 s (MQTT 5, 3.1.2.10).
const UNNOTICED: u32 = 450;
/// For which a replica is away, or Lambda takes half.
const MINUTE: u32 = 600;
/// How long a replica is away that a deploy restarts.
const RESTART: u32 = 100;
/// Lambda gives a function 1,000 environments each 10 s, without a break (Lambda Developer Guide, "Lambda scaling
/// behavior").
const SCALING: f64 = 100.0;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Incident {
    /// Nothing.
    None,
    /// A replica's machine dies without a word, and is back after a minute; what it had is sent again.
    Loss,
    /// A replica's process is killed, so that its connection closes at once, and is back after a minute; what it had is
    /// sent again.
    Kill,
    /// Replicas are restarted, one after the other.
    Deploy,
    /// For a minute Lambda takes half of what the fleet was made for.
    Throttles,
    /// The function has no environments at the start.
    Cold,
}

/// What the broker does with the share of a member of the group that it knows to be away, and whose session it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Deals {
    /// It is put into the member's session, and waits for it there.
    Waits,
    /// The other members get it.
    Redistributes,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Played {
    /// Most messages that waited.
    pub(super) backlog: f64,
    /// The longest that a message waited, in seconds.
    pub(super) wait: f64,
    pub(super) throttled: f64,
    /// Messages that came a second time.
    pub(super) copies: f64,
    /// Messages that were dealt to a replica that was away.
    pub(super) dealt_to_absent: f64,
    /// Messages that came while one was away.
    pub(super) came_meanwhile: f64,
}

/// Plays it with this concurrency quota.
pub(super) fn play(fleet: Fleet, quota: f64, incident: Incident, deals: Deals, seed: u64) -> Played {
    let mut chance = fastrand::Rng::with_seed(seed);
    // A shared subscription gives each member its turn; yet some hash to more, by a tenth.
    let weights: Vec<f64> = (0..fleet.replicas).map(|_| 0.9 + 0.2 * chance.f64()).collect();
    let granted = if incident == Incident::Cold { 0.0 } else { fleet.quota().min(quota) };
    let waiting = vec![0.0; weights.len()];
    let mut world = World { fleet, incident, deals, weights, waiting, granted, played: Played::default() };
    for tick in 0..TICKS {
        // Bursts: a tick has between half and one and a half times the mean.
        world.arrive(tick, fleet.load.rate * TICK * (0.5 + chance.f64()));
        if tick == BEGINS && matches!(incident, Incident::Loss | Incident::Kill) {
            // The messages in flight at the replica.
            world.played.copies += f64::from(fleet.concurrency) * fleet.load.batch;
        }
        world.granted = (world.granted + SCALING * TICK).min(quota);
        let share = world.invoke(tick);
        world.note(tick, share);
    }
    world.played
}

struct World {
    fleet: Fleet,
    incident: Incident,
    deals: Deals,
    /// What each replica gets in proportion to the others.
    weights: Vec<f64>,
    /// Messages of each replica, at the broker or in its hands.
    waiting: Vec<f64>,
    /// Concurrency that Lambda gives the function by now.
    granted: f64,
    played: Played,
}

impl World {
    /// The broker deals so many messages out.
    fn arrive(&mut self, tick: u32, arrived: f64) {
        let gets = |replica: usize| self.deals == Deals::Waits || !noticed(self.incident, tick, replica);
        let dealt: Vec<f64> = self
            .weights
            .iter()
            .enumerate()
            .map(|(replica, weight)| if gets(replica) { *weight } else { 0.0 })
            .collect();
        // Never zero: a fleet has at least two replicas, and at most one is away at a time.
        let sum: f64 = dealt.iter().sum();
        let mut is_one_away = false;
        for (replica, weight) in dealt.into_iter().enumerate() {
            let share = arrived * weight / sum;
            self.waiting[replica] += share;
            if away(self.incident, tick, replica).is_some() {
                is_one_away = true;
                self.played.dealt_to_absent += share;
            }
        }
        if is_one_away {
            self.played.came_meanwhile += arrived;
        }
    }

    /// All who are there invoke what they can; returns which part of that Lambda takes.
    fn invoke(&mut self, tick: u32) -> f64 {
        let most = self.fleet.of_replica() * TICK;
        let wants: Vec<f64> = (self.waiting.iter().enumerate())
            .map(|(replica, queue)| if away(self.incident, tick, replica).is_some() { 0.0 } else { queue.min(most) })
            .collect();
        let wanted = wants.iter().sum::<f64>() / self.fleet.load.batch;
        let share = (self.taken(tick) / wanted.max(f64::MIN_POSITIVE)).min(1.0);
        self.played.throttled += wanted * (1.0 - share);
        for (queue, want) in self.waiting.iter_mut().zip(wants) {
            *queue -= want * share;
        }
        share
    }

    /// How many invocations Lambda takes in this tick: by their environments, and by the requests that go with them.
    fn taken(&self, tick: u32) -> f64 {
        let halved = self.incident == Incident::Throttles && (BEGINS..BEGINS + MINUTE).contains(&tick);
        let usable = if halved { self.granted.min(self.fleet.quota() * 0.5) } else { self.granted };
        usable * (1.0 / self.fleet.load.invocation).min(REQUESTS) * TICK
    }

    fn note(&mut self, tick: u32, share: f64) {
        self.played.backlog = self.played.backlog.max(self.waiting.iter().sum());
        // A message waits for its replica, and for all messages queued before it there.
        let each = |(replica, queue): (usize, &f64)| {
            let back = away(self.incident, tick, replica).filter(|_| *queue > 0.0).unwrap_or(0);
            f64::from(back) * TICK + queue / (self.fleet.of_replica() * share.max(0.01))
        };
        self.played.wait = self.waiting.iter().enumerate().map(each).fold(self.played.wait, f64::max);
    }
}

/// For how many ticks more a replica does nothing; `None` while it works.
fn away(incident: Incident, tick: u32, replica: usize) -> Option<u32> {
    let (begins, lasts) = match incident {
        Incident::Loss | Incident::Kill if replica == 0 => (BEGINS, MINUTE),
        Incident::Deploy => (BEGINS + RESTART * u32::try_from(replica).ok()?.min(TICKS), RESTART),
        _ => return None,
    };
    (begins..begins + lasts).contains(&tick).then(|| begins + lasts - tick)
}

/// Whether the broker knows that it is away: at once when it said good-bye, or its connection was closed.
fn noticed(incident: Incident, tick: u32, replica: usize) -> bool {
    let since = if incident == Incident::Loss { UNNOTICED } else { 0 };
    away(incident, tick, replica).is_some() && tick >= BEGINS + since
}
