//! What the rows share: the real bridge in a process of its own, behind a line that can be made bad and a tap that sees
//! every packet; and the invariants.
//!
//! I1 nothing lost; I2 no PUBACK before its outcome; I3 few extra invocations; I4 flow resumes; I5 bounded memory.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use bridge::config::Protocol;
use sandbox::lambda::Invocation;
use sandbox::oracle;
use sandbox::proxy::Proxy;
use sandbox::sensors::Sensors;
use sandbox::tools;
use sandbox::wiretap::{Packet, Wiretap};
use sandbox::world::{BridgeProcess, BrokerKind, World, WorldBuilder};
use serde_json::Value;

use crate::common::{Fate, PATIENCE, acks, eventually, nothing_lost, rest_after};

pub const MIB: u64 = 1024 * 1024;
/// The bridge's own defaults, which the bounds are made of.
pub const RECEIVE_MAXIMUM: usize = 256;

/// Runs the scenario under both versions of MQTT at once: with Mosquitto where it is installed, else embedded.
pub async fn both_protocols<F>(scenario: impl Fn(WorldBuilder) -> F)
where
    F: Future<Output = ()>,
{
    // Building blocks the thread, and would stop every other task on it.
    tokio::task::spawn_blocking(sandbox::binaries::build).await.unwrap().unwrap();
    tokio::join!(scenario(world(Protocol::V5)), scenario(world(Protocol::V311)));
}

/// A world under this version of MQTT: with Mosquitto where it is installed, else embedded.
pub fn world(protocol: Protocol) -> WorldBuilder {
    let kind = if tools::require("mosquitto").is_some() { BrokerKind::Mosquitto } else { BrokerKind::Embedded };
    World::builder().protocol(protocol).broker(kind)
}

pub struct Scene {
    pub world: World,
    pub tap: Wiretap,
    pub proxy: Proxy,
    pub process: BridgeProcess,
}

impl Scene {
    /// Everything, with the bridge subscribed: bridge, proxy, tap, broker, in this order.
    pub async fn start(builder: WorldBuilder) -> Self {
        let protocol = builder.protocol_spoken();
        let mut world = builder.without_bridge().await.unwrap();
        let tap = Wiretap::start(world.url(), &world.files, protocol).await.unwrap();
        let proxy = Proxy::start(&tap.url()).await.unwrap();
        world.set("mqtt.url", &proxy.url().to_string());
        let process = subscribed(&world).await;
        Self { world, tap, proxy, process }
    }

    /// I2, and what goes with it: each PUBACK answers a PUBLISH of its own connection, and comes after the outcome.
    pub async fn check_acks(&self) {
        check_acks(&self.world, &self.tap).await;
    }

    /// I5: `payload` is the largest there was, `window` the Receive Maximum.
    pub fn check_memory(&self, window: usize, payload: usize) {
        let usage = self.process.usage().unwrap();
        let bound = 64 * MIB + (window * payload) as u64;
        assert!(usage.peak < bound, "{} MiB at the most, {} MiB allowed", usage.peak / MIB, bound / MIB);
    }

    /// I4: waits until the function has taken something more of those messages, if there is more.
    pub async fn flow_resumes(&self, messages: u64) {
        let log = self.world.lambda.log();
        let before = log.totals().succeeded;
        let all = || oracle::handled_ids(&log.invocations()).into_iter().collect::<BTreeSet<_>>().len() as u64;
        eventually("the flow resumes", || log.totals().succeeded > before || all() >= messages).await;
    }

    /// Waits until all that was published has its outcome and all invocations have ended; says how many were extra.
    pub async fn settled(&self, row: &str, sensors: &mut Sensors, faults: u64) -> Fate {
        tokio::time::timeout(PATIENCE * 2, sensors.finished()).await.expect("all published and confirmed");
        let begun = Instant::now();
        loop {
            let look = Instant::now();
            if Fate::of(&self.world).lost(sensors).is_empty() {
                break;
            }
            if begun.elapsed() > PATIENCE * 2 {
                let log = self.process.log();
                let last = &log[log.len().saturating_sub(15)..];
                panic!("waited in vain for the last messages; the bridge's last words: {last:#?}");
            }
            rest_after(look).await;
        }
        settled(&self.world, row, sensors, faults).await
    }
}

/// A bridge that is subscribed.
pub async fn subscribed(world: &World) -> BridgeProcess {
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    process
}

/// I1, and the number of extra invocations, which is shown with `--nocapture` for the table in docs/performance.md.
pub async fn settled(world: &World, row: &str, sensors: &Sensors, faults: u64) -> Fate {
    nothing_lost(world, sensors).await;
    let log = world.lambda.log();
    eventually("all is quiet", || log.totals().in_flight == 0).await;
    let fate = Fate::of(world);
    let (published, extra) = (sensors.published(), fate.extra());
    eprintln!("{row}: {published} messages, {faults} faults, 0 lost, {extra} extra invocations");
    fate
}

pub async fn check_acks(world: &World, tap: &Wiretap) {
    // What has its outcome may not be acknowledged yet.
    eventually("something is acknowledged", || !acks(&tap.seen()).is_empty()).await;
    let invocations = world.lambda.log().invocations();
    let mut taken: HashMap<String, Instant> = HashMap::new();
    for (id, at) in invocations.iter().flat_map(successes) {
        taken.entry(id).and_modify(|first| *first = at.min(*first)).or_insert(at);
    }
    let dead: Vec<_> = world.dead_letters().unwrap().iter().filter_map(oracle::message_id).collect();
    let mut open: HashMap<(usize, u16), String> = HashMap::new();
    for seen in tap.seen() {
        match seen.packet {
            Packet::Publish { packet_id, payload, .. } => {
                let payload: Value = serde_json::from_slice(&payload).unwrap();
                open.insert((seen.connection, packet_id), payload["message_id"].as_str().unwrap().to_owned());
            }
            Packet::Ack { packet_id } => {
                let what = format!("packet {packet_id} on connection {}", seen.connection);
                let id = open.remove(&(seen.connection, packet_id));
                let id = id.unwrap_or_else(|| panic!("{what} was acknowledged and never came"));
                let in_time = taken.get(&id).is_some_and(|at| *at <= seen.at) || dead.contains(&id);
                assert!(in_time, "{what}, message {id}, was acknowledged before it had an outcome");
            }
            _ => {}
        }
    }
}

/// The messages that an invocation has brought to a success, with the time.
fn successes(invocation: &Invocation) -> impl Iterator<Item = (String, Instant)> + use<> {
    let at = invocation.ended.unwrap_or(invocation.at);
    oracle::handled(invocation).into_iter().filter_map(move |handled| Some((handled.message_id?, at)))
}
