//! What the end-to-end tests share: the worlds they run in, and the oracle they all ask.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test, though the lint cannot see it")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bridge::config::Protocol;
use bytes::Bytes;
use sandbox::lambda::{Action, Answer, Call, Fault, Function, Outcome, When};
use sandbox::oracle;
use sandbox::sensors::{SensorOptions, Sensors};
use sandbox::tools;
use sandbox::wiretap::{Packet, Seen, Wiretap};
use sandbox::world::{BrokerKind, FUNCTION, World, WorldBuilder};
use serde_json::Value;

/// Far more than anything here takes, even on a heavily loaded machine: a test that needs it has failed.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// The everyday size of a test, or its full one with `FULL_SIZE=1` in the environment.
pub fn sized(everyday: u64, full: u64) -> u64 {
    if std::env::var_os("FULL_SIZE").is_some_and(|value| value == "1") { full } else { everyday }
}

/// Runs all cases at once, in one task: most of what an end-to-end test does is to wait. Names the case that fails.
pub async fn side_by_side<F: Future<Output = ()>>(mut running: Vec<(String, Pin<Box<F>>)>) {
    poll_fn(|context| {
        running.retain_mut(|(name, case)| {
            let polled = catch_unwind(AssertUnwindSafe(|| case.as_mut().poll(context)));
            let polled = polled.unwrap_or_else(|panic| {
                eprintln!("the case that fails: {name}");
                resume_unwind(panic)
            });
            polled.is_pending()
        });
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Runs the scenario under both versions of MQTT and with both brokers, side by side: MQTT 5 with Mosquitto, where it is
/// installed, and MQTT 3.1.1 with the embedded broker. With `WORLDS=all`, or in full size, each version with each broker.
pub async fn everywhere<F>(scenario: impl Fn(WorldBuilder) -> F)
where
    F: Future<Output = ()>,
{
    let mosquitto = tools::require("mosquitto").is_some();
    let all = match std::env::var("WORLDS").as_deref() {
        Ok("all") => true,
        Err(_) => sized(0, 1) == 1,
        Ok(other) => panic!("WORLDS is `{other}`: give `all`, or leave it out"),
    };
    let mut cases = Vec::new();
    for protocol in [Protocol::V5, Protocol::V311] {
        for broker in [BrokerKind::Embedded, BrokerKind::Mosquitto] {
            let is_mosquitto = matches!(broker, BrokerKind::Mosquitto);
            let is_everyday = is_mosquitto == (mosquitto && protocol == Protocol::V5);
            if is_everyday || all && (mosquitto || !is_mosquitto) {
                let name = format!("MQTT {protocol}, broker {broker:?}");
                cases.push((name, Box::pin(scenario(World::builder().protocol(protocol).broker(broker)))));
            }
        }
    }
    side_by_side(cases).await;
}

/// A world whose bridge is connected through a tap.
pub async fn tapped(builder: WorldBuilder) -> (World, Wiretap) {
    let protocol = builder.protocol_spoken();
    let mut world = builder.without_bridge().await.expect("a world");
    let tap = Wiretap::start(world.url(), &world.files, protocol).await.expect("a tap");
    world.set("mqtt.url", &tap.url().to_string());
    world.start_bridge().await.expect("a bridge");
    (world, tap)
}

/// The acknowledgements that went by, with their times.
pub fn acks(seen: &[Seen]) -> Vec<(u16, Instant)> {
    let ack = |seen: &Seen| match seen.packet {
        Packet::Ack { packet_id } => Some((packet_id, seen.at)),
        _ => None,
    };
    seen.iter().filter_map(ack).collect()
}

/// The messages that went by: packet id, whether marked as sent before, payload.
pub fn publishes(seen: &[Seen]) -> Vec<(u16, bool, Bytes)> {
    let publish = |seen: &Seen| match &seen.packet {
        Packet::Publish { packet_id, dup, payload } => Some((*packet_id, *dup, payload.clone())),
        _ => None,
    };
    seen.iter().filter_map(publish).collect()
}

/// A function that succeeds, in this process.
pub fn willing() -> Function {
    Function::inline(FUNCTION, |_| async { Answer::null() })
}

/// A function whose answers this closure makes.
pub fn answering(answer: impl Fn(Call) -> Answer + Clone + Send + Sync + 'static) -> Function {
    Function::inline(FUNCTION, move |call| {
        let answer = answer.clone();
        async move { answer(call) }
    })
}

/// Adds a fault.
pub fn fault(world: &World, when: When, action: Action) {
    world.lambda.faults().add(Fault::new(when, action));
}

/// Publishes `total` messages as fast as the broker confirms, from one sensor so that their order is known.
pub async fn publish(world: &World, total: u64, adjust: impl FnOnce(&mut SensorOptions)) -> Sensors {
    let mut sensors = world
        .sensors(|options| {
            (options.count, options.rate, options.total) = (1, f64::INFINITY, Some(total));
            adjust(options);
        })
        .expect("sensors");
    tokio::time::timeout(PATIENCE, sensors.finished()).await.expect("all published and confirmed");
    sensors
}

/// The records that the function was given, one after the other.
pub fn records(world: &World) -> Vec<Value> {
    let events = world.lambda.log().invocations();
    let events = events.iter().map(|invocation| serde_json::from_slice::<Value>(&invocation.payload).unwrap());
    events.flat_map(|mut event| event["records"].take().as_array().unwrap().clone()).collect()
}

/// What became of the messages, by the publisher's ids.
#[derive(Debug, Default)]
pub struct Fate {
    /// How often the function has taken each.
    pub handled: BTreeMap<String, usize>,
    /// How often each was dead-lettered.
    pub dead: BTreeMap<String, usize>,
}

impl Fate {
    pub fn of(world: &World) -> Self {
        let mut fate = Self::default();
        for id in oracle::handled_ids(&world.lambda.log().invocations()) {
            *fate.handled.entry(id).or_default() += 1;
        }
        for letter in world.dead_letters().expect("dead letters") {
            *fate.dead.entry(oracle::message_id(&letter).expect("a message id")).or_default() += 1;
        }
        fate
    }

    /// The oracle: every message that the broker confirmed to its publisher is handled or dead-lettered.
    pub fn lost(&self, sensors: &Sensors) -> BTreeSet<String> {
        let registry = sensors.registry();
        let ids = (1..=sensors.published()).map(|number| registry.id(number));
        ids.filter(|id| !self.handled.contains_key(id) && !self.dead.contains_key(id)).collect()
    }

    /// The most times that one of these messages was handled or dead-lettered.
    pub fn most(&self, sensors: &Sensors) -> usize {
        let registry = sensors.registry();
        let times = |id| self.handled.get(&id).unwrap_or(&0) + self.dead.get(&id).unwrap_or(&0);
        (1..=sensors.published()).map(|number| times(registry.id(number))).max().unwrap_or(0)
    }

    /// Times that a message was handled or dead-lettered after its first.
    pub fn extra(&self) -> usize {
        self.handled.values().chain(self.dead.values()).sum::<usize>()
            - self.handled.keys().chain(self.dead.keys()).collect::<BTreeSet<_>>().len()
    }
}

/// Waits until nothing is lost, and returns what became of all.
pub async fn nothing_lost(world: &World, sensors: &Sensors) -> Fate {
    eventually("every message is handled or dead-lettered", || Fate::of(world).lost(sensors).is_empty()).await;
    Fate::of(world)
}

/// Waits until the bridge has acknowledged this many messages.
pub async fn acknowledged(world: &World, messages: u64) {
    let counters = world.counters();
    eventually(&format!("{messages} acknowledged"), || counters.acknowledged.get() >= messages).await;
    assert_eq!(counters.acknowledged.get(), messages);
}

/// How many invocations had this outcome.
pub fn ended(world: &World, how: impl Fn(&Outcome) -> bool) -> usize {
    world.lambda.log().read(|log| log.invocations().filter(|i| i.outcome.as_ref().is_some_and(&how)).count())
}

/// Polls until the condition holds, for as long as patience lasts.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    loop {
        let look = Instant::now();
        if holds() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        rest_after(look).await;
    }
}

/// The pause behind a look that began at this time. One that takes long, as it reads all that has happened so far, is taken less
/// often: otherwise those who look keep a busy machine from what they wait for.
pub async fn rest_after(look: Instant) {
    tokio::time::sleep((look.elapsed() * 9).clamp(Duration::from_millis(10), Duration::from_millis(100))).await;
}
