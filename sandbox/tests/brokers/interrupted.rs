//! The bridge, the broker or the connection breaks while functions run: no message that the broker keeps is lost, and
//! the bridge reports a session that the broker has lost (F1, F4, F7, F8, F29).

use std::time::Duration;

use sandbox::lab::{Kept, Product};
use sandbox::proxy::Proxy;

use crate::bench::{Bench, Seen, Stage, WINDOW, gated, slow};
use crate::common::eventually;
use crate::replica::Replica;

#[derive(Debug, Clone, Copy)]
pub enum How {
    Restarted,
    Killed,
}

/// So many messages are handled before anything breaks: a broker that numbers its packets from 1 on each connection
/// then repeats running messages under other packet ids.
const WARM_UP: u64 = 7;

fn windowed() -> String {
    format!("receive_maximum = {WINDOW}")
}

pub async fn bridge_killed(bench: Bench) -> Seen {
    let mut stage = bench.stage(slow(Duration::from_millis(20)), &windowed()).await;
    let mut bridge = stage.bridge().await;
    let sensors = stage.publishing(300, f64::INFINITY);
    for handled in [80, 160] {
        stage.handled(handled).await;
        bridge.process.kill().await.unwrap();
        bridge = stage.bridge().await;
    }
    let mut sensors = sensors;
    sensors.finished().await;
    let mut seen = stage.outcome(&[&sensors]).await;
    // Under MQTT 3.1.1 a broker may send what it likes, and each kill costs what ran. On a busy machine ActiveMQ was seen to bring
    // a few more: those, it may be, whose acknowledgement it had not read when the socket was reset.
    let windows = if bench.habits.product == Product::ActiveMq { 4 } else { 2 };
    seen.nothing_lost(windows * Stage::window());
    let present = bridge.connected(&format!("{}-m", bench.name));
    let expected = [bench.habits.says_session_present];
    seen.must(present == expected, format!("session present {present:?}, not {expected:?}"));
    seen.note = "300 messages, 2 kills".into();
    seen
}

/// Behind a full window SUBACK may stand for as long as functions run, which is no fault of the broker's.
const SUBACK_PATIENCE: Duration = Duration::from_secs(2);

pub async fn connection_cut(bench: Bench) -> Seen {
    let (function, gate) = gated();
    let topic = format!("lab/{}/data", bench.name);
    let settings = format!("connect_timeout = \"{}s\"", SUBACK_PATIENCE.as_secs());
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
    tokio::time::sleep(2 * SUBACK_PATIENCE).await;
    let connections = bridge.connected(&id).len();
    gate.send_replace(true);
    bridge.ready().await;
    let mut seen = stage.outcome(&[&before, &sensors]).await;
    seen.must(connections == 2, format!("{connections} connections while the window was full: SUBACK timed out"));
    // One that exceeds Receive Maximum is tolerated up to twice that.
    let again = if bench.habits.marks_sent_again { 0 } else { 2 * Stage::window() };
    seen.nothing_lost(again);
    seen.must(!alarmed(&bridge), "a false alarm: `session lost`");
    seen.note = format!("50 messages, {running} running");
    seen
}

pub async fn broker_ended(bench: Bench, how: How) -> Seen {
    let (function, gate) = gated();
    let mut stage = bench.stage(function, &windowed()).await;
    let bridge = stage.bridge().await;
    let sensors = stage.publish(50).await;
    stage.invoked(u64::from(bench.habits.running())).await;
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
        let (marks, says) = (bench.habits.marks_sent_again, bench.habits.says_session_present);
        let known = marks && says && matches!(how, How::Restarted);
        seen.nothing_lost(if known { 0 } else { 2 * Stage::window() });
        seen.must(!says || !alarmed(&bridge), "a false alarm: `session lost`");
    } else {
        seen.must(seen.lost == 0, format!("{} of those published afterwards lost", seen.lost));
        eventually("`session lost` is said", || alarmed(&bridge)).await;
        seen.note = "the session is lost, and that is said; ".into();
    }
    seen.note += "50 messages before, 20 after";
    seen
}

/// Whether it has said that the broker has lost its session, as an error.
fn alarmed(bridge: &Replica) -> bool {
    bridge.process.log().iter().any(|line| line.contains("\"ERROR\"") && line.contains("session lost"))
}
