//! The bridge, the broker or the connection breaks while functions run: no message that the broker keeps is lost, and
//! the bridge reports a session that the broker has lost (F1, F4, F7, F8, F29).

use std::time::Duration;

use bridge::config::Protocol;
use sandbox::lab::Kept;
use sandbox::proxy::Proxy;
use sandbox::sensors::Sensors;
use tokio::sync::watch::Sender;

use super::bench::{Bench, Seen, Stage, WINDOW, gated, slow};
use crate::common::{Fate, PATIENCE, eventually};
use crate::replica::Replica;

#[derive(Debug, Clone, Copy)]
pub enum How {
    Restarted,
    Killed,
}

/// So many messages are handled before anything breaks: a broker that numbers its packets from 1 on each connection
/// then repeats running messages under other packet ids.
const WARM_UP: u64 = 7;

/// How often the bridge is killed.
const KILLS: usize = 2;

fn windowed() -> String {
    format!("receive_maximum = {WINDOW}")
}

pub async fn bridge_killed(bench: Bench) -> Seen {
    let mut stage = bench.stage(slow(Duration::from_millis(20)), &windowed()).await;
    let mut bridge = stage.bridge().await;
    let sensors = stage.publishing(300, f64::INFINITY);
    for kill in 1..=KILLS {
        stage.handled(80 * kill).await;
        bridge.process.kill().await.unwrap();
        bridge = stage.bridge().await;
    }
    let mut sensors = sensors;
    sensors.finished().await;
    let mut seen = stage.outcome(&[&sensors]).await;
    // A kill costs what ran, and what the broker has not read the acknowledgement of: under MQTT 5 both are at most what it may
    // have in flight, under MQTT 3.1.1 it may have sent everything.
    let bound = if bench.protocol == Protocol::V5 { KILLS * Stage::window() } else { seen.extra };
    seen.nothing_lost(bound);
    let most = Fate::of(&stage.world).most(&sensors);
    seen.must(most <= 1 + KILLS, format!("{most} invocations for one message, {KILLS} kills"));
    let present = bridge.sessions(&format!("{}-m", bench.name)).await;
    let expected = bench.habits.says_session_present;
    seen.must(present.iter().all(|said| *said == expected), format!("session present {present:?}, not {expected}"));
    seen.note = format!("300 messages, {KILLS} kills");
    seen
}

/// A stop that does not wait for the functions, as a deployment's: what they ran for comes again at the next start.
pub async fn bridge_stopped(bench: Bench) -> Seen {
    let (function, gate) = gated();
    let mut stage = bench.stage(function, &windowed()).await;
    stage.change("[mqtt]", "drain_timeout = \"500ms\"\n[mqtt]");
    let (mut bridge, running) = (stage.bridge().await, u64::from(bench.habits.running()));
    let sensors = stage.publish(50).await;
    stage.invoked(running).await;
    bridge.process.signal("TERM").await.unwrap();
    let status = bridge.process.exited(PATIENCE).await.unwrap();
    let _bridge = stage.bridge().await;
    stage.invoked(2 * running).await;
    gate.send_replace(true);
    let mut seen = stage.outcome(&[&sensors]).await;
    seen.nothing_lost(2 * Stage::window());
    seen.must(status.is_some(), "it does not end");
    seen.note = format!("50 messages, {running} running");
    seen
}

/// Another process with the same client id takes the session over, and the first one dies: as when a replica is replaced before it
/// has ended. What the first one was working on comes to the second.
pub async fn taken_over(bench: Bench) -> Seen {
    let (function, gate) = gated();
    let mut stage = bench.stage(function, &windowed()).await;
    let (mut first, running) = (stage.bridge().await, u64::from(bench.habits.running()));
    let sensors = stage.publish(50).await;
    stage.invoked(running).await;
    let second = stage.launch().await;
    let id = format!("{}-m", bench.name);
    eventually("the second one is connected", || !second.connected(&id).is_empty()).await;
    first.process.kill().await.unwrap();
    stage.invoked(2 * running).await;
    gate.send_replace(true);
    let mut seen = stage.outcome(&[&sensors]).await;
    seen.nothing_lost(2 * Stage::window());
    seen.note = format!("50 messages, {running} running");
    seen
}

/// A window may be full for longer than a broker may take for its answers, which is no fault of the broker's.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// So many connections tell that they die of it.
const CONNECTIONS: usize = 8;

pub async fn connection_cut(bench: Bench) -> Seen {
    let (function, gate) = gated();
    let topic = format!("lab/{}/data", bench.name);
    let settings = format!("connect_timeout = \"{}s\"", CONNECT_TIMEOUT.as_secs());
    let mut stage = bench.stage_for(function, &topic, &settings, &windowed()).await;
    let warm = usize::try_from(WARM_UP).unwrap();
    let proxy = Proxy::start(stage.world.url()).await.unwrap();
    let direct = stage.world.url().to_string();
    stage.change(&direct, &proxy.url().to_string());
    let bridge = stage.bridge().await;
    gate.send_replace(true);
    let before = stage.publish(WARM_UP).await;
    stage.handled(warm).await;
    gate.send_replace(false);
    let sensors = stage.publish(50).await;
    let running = u64::from(bench.habits.running());
    stage.invoked(WARM_UP + running).await;
    proxy.reset();
    let id = format!("{}-m", bench.name);
    eventually("it is connected again", || bridge.connected(&id).len() >= 2).await;
    let outlives = outlives_its_answers(&bridge, &id).await;
    gate.send_replace(true);
    bridge.ready().await;
    let mut seen = stage.outcome(&[&before, &sensors]).await;
    seen.must(outlives, format!("none of {CONNECTIONS} connections outlived a full window"));
    // One that exceeds Receive Maximum is tolerated up to twice that.
    let again = if bench.habits.is_known_again() { 0 } else { 2 * Stage::window() };
    seen.nothing_lost(again);
    seen.must(!alarmed(&bridge), "a false alarm: `session lost`");
    seen.note = format!("50 messages, {running} running");
    seen
}

/// Whether a connection lives for longer than an answer may take. On a busy machine a broker may let one or two die of its own.
async fn outlives_its_answers(bridge: &Replica, id: &str) -> bool {
    for _ in 0..CONNECTIONS {
        let connections = bridge.connected(id).len();
        tokio::time::sleep(2 * CONNECT_TIMEOUT).await;
        if bridge.connected(id).len() == connections {
            return true;
        }
    }
    false
}

/// How long a broker may take to begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(30);
/// How many sessions may get nothing at all, and behind how many of them the broker is started once more.
const IN_VAIN: usize = 4;
const BEFORE_A_RESTART: usize = 2;

/// A bridge with a full window, and how many earlier ones were in vain: a NATS 2.9 that had been restarted on a busy machine has
/// confirmed messages for a session, or for each new one, and never sent any, which is not what is tried here.
async fn with_a_full_window(bench: &mut Bench) -> (Stage, Replica, Sensors, Sender<bool>, usize) {
    let (name, running) = (bench.name.clone(), u64::from(bench.habits.running()));
    let mut in_vain = 0;
    loop {
        bench.name = if in_vain == 0 { name.clone() } else { format!("{name}-{in_vain}") };
        let (function, gate) = gated();
        let mut stage = bench.stage(function, &windowed()).await;
        let bridge = stage.bridge().await;
        let sensors = stage.publish(50).await;
        let begun = tokio::time::timeout(BEGINS_WITHIN, stage.invoked(1)).await.is_ok();
        let received = bridge.metric("mqtt_lambda_bridge_received_total{mapping=\"m\"}").await;
        if begun || received.is_some_and(|received| received > 0.0) || in_vain == IN_VAIN {
            stage.invoked(running).await;
            return (stage, bridge, sensors, gate, in_vain);
        }
        in_vain += 1;
        if in_vain >= BEFORE_A_RESTART {
            drop(bridge);
            bench.broker.lock().await.restart().await.unwrap();
        }
    }
}

pub async fn broker_ended(mut bench: Bench, how: How) -> Seen {
    let (stage, bridge, sensors, gate, in_vain) = Box::pin(with_a_full_window(&mut bench)).await;
    match how {
        How::Restarted => bench.broker.lock().await.restart().await.unwrap(),
        How::Killed => bench.broker.lock().await.crash().await.unwrap(),
    }
    let id = format!("{}-m", bench.name);
    eventually("it is connected again", || bridge.connected(&id).len() >= 2).await;
    let kept = bench.habits.kept == Kept::OnDisk;
    if !kept {
        // Nothing comes before SUBACK, so functions that still run keep no place that it would need.
        bridge.ready().await;
    }
    gate.send_replace(true);
    bridge.ready().await;
    // The session goes on, or there is a new one: what is published from now on arrives in both cases.
    let later = stage.publish(20).await;
    let awaited = if kept { vec![&sensors, &later] } else { vec![&later] };
    let mut seen = stage.outcome(&awaited).await;
    if kept {
        // One that crashes may have forgotten that it had sent a message before, and does not mark it. One that denies the
        // session and gives its packets other numbers gives no proof that it is the same session.
        let says = bench.habits.says_session_present;
        let known = bench.habits.is_known_again() && says && matches!(how, How::Restarted);
        seen.nothing_lost(if known { 0 } else { 2 * Stage::window() });
        seen.must(!says || !alarmed(&bridge), "a false alarm: `session lost`");
    } else {
        seen.must(seen.lost == 0, format!("{} of those published afterwards lost", seen.lost));
        eventually("`session lost` is said", || alarmed(&bridge)).await;
        seen.note = "the session is lost, and that is said; ".into();
    }
    seen.note += "50 messages before, 20 after";
    if in_vain > 0 {
        seen.note = format!("{}; {in_vain} sessions got nothing", seen.note);
    }
    seen
}

/// Whether it has said that the broker has lost its session, as an error.
fn alarmed(bridge: &Replica) -> bool {
    bridge.process.log().iter().any(|line| line.contains("\"ERROR\"") && line.contains("session lost"))
}
