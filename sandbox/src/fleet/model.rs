//! Ten minutes of a fleet, a tenth of a second at a time. Pure: the same seed gives the same.

use clap::ValueEnum;

use super::size::Fleet;

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
/// Lambda gives a function 1,000 environments each 10 s, without a break (Lambda Developer Guide, "Lambda scaling behavior").
const SCALING: f64 = 100.0;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Incident {
    /// Nothing.
    None,
    /// A replica dies without a word, and is back after a minute; what it had is sent again.
    Loss,
    /// Replicas are restarted, one after the other.
    Deploy,
    /// For a minute Lambda takes half of the concurrency that the fleet was made for.
    Throttles,
    /// The function has no environments at the start.
    Cold,
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
}

/// Plays it with this concurrency quota.
pub(super) fn play(fleet: Fleet, quota: f64, incident: Incident, seed: u64) -> Played {
    let mut chance = fastrand::Rng::with_seed(seed);
    // A shared subscription gives each member its turn; yet some hash to more, by a tenth.
    let weights: Vec<f64> = (0..fleet.replicas).map(|_| 0.9 + 0.2 * chance.f64()).collect();
    let (mut played, mut waiting) = (Played::default(), vec![0.0_f64; weights.len()]);
    let mut environments = if incident == Incident::Cold { 0.0 } else { fleet.environments().min(quota) };
    for tick in 0..TICKS {
        let gets = |replica: usize| !noticed(incident, tick, replica);
        let sum: f64 = weights.iter().enumerate().filter(|(replica, _)| gets(*replica)).map(|(_, weight)| weight).sum();
        // Bursts: a tick has between half and one and a half times the mean.
        let arrived = fleet.load.rate * TICK * (0.5 + chance.f64());
        for (replica, weight) in weights.iter().enumerate().filter(|(replica, _)| gets(*replica)) {
            waiting[replica] += arrived * weight / sum;
        }
        if incident == Incident::Loss && tick == BEGINS {
            // What was in its hands.
            played.copies += f64::from(fleet.concurrency) * fleet.load.batch;
        }
        let wants: Vec<f64> = (0..waiting.len())
            .map(|replica| {
                if away(incident, tick, replica).is_some() {
                    0.0
                } else {
                    waiting[replica].min(fleet.of_replica() * TICK)
                }
            })
            .collect();
        let wanted = wants.iter().sum::<f64>() / fleet.load.batch;
        environments = (environments + SCALING * TICK).min(quota);
        let halved = incident == Incident::Throttles && (BEGINS..BEGINS + MINUTE).contains(&tick);
        let usable = if halved { environments.min(fleet.environments() * 0.5) } else { environments };
        let taken = usable / fleet.load.invocation * TICK;
        let share = (taken / wanted.max(f64::MIN_POSITIVE)).min(1.0);
        played.throttled += wanted * (1.0 - share);
        for (queue, want) in waiting.iter_mut().zip(wants) {
            *queue -= want * share;
        }
        let backlog: f64 = waiting.iter().sum();
        played.backlog = played.backlog.max(backlog);
        // A message waits for its replica, and until what is before it there is done.
        let each = |(replica, queue): (usize, &f64)| {
            let until_back =
                if *queue > 0.0 { f64::from(away(incident, tick, replica).unwrap_or(0)) * TICK } else { 0.0 };
            until_back + queue / (fleet.of_replica() * share.max(0.01))
        };
        played.wait = waiting.iter().enumerate().map(each).fold(played.wait, f64::max);
    }
    played
}

/// For how many ticks more a replica does nothing; `None` while it works.
fn away(incident: Incident, tick: u32, replica: usize) -> Option<u32> {
    let (begins, lasts) = match incident {
        Incident::Loss if replica == 0 => (BEGINS, MINUTE),
        Incident::Deploy => (BEGINS + RESTART * u32::try_from(replica).ok()?.min(TICKS), RESTART),
        _ => return None,
    };
    (begins..begins + lasts).contains(&tick).then(|| begins + lasts - tick)
}

/// Whether the broker knows, and gives it nothing: at once when it said good-bye.
fn noticed(incident: Incident, tick: u32, replica: usize) -> bool {
    let since = if incident == Incident::Loss { UNNOTICED } else { 0 };
    away(incident, tick, replica).is_some() && tick >= BEGINS + since
}
