//! `POST /retire` ends and loses nothing: with a backlog, also where the broker drops its queue at UNSUBSCRIBE (F40), and after
//! a cut over which messages in flight have expired or got other packet ids (F39).

use std::time::Duration;

use bridge::config::Protocol;
use sandbox::proxy::{Proxy, Quality};

use super::bench::{Bench, Seen, gated, slow};
use super::device::publish_expiring;
use crate::common::{Fate, PATIENCE, eventually};

/// For each message that may be in flight: a broker that sends one at a time takes as long with a tenth of the
/// messages.
const MESSAGES: u64 = 30;

pub async fn retire(bench: Bench) -> Seen {
    let mut stage = bench.stage(slow(Duration::from_millis(100)), "receive_maximum = 10").await;
    let mut bridge = stage.bridge().await;
    let sensors = stage.publish(MESSAGES * u64::from(bench.habits.running())).await;
    let backlog = Fate::of(&stage.world).lost(&sensors).len();
    assert_eq!(bridge.ask("POST", "/retire").await.0, 202);
    let status = bridge.process.exited(PATIENCE).await.unwrap();
    let mut seen = Seen::default();
    seen.must(status.is_some(), "it does not end");
    if let Some(status) = status {
        seen.must(status.success(), format!("{status}"));
    }
    let fate = Fate::of(&stage.world);
    (seen.lost, seen.extra) = (fate.lost(&sensors).len(), fate.extra());
    seen.nothing_lost(bench.again(&[&bridge]));
    seen.must(backlog > 10, format!("a backlog of {backlog} proves nothing"));
    seen.note = format!("a backlog of {backlog}");
    seen
}

/// The message expiry, which only MQTT 5 has.
const EXPIRY: Duration = Duration::from_secs(2);

pub async fn retire_after_a_cut(bench: Bench) -> Seen {
    let (function, gate) = gated();
    let topic = format!("lab/{}/data", bench.name);
    // A broker that never answers UNSUBSCRIBE is asked three times.
    let mut stage = bench.stage_for(function, &topic, "connect_timeout = \"3s\"", "receive_maximum = 10").await;
    let proxy = Proxy::start(stage.world.url()).await.unwrap();
    let direct = stage.world.url().to_string();
    stage.change(&direct, &proxy.url().to_string());
    let mut bridge = stage.bridge().await;
    let running = u64::from(bench.habits.running().min(5));
    let expiring = if bench.protocol == Protocol::V5 { running } else { 0 };
    publish_expiring(&stage, &topic, EXPIRY, usize::try_from(expiring).unwrap()).await;
    let sensors = stage.publish(running).await;
    stage.invoked(running).await;
    // Away until the messages in flight have expired: the broker need not send them again.
    proxy.set(Quality { silent: true, ..Quality::default() });
    proxy.reset();
    tokio::time::sleep(2 * EXPIRY).await;
    proxy.set(Quality::default());
    proxy.reset();
    let id = format!("{}-m", bench.name);
    eventually("it is connected again", || bridge.connected(&id).len() >= 2).await;
    assert_eq!(bridge.ask("POST", "/retire").await.0, 202);
    gate.send_replace(true);
    let status = bridge.process.exited(PATIENCE).await.unwrap();
    let mut seen = Seen::default();
    let unanswered = bench.habits.unanswered_unsubscribe.contains(&bench.protocol);
    let expected = Some(if unanswered { UNPROVEN } else { 0 });
    let code = status.and_then(|status| status.code());
    seen.must(code == expected, format!("ends with {code:?}, not {expected:?}"));
    let fate = Fate::of(&stage.world);
    (seen.lost, seen.extra) = (fate.lost(&sensors).len(), fate.extra());
    seen.must(seen.lost == 0, format!("{} lost", seen.lost));
    seen.note = format!("{expiring} of {} messages expired", expiring + running);
    seen
}

/// A bridge that leaves is killed while functions run: what they ran for comes again, also where the broker drops at UNSUBSCRIBE
/// what it has sent (NATS does, against MQTT 3.1.1, 3.10.4).
pub async fn retire_killed(bench: Bench) -> Seen {
    let (function, gate) = gated();
    let mut stage = bench.stage(function, "receive_maximum = 10").await;
    let mut bridge = stage.bridge().await;
    let most = u64::from(bench.habits.running().min(5));
    let _before = stage.publish(most).await;
    stage.invoked(most).await;
    gate.send_replace(true);
    stage.handled(usize::try_from(most).unwrap()).await;
    gate.send_replace(false);
    // It had more in flight before, so that the broker has room for what it has queued: nothing.
    let running = most.saturating_sub(1).max(1);
    let _sensors = stage.publish(running).await;
    stage.invoked(most + running).await;
    assert_eq!(bridge.ask("POST", "/retire").await.0, 202);
    tokio::time::sleep(LONG_ENOUGH).await;
    bridge.process.kill().await.unwrap();
    gate.send_replace(true);
    let _bridge = stage.launch().await;
    stage.invoked(most + 2 * running).await;
    Seen { note: format!("{running} running"), ..Seen::default() }
}

/// With nothing queued at the broker, a bridge unsubscribes within this.
const LONG_ENOUGH: Duration = Duration::from_secs(6);

/// The exit code of a bridge that has retired without proof that the broker's queue was empty.
const UNPROVEN: i32 = 3;
