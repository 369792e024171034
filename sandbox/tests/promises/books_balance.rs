//! Promise: the books of the demo are right under every flag and any load: each message is handled, dead-lettered, or still
//! with the broker. `FULL_SIZE=1` plays all combinations, an ordinary run one for each pair of values. Left out are `--bootstrap`
//! (another function's books are its own), `--broker` (a broker that a test does not start), and `--json` and `--open`, which change
//! what is shown and not what is counted: `demo_commands.rs` has these two.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{PATIENCE, side_by_side, sized};
use bridge::config::Protocol;
use sandbox::demo::{self, Demo, Patience, Terminal};
use sandbox::lambda::{Action, Fault, When};
use sandbox::report::{Style, Summary};
use sandbox::scene::Scene;
use sandbox::tools;
use sandbox::world::BrokerKind;
use tokio::sync::mpsc;

/// How many values each flag has here. The scene carries `--topic`, the load `--sensors`.
const VALUES: [usize; 8] = [2, 2, 3, 7, 2, 2, 2, 2];
/// Combinations that run at once.
const AT_ONCE: usize = 12;

/// The demo of one combination: a value for each flag.
fn demo_of([broker, protocol, scene, fault, every, bad, concurrency, load]: [usize; 8]) -> Demo {
    let faults = [
        Action::throttle(None),
        Action::status(500),
        Action::function_error("Injected", "a fault of the sandbox"),
        Action::Cut,
        Action::RunThenCut,
        Action::Delay(Duration::from_secs(1)),
    ];
    let struck = fault.checked_sub(1).map(|fault| (faults[fault].clone(), [1, 5][every]));
    Demo {
        broker: [BrokerKind::Embedded, BrokerKind::Mosquitto][broker].clone(),
        protocol: [Protocol::V5, Protocol::V311][protocol],
        scene: [sensors_on("sensor/data"), Scene::Hub, sensors_on("plant/line-3/data")][scene].clone(),
        sensors: [3, 12][load],
        rate: [20.0, 300.0][load],
        bad_every: [None, Some(3)][bad],
        duration: Some(Duration::from_secs(1)),
        fault: struck.map(|(action, every)| Fault::new(When::Every(every), action)),
        function: None,
        concurrency: [10, 1][concurrency],
        open: false,
        patience: Patience {
            pubacks: PATIENCE,
            messages: Duration::from_secs(1),
            invocations: PATIENCE,
            leftovers: PATIENCE,
        },
    }
}

fn sensors_on(topic: &str) -> Scene {
    Scene::Sensors { topic: topic.to_owned() }
}

async fn books_of(demo: Demo) -> Summary {
    let terminal = Terminal { out: Box::new(std::io::sink()), style: Style::Lines, live: true };
    // This demo writes no remarks.
    let (_remarks, none) = mpsc::channel(1);
    let (summary, ending) = demo::run(demo, terminal, none).await.unwrap();
    if let Some(letters) = ending.dead_letters() {
        std::fs::remove_file(letters).unwrap();
    }
    summary
}

fn balance(summary: &Summary) {
    assert!(summary.balanced() && summary.published > 0, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_devices_hear_are_counted() {
    sandbox::binaries::build().unwrap();
    let demo = |seconds| {
        let duration = Some(Duration::from_secs(seconds));
        Demo { bad_every: None, duration, ..demo_of([0, 0, 1, 0, 0, 0, 0, 1]) }
    };
    let mut summary = books_of(demo(1)).await;
    if summary.commands == Some(0) {
        // On a busy machine the first command may come later.
        summary = books_of(demo(20)).await;
    }
    balance(&summary);
    let commands = summary.commands.expect("hubs hear commands");
    assert!(commands > 0 && commands <= summary.handled, "{summary}");
}

/// All combinations, in order.
fn combinations() -> impl Iterator<Item = [usize; 8]> {
    let all: usize = VALUES.iter().product();
    (0..all).map(|mut number| {
        VALUES.map(|values| {
            let value = number % values;
            number /= values;
            value
        })
    })
}

/// The pairs of values that a combination holds.
fn pairs(combination: [usize; 8]) -> impl Iterator<Item = [(usize, usize); 2]> {
    let at = move |place: usize| (place, combination[place]);
    (0..8).flat_map(move |one| (one + 1..8).map(move |other| [at(one), at(other)]))
}

/// Few combinations that hold each pair of values: of all that are left, always the one with most that is new.
fn covering() -> Vec<[usize; 8]> {
    let mut missing: BTreeSet<_> = combinations().flat_map(pairs).collect();
    let mut chosen = Vec::new();
    while !missing.is_empty() {
        let new = |combination: &[usize; 8]| pairs(*combination).filter(|pair| missing.contains(pair)).count();
        let best = combinations().max_by_key(new).unwrap();
        missing.retain(|pair| pairs(best).all(|held| held != *pair));
        chosen.push(best);
    }
    chosen
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_flags_each_message_is_somewhere() {
    sandbox::binaries::build().unwrap();
    let mosquitto = tools::require("mosquitto").is_some();
    let mut played = if sized(0, 1) == 1 { combinations().collect() } else { covering() };
    assert!(pairs([0, 1, 0, 6, 1, 1, 0, 1]).all(|pair| played.iter().any(|one| pairs(*one).any(|has| has == pair))));
    played.retain(|[broker, ..]| mosquitto || *broker == 0);
    for some in played.chunks(AT_ONCE) {
        let case = |combination: &[usize; 8]| {
            let demo = demo_of(*combination);
            let name = format!("{demo:?}");
            let longer = Demo { duration: Some(Duration::from_secs(20)), ..demo_of(*combination) };
            let balanced = async move {
                let summary = books_of(demo).await;
                // On a busy machine a second may be too short for the first message.
                if summary.published > 0 { balance(&summary) } else { balance(&books_of(longer).await) }
            };
            (name, Box::pin(balanced))
        };
        side_by_side(some.iter().map(case).collect()).await;
    }
}

/// A broker shows a client only so much that is not acknowledged: Receive Maximum, or its own limit.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_any_window_is_found_at_the_broker() {
    sandbox::binaries::build().unwrap();
    let mosquitto = tools::require("mosquitto").is_some();
    let mut cases = Vec::new();
    for (broker, protocol) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        if broker == 0 || mosquitto {
            let demo = move |seconds| {
                let duration = Some(Duration::from_secs(seconds));
                Demo { sensors: 5, rate: 1_000.0, duration, ..demo_of([broker, protocol, 0, 6, 0, 0, 1, 1]) }
            };
            let case = async move {
                let mut summary = books_of(demo(2)).await;
                // On a busy machine two seconds may be too short for that many.
                for seconds in [6, 20] {
                    if summary.published < 1_300 {
                        summary = books_of(demo(seconds)).await;
                    }
                }
                balance(&summary);
                assert!(summary.unacknowledged > 1_100, "{summary}");
            };
            cases.push((format!("broker {broker}, protocol {protocol}"), Box::pin(case)));
        }
    }
    side_by_side(cases).await;
}
